"""The shortest vector of a set of half-spaces, and with it the deepest direction of a cone.

    min |y|  subject to  F y <= r

Its dual is a non-negative least squares problem: with `E = [-F'; -r']`, `t = (0, ..., 0, 1)` and the
residual `v = E u - t` of the best `u >= 0`, the answer is `y = -v[:n] / v[n]`, and `v = 0` if there is
none (Lawson and Hanson, Solving Least Squares Problems, 1974, ch. 23). The rows with `u > 0` are the
active ones; the answer is computed once more from them by QR, which keeps all digits in thin sets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._centre import central_point
from ._rows import EPS

LIMIT = 1e12  # the largest ratio |y| / max|r| that float64 can tell from infinity


def shortest(F: np.ndarray, r: np.ndarray) -> np.ndarray | None:  # (q, n), (q,) -> (n,)
    """The shortest y with `F y <= r`, up to rounding, or None where none was found."""
    return _shortest(F, r)[0]


def _shortest(F: np.ndarray, r: np.ndarray) -> tuple[np.ndarray | None, bool]:
    """The answer, and whether a missing one is certain (or longer than `LIMIT` times the largest bound)."""
    if (r >= 0).all():
        return np.zeros(F.shape[1]), True
    scale, reach = float(np.abs(r).max()), 1.0
    while reach <= LIMIT:
        found = _solve(F, r / scale / reach)
        if found.optimal or found.distance > 0.3:
            return None if found.y is None else found.y * scale * reach, False
        # distance = |v| = 1 / sqrt(1 + |y|^2): digits are lost unless |y| is moderate in the unit chosen.
        reach = reach / found.distance if found.distance > 1 / LIMIT else np.inf
    return None, True


class _Found(NamedTuple):
    """The answer, None if it breaks a row by more than rounding explains; |v|; whether it is verified."""

    y: np.ndarray | None
    distance: float
    optimal: bool


def _solve(F: np.ndarray, r: np.ndarray) -> _Found:
    from scipy.optimize import nnls

    E = np.concatenate([-F.T, -r[None]])
    target = np.zeros(len(E))
    target[-1] = 1.0
    try:
        u = nnls(E, target, maxiter=10 * sum(F.shape))[0]
    except RuntimeError:  # its limit of iterations
        return _Found(None, 1.0, optimal=False)
    v = E @ u - target
    distance, largest = float(np.linalg.norm(v)), float(np.abs(r).max())
    y, multipliers = _from_active(F[u > 0], r[u > 0])
    if (F @ y - r).max() <= 1e-10 * largest and (multipliers >= 0).all():
        return _Found(y, distance, optimal=True)
    candidates = [y, v[:-1] / -v[-1]] if v[-1] < 0 else [y]
    broken = [float((F @ y - r).max()) if np.isfinite(y).all() else np.inf for y in candidates]
    best = candidates[int(np.argmin(broken))]
    rounding = 1e-6 * largest + 64 * EPS * (1 + float(np.linalg.norm(best)))
    return _Found(best if min(broken) <= min(rounding, largest / 2) else None, distance, optimal=False)


def _from_active(F: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shortest y with `F y = r` for independent rows, and lam with `y = -F' lam`; NaN if dependent."""
    from scipy.linalg import solve_triangular

    if 0 < len(F) <= F.shape[1]:
        basis, upper = np.linalg.qr(F.T)
        if np.abs(np.diag(upper)).min() > EPS:
            inner = solve_triangular(upper.T, r, lower=True)
            return basis @ inner, -solve_triangular(upper, inner)
    return np.full(F.shape[1], np.nan), np.full(len(F), np.nan)


def deepest_direction(F: np.ndarray) -> np.ndarray | None:  # (q, n) -> (n,)
    """The shortest e with `F e <= -1`, scaled so that the largest entry of `F e` is -1; None if none is.

    No rows: e = 0. By duality the depth `-max(F e) / |e|` of every e is at most `|F' u|` for all
    `u >= 0` of sum 1, so "none" means a depth below 1e-12, which rounding could have made. Should
    the least squares fail, a direction of at least about half the depth comes from the centre of
    the cone cut off by a box.
    """
    if not len(F):
        return np.zeros(F.shape[1])
    e, certain = _shortest(F, -np.ones(len(F)))
    if e is None and not certain:
        eye, bound = np.eye(F.shape[1]), np.repeat([0.0, 1.0], [len(F), 2 * F.shape[1]])
        e = central_point(np.concatenate([F, eye, -eye]), bound)
    if e is None or not (depth := -float((F @ e).max())) > 8 * EPS * np.linalg.norm(e):
        return None
    return e / depth
