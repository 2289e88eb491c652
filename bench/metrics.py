"""The judge: how feasible and how near, in float64, from the set and the returned numbers alone.

Nothing here asks a method or a solver what it thinks of its own result, and nothing here calls the
code that is being judged.
"""

from __future__ import annotations

import numpy as np

from constrained.polyhedron import Polyhedron


def violations(polyhedron: Polyhedron, x: np.ndarray) -> np.ndarray:  # (q, n) -> (q,)
    """The largest `A x - b`, `lower - A x` or `|C x - d|` of each point, 0 if none is positive.

    A point with NaN or infinity counts as infinitely wrong.
    """
    finite = np.all(np.isfinite(x), axis=1, keepdims=True)
    x = np.where(finite, x, 0.0)
    product = x @ polyhedron.A.T
    parts = [product - polyhedron.b, polyhedron.lower - product, np.abs(x @ polyhedron.C.T - polyhedron.d)]
    worst = np.max(np.concatenate([*parts, np.zeros((len(x), 1))], axis=1), axis=1)
    return np.where(finite.ravel(), worst, np.inf)


def infeasible_share(polyhedron: Polyhedron, x: np.ndarray) -> float:
    """The share of points that break some row by any amount at all."""
    return float(np.mean(violations(polyhedron, x) > 0))


def distance(x: np.ndarray, nearest: np.ndarray) -> float:  # (q, n), (q, n)
    """The largest `||x - nearest|| / max(1, ||nearest||)`: how far a projection is from the true one."""
    error = np.linalg.norm(x - nearest, axis=1) / np.maximum(1.0, np.linalg.norm(nearest, axis=1))
    return float(np.max(np.where(np.isfinite(error), error, np.inf), initial=0.0))


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
