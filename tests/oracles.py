"""Answers known without the code under test: closed forms, one by Lawson and Hanson, one in fractions.

NumPy and SciPy only; points are rows, (q, n) -> (q, n), float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

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


def project_knapsack(
    a: np.ndarray, lower: np.ndarray, upper: np.ndarray, low: np.ndarray, high: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Onto {low <= x <= high, lower <= a x <= upper}, rows of a without a common feature: by bisection.

    With the sign of its multiplier known, a row is met to the last bit that bisection can tell.
    """
    x = np.clip(y, low, high)
    for row, least, most in zip(a, lower, upper, strict=True):
        used = row != 0
        for q in np.flatnonzero((x @ row > most) | (x @ row < least)):
            target = np.clip(x[q] @ row, least, most)
            point, w = y[q, used], row[used]
            right = 1e3 * (1 + np.abs(point).max())
            left = -right
            ends = np.clip(point - np.array([[left], [right]]) * w, low[used], high[used]) @ w
            if not ends[0] >= target >= ends[1]:
                raise ArithmeticError("the oracle itself failed: its bracket is too narrow")
            for _ in range(100):
                lam = (left + right) / 2
                above = np.clip(point - lam * w, low[used], high[used]) @ w > target
                left, right = (lam, right) if above else (left, lam)
            x[q, used] = np.clip(point - right * w, low[used], high[used])
    return x


def project_simplex(y: np.ndarray) -> np.ndarray:
    """Onto {x >= 0, sum x = 1}, by sorting (Held, Wolfe, Crowder 1974)."""
    descending = -np.sort(-y, axis=1)
    thresholds = (np.cumsum(descending, axis=1) - 1) / np.arange(1, y.shape[1] + 1)
    support = (descending > thresholds).sum(1)
    return np.maximum(y - thresholds[np.arange(len(y)), support - 1, None], 0.0)


def project_monotone(y: np.ndarray) -> np.ndarray:
    """Onto {x_1 <= ... <= x_n}: x_i is the largest over j <= i of the least mean of y_j..y_k, k >= i."""
    x = np.empty_like(y)
    for q, row in enumerate(y):
        n, sums = len(row), np.concatenate([[0.0], np.cumsum(row)])
        means = np.array(
            [
                [(sums[k + 1] - sums[j]) / (k + 1 - j) if k >= j else np.inf for k in range(n)]
                for j in range(n)
            ]
        )
        x[q] = [max(means[j, i:].min() for j in range(i + 1)) for i in range(n)]
    return x


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


def project_exactly(
    rows: Sequence[Sequence[Fraction]],
    bounds: Sequence[Fraction],
    equalities: int,
    y: Sequence[Fraction],
) -> list[Fraction] | None:
    """Onto {rows x <= bounds}, the first `equalities` of them equalities, in rational arithmetic.

    Every set of independent rows that contains no more than n of them is tried as the active one, the
    smallest first: x is the nearest point of the rows taken as equalities, accepted if it satisfies all
    rows with multipliers of the right sign. Exponential: for a dozen rows. `None` if the set is empty.
    """
    base = _independent(rows[:equalities])
    for k in range(len(y) - len(base) + 1):
        for chosen in combinations(range(equalities, len(rows)), k):
            active = [*base, *chosen]
            N = [rows[i] for i in active]
            excess = [_dot(rows[i], y) - bounds[i] for i in active]
            multipliers = _solve([[_dot(a, b) for b in N] for a in N], excess)
            if multipliers is None or any(v < 0 for v in multipliers[len(base) :]):
                continue
            x = [v - _dot(multipliers, [a[j] for a in N]) for j, v in enumerate(y)]
            residuals = [_dot(a, x) - h for a, h in zip(rows, bounds, strict=True)]
            if all(r == 0 if i < equalities else r <= 0 for i, r in enumerate(residuals)):
                return x
    return None


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))


def _independent(rows: Sequence[Sequence[Fraction]]) -> list[int]:
    """Indices of a largest independent part of the rows, the first ones first."""
    kept: list[int] = []
    for i in range(len(rows)):
        trial = [rows[k] for k in [*kept, i]]
        if _solve([[_dot(a, b) for b in trial] for a in trial], [Fraction(0)] * len(trial)) is not None:
            kept.append(i)
    return kept


def _solve(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """Gauss and Jordan; `None` for a singular matrix."""
    work = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(work)):
        pivot = next((k for k in range(i, len(work)) if work[k][i] != 0), None)
        if pivot is None:
            return None
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [value / work[i][i] for value in work[i]]
        for k in range(len(work)):
            if k != i and work[k][i] != 0:
                work[k] = [a - work[k][i] * b for a, b in zip(work[k], work[i], strict=True)]
    return [row[-1] for row in work]


def jacobian(function, y: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Central differences of `function`, (q, n) -> (q, n), at a point `y` (n,): [i, j] is dx_i / dy_j."""
    steps = step * np.eye(len(y))
    return (function(y + steps) - function(y - steps)).T / (2 * step)
