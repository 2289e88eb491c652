"""Answers known without the code under test: closed-form projections, and one by Lawson and Hanson.

NumPy and SciPy only; points are rows, (q, n) -> (q, n), float64.
"""

from __future__ import annotations

import numpy as np


def project_box(lower: np.ndarray, upper: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Onto {lower <= x <= upper}."""
    return np.clip(y, lower, upper)


def project_half_space(a: np.ndarray, b: float, y: np.ndarray) -> np.ndarray:
    """Onto {a x <= b}: against the normal by the excess."""
    return y - np.maximum(y @ a - b, 0.0)[:, None] * a / (a @ a)


def project_affine(C: np.ndarray, d: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Onto {C x = d}, rows of C independent."""
    return y - np.linalg.solve(C @ C.T, (y @ C.T - d).T).T @ C


def project_orthogonal_rows(A: np.ndarray, y: np.ndarray, b: np.ndarray | float = 0.0) -> np.ndarray:
    """Onto {A x <= b}, rows of A mutually orthogonal: against each normal by its own excess."""
    return y - np.maximum(y @ A.T - b, 0.0) / (A * A).sum(1) @ A


def project_simplex(y: np.ndarray) -> np.ndarray:
    """Onto {x >= 0, sum x = 1}, by sorting (Held, Wolfe, Crowder 1974)."""
    descending = -np.sort(-y, axis=1)
    thresholds = (np.cumsum(descending, axis=1) - 1) / np.arange(1, y.shape[1] + 1)
    support = (descending > thresholds).sum(1)
    return np.maximum(y - thresholds[np.arange(len(y)), support - 1, None], 0.0)


def project_cone(A: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Onto {A x <= 0} by Moreau: y = x + A' lam, with lam the non-negative least-squares coefficients.

    `nnls` returns a wrong answer without a word for some dependent rows, so each is checked: x
    feasible, orthogonal to y - x, and y - x by construction a combination with lam >= 0.
    """
    from scipy.optimize import nnls

    norms = np.linalg.norm(A, axis=1)
    rows = A[norms > 0] / norms[norms > 0, None]
    x = np.array([point - rows.T @ nnls(rows.T, point)[0] for point in y]).reshape(y.shape)
    size = np.abs(y).max(initial=1.0)
    if (x @ rows.T).max(initial=0.0) > 1e-9 * size or np.abs(((y - x) * x).sum(1)).max() > 1e-9 * size**2:
        raise ArithmeticError("the oracle itself failed: nnls did not reach the optimum")
    return x


def jacobian(function, y: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences of `function`, (q, n) -> (q, n), at a point `y` (n,): [i, j] is dx_i / dy_j."""
    steps = step * np.eye(len(y))
    return (function(y + steps) - function(y - steps)).T / (2 * step)
