"""The true nearest point, for judging: slow, and proved by its KKT conditions.

For a cone `{G x <= 0}` Moreau's decomposition gives `x = y - G^T u`, `u = argmin_{u >= 0} ||G^T u - y||`;
for `{G x <= h}` with `h != 0` the least distance problem `min ||z||, -G z >= G y - h` is again a
non-negative least squares problem (Lawson and Hanson, Solving Least Squares Problems, ch. 23). Both
are solved by the active-set method of Lawson and Hanson in SciPy.
"""

from __future__ import annotations

import numpy as np

from constrained.errors import EngineError, InfeasibleError

from .metrics import kkt_residual, stacked_rows
from .problems._base import Instance

MAX_RESIDUAL = 1e-9


def nearest_points(instance: Instance, y: np.ndarray) -> np.ndarray:  # (q, n) -> (q, n)
    """The orthogonal projection of each row of `y`, in float64.

    The closed form of the family where there is one, otherwise non-negative least squares, each
    point certified: `EngineError` if its KKT residual exceeds MAX_RESIDUAL.
    """
    if instance.project is not None:
        return instance.project(y)
    return np.array([_nearest(instance, point) for point in y]).reshape(y.shape)


def _nearest(instance: Instance, y: np.ndarray) -> np.ndarray:
    G, h = stacked_rows(instance.polyhedron)
    if not len(G):
        return y.copy()
    x, u = _moreau(G, y) if not h.any() else _least_distance(G, h, y)
    if (residual := kkt_residual(instance.polyhedron, y, x, u)) > MAX_RESIDUAL:
        raise EngineError(f"no certified projection for {instance.name}: KKT residual {residual:.1e}")
    return x


def _moreau(G: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import nnls

    u, _ = nnls(G.T, y, maxiter=50 * len(G))
    return y - G.T @ u, u


def _least_distance(G: np.ndarray, h: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import nnls

    E = np.vstack([-G.T, G @ y - h])  # (n + 1, q)
    target = np.zeros(len(E))
    target[-1] = 1.0
    v, _ = nnls(E, target, maxiter=50 * len(G))
    r = E @ v - target
    if abs(r[-1]) <= 1e-12:
        raise InfeasibleError("the set is empty: its rows admit no point")
    return y - r[:-1] / r[-1], -v / r[-1]
