"""Multipliers of one point by an active-set method, for the samples that a batched method leaves.

    min_x 1/2 ||x - y||^2,  low <= A x <= high,  x = y - A^T u

By DAQP where it is installed; otherwise, and where it fails, by non-negative least squares: for a cone
Moreau's decomposition, `u = argmin_{u >= 0} ||A^T u - y||`, for other sets the least distance problem
`min ||z||, A z <= high - A y` as `min_{v >= 0} ||E v - f||`, E = [-A^T; (A y - high)^T], f = (0, ..., 0, 1).
Source: Arnstrom, Bemporad, Axehill, IEEE Transactions on Automatic Control 67(8), 2022; Lawson and Hanson,
Solving Least Squares Problems, ch. 23, as in SciPy.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

INFINITY = 1e30


class OnePoint:
    """The multipliers of single points for rows `A` (m, n) with bounds `low`, `high` (m,)."""

    def __init__(self, A: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.A, self.low, self.high = A, low, high
        self._model = _daqp(A, low, high) if find_spec("daqp") else None
        below = np.isfinite(low)
        self._below, self._G = below, np.concatenate([A, -A[below]])
        self._h = np.concatenate([high, -low[below]])

    def active_set(self, y: np.ndarray) -> np.ndarray | None:
        """By DAQP: (m,), below 0 for a lower bound; None where it has no answer."""
        if self._model is None:
            return None
        self._model.update(f=-y)
        _, _, flag, info = self._model.solve()
        return info["lam"] if flag > 0 else None

    def least_squares(self, y: np.ndarray) -> np.ndarray:
        """By non-negative least squares: (m,), NaN where that takes too many steps."""
        from scipy.optimize import nnls

        G, h = self._G, self._h
        try:
            if h.any():
                E, f = np.vstack([-G.T, G @ y - h]), np.zeros(len(y) + 1)
                f[-1] = 1.0
                v, _ = nnls(E, f, maxiter=50 * len(G))
                v = -v / (E[-1] @ v - 1 or np.nan)
            else:
                v, _ = nnls(G.T, y, maxiter=50 * len(G))
        except RuntimeError:
            return np.full(len(self.A), np.nan)
        u = v[: len(self.A)].copy()
        u[self._below] -= v[len(self.A) :]
        return u


def _daqp(A: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    import daqp

    model, n = daqp.Model(), A.shape[1]
    bounds = np.minimum(high, INFINITY), np.maximum(low, -INFINITY)
    flag, _ = model.setup(np.eye(n), np.zeros(n), A, *bounds, np.zeros(len(A), dtype=np.intc))
    model.settings = {"primal_tol": 1e-11}
    return model if flag >= 0 else None
