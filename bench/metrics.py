"""The judge: how feasible and how near, in float64, from the set and the returned numbers alone.

Whether a row is broken at all is decided exactly: where rounding could change the sign of `A x - b`,
it is evaluated in rational arithmetic, so that a strict map is neither accused nor acquitted by the
judge's own rounding. Nothing here asks a method or a solver what it thinks of its own result, and
nothing here calls the code that is being judged.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from constrained.polyhedron import Polyhedron


def violations(polyhedron: Polyhedron, x: np.ndarray) -> np.ndarray:  # (q, n) -> (q,)
    """The largest `A x - b`, `lower - A x` or `|C x - d|` of each point, 0 if none is positive.

    A point with NaN or infinity counts as infinitely wrong.
    """
    finite = np.all(np.isfinite(x), axis=1, keepdims=True)
    x = np.where(finite, x, 0.0)
    A, b, lower = polyhedron.A, polyhedron.b, polyhedron.lower
    parts = [_excess(x, A, b), _excess(x, -A, -lower), np.abs(x @ polyhedron.C.T - polyhedron.d)]
    worst = np.max(np.concatenate([*parts, np.zeros((len(x), 1))], axis=1), axis=1)
    return np.where(finite.ravel(), worst, np.inf)


def _excess(x: np.ndarray, rows: np.ndarray, bound: np.ndarray) -> np.ndarray:  # (q, n), (m, n) -> (q, m)
    """`x @ rows.T - bound` for finite bounds, in float64, exact where its sign is a matter of rounding."""
    rows, bound = rows[np.isfinite(bound)], bound[np.isfinite(bound)]
    terms = np.count_nonzero(rows, axis=1)
    alone = (terms <= 1) & np.isin(np.abs(rows).sum(1), (0.0, 1.0))  # no rounding but that of one difference
    single = x[:, np.abs(rows[alone]).argmax(1)] * rows[alone].sum(1) - bound[alone]
    rows, bound, terms = rows[~alone], bound[~alone], terms[~alone]
    value = x @ rows.T - bound
    error = (terms + 2) * np.finfo(np.float64).eps * (np.abs(x) @ np.abs(rows).T + np.abs(bound))
    for i, j in np.argwhere((np.abs(value) <= error) & (error > 0)):
        value[i, j] = _exactly(x[i], rows[j], float(bound[j]))
    return np.concatenate([value, single], axis=1)


def _exactly(x: np.ndarray, row: np.ndarray, bound: float) -> float:
    used = np.flatnonzero(row)
    products = (Fraction(float(row[k])) * Fraction(float(x[k])) for k in used)
    return float(sum(products, Fraction(0)) - Fraction(bound))


def infeasible_share(polyhedron: Polyhedron, x: np.ndarray) -> float:
    """The share of points that break some row by any amount at all."""
    return float(np.mean(violations(polyhedron, x) > 0))


def broken_share(polyhedron: Polyhedron, x: np.ndarray) -> float:
    """The share of points that break an inequality by any amount at all: what strict maps promise is 0.

    In floating point most equalities can hold up to rounding only, whatever the map.
    """
    return infeasible_share(Polyhedron(polyhedron.A, polyhedron.b, lower=polyhedron.lower), x)


def distance(x: np.ndarray, nearest: np.ndarray) -> float:  # (q, n), (q, n)
    """The largest `||x - nearest|| / max(1, ||nearest||)`: how far a projection is from the true one."""
    error = np.linalg.norm(x - nearest, axis=1) / np.maximum(1.0, np.linalg.norm(nearest, axis=1))
    return float(np.max(np.where(np.isfinite(error), error, np.inf), initial=0.0))


def success(polyhedron: Polyhedron, x: np.ndarray, nearest: np.ndarray, tolerance: float) -> float:
    """The share of points (q, n) within `tolerance` of the true projection and of every row.

    Distances relative to `max(1, ||nearest||)`, violations of rows of unit norm to the same.
    """
    G, h = stacked_rows(polyhedron)
    size = np.maximum(1.0, np.linalg.norm(nearest, axis=1))
    norms = np.linalg.norm(G, axis=1)
    broken = np.max((x @ G.T - h) / np.where(norms > 0, norms, 1.0), axis=1, initial=0.0)
    worst = np.maximum(np.linalg.norm(x - nearest, axis=1), broken) / size
    return float(np.mean(worst <= tolerance))  # False for NaN


def excess(y: np.ndarray, x: np.ndarray, nearest: np.ndarray) -> float:
    """The median `||y - x|| / ||y - nearest||` over the points outside: 1 is the projection itself."""
    needed = np.linalg.norm(y - nearest, axis=1)
    outside = needed > 1e-9 * np.maximum(1.0, np.linalg.norm(y, axis=1))
    if not outside.any():
        return float("nan")
    return float(np.median(np.linalg.norm(y - x, axis=1)[outside] / needed[outside]))


def kkt_residual(polyhedron: Polyhedron, y: np.ndarray, x: np.ndarray, multipliers: np.ndarray) -> float:
    """How far (x, multipliers) is from proving that x is the nearest point, relative to ||y||.

    With `{z : G z <= h}` the inequalities (`Polyhedron.inequalities`) and then the equalities both
    ways: the largest of stationarity `||x - y + G^T u||`, `(G x - h)+`, `(-u)+` and `|u (G x - h)|`.
    """
    G, h = stacked_rows(polyhedron)
    slack = G @ x - h
    parts = [
        np.linalg.norm(x - y + G.T @ multipliers),
        np.max(slack, initial=0.0),
        np.max(-multipliers, initial=0.0),
        np.max(np.abs(multipliers * slack), initial=0.0),
    ]
    return float(max(parts) / max(1.0, float(np.linalg.norm(y))))


def stacked_rows(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """`(G, h)` with the set equal to `{x : G x <= h}`, each equality as two inequalities."""
    G, h = polyhedron.inequalities()
    C, d = polyhedron.C, polyhedron.d
    return np.concatenate([G, C, -C]), np.concatenate([h, d, -d])
