"""The rows of a set as solvers like them, and the second look at what a solver returned.

Every row has Euclidean norm 1, so that a residual is a distance and rows of sizes 1e8 apart weigh the
same; rows of zeros and rows without a bound are gone; an inequality with lower = b is an equality;
equalities that depend on each other are replaced by an orthonormal basis of their span. Only the
numbers change, the set does not. A set that is empty by a row of zeros, by equalities, or by two
bounds on one feature is found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import Status

ROUNDING = 1e-12
"""Relative size below which a number left by the elimination of equalities counts as zero."""
LP_ACCURACY = 1e-7
"""Of the linear program that decides emptiness: HiGHS's own feasibility tolerance."""


@dataclass(frozen=True)
class Rows:
    """`{x : lower <= A x <= upper, C x = d, low <= x <= high}`, rows of unit norm.

    Attributes:
        A, lower, upper: (m, n), (m,), (m,) inequalities, each with a finite bound; infinite otherwise.
        C, d: (p, n), (p,) linearly independent equalities.
        low, high: (n,) bounds of the features, infinite where there is none; rows with a single
            non-zero entry are here and not in A if `bounds` was asked for.
        contradiction: whether the set is empty at first sight.
    """

    A: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    C: np.ndarray
    d: np.ndarray
    low: np.ndarray
    high: np.ndarray
    contradiction: bool

    @classmethod
    def of(cls, polyhedron: Polyhedron, bounds: bool = False) -> Rows:
        """The rows of a polyhedron; `bounds`: rows with a single entry as bounds of a feature."""
        A, lower, upper, broken = _unit(polyhedron.A, polyhedron.lower, polyhedron.b)
        C, d, _, broken_too = _unit(polyhedron.C, polyhedron.d, polyhedron.d)
        n = polyhedron.n
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        if bounds:
            single = np.count_nonzero(A, axis=1) == 1
            low, high = _tightest(A[single], lower[single], upper[single])
            A, lower, upper = A[~single], lower[~single], upper[~single]
        crossed = bool((low > high + ROUNDING * (1 + np.abs(low))).any())
        fixed = lower == upper
        C, d, inconsistent = _independent(np.concatenate([C, A[fixed]]), np.concatenate([d, upper[fixed]]))
        contradiction = broken or broken_too or crossed or inconsistent
        return cls(A[~fixed], lower[~fixed], upper[~fixed], C, d, low, np.maximum(low, high), contradiction)

    @property
    def unconstrained(self) -> bool:
        """Whether no row and no bound is left: the whole space."""
        return not (len(self.A) or len(self.C) or np.isfinite([self.low, self.high]).any())

    @property
    def trivial(self) -> bool:
        """Whether `answer_if_trivial` has the answer, so that no solver is needed."""
        return self.contradiction or self.unconstrained

    def answer_if_trivial(self, y: np.ndarray) -> tuple[np.ndarray, list[Status]] | None:
        """What the set, empty at first sight or the whole space, makes of any points `y` (q, n)."""
        if self.contradiction:
            return np.full_like(y, np.nan), [Status.INFEASIBLE] * len(y)
        return (y, [Status.SOLVED] * len(y)) if self.unconstrained else None

    def one_sided(self) -> tuple[np.ndarray, np.ndarray]:
        """`(G, h)`: A and its bounds as `G x <= h`, bounds of features not included."""
        above, below = np.isfinite(self.upper), np.isfinite(self.lower)
        G = np.concatenate([self.A[above], -self.A[below]])
        return G, np.concatenate([self.upper[above], -self.lower[below]])

    def excess(self, x: np.ndarray) -> np.ndarray:  # (q, n) -> (q,)
        """The largest amount by which a row is broken; NaN for NaN."""
        product = x @ self.A.T
        parts = [product - self.upper, self.lower - product, np.abs(x @ self.C.T - self.d)]
        if np.isfinite([self.low, self.high]).any():
            parts += [x - self.high, self.low - x]
        return np.concatenate(parts, axis=1).max(1, initial=-np.inf)

    @cached_property
    def size(self) -> float:
        """The largest finite bound, the scale of the set."""
        numbers = np.concatenate([self.lower, self.upper, self.d, self.low, self.high])
        return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))

    @cached_property
    def empty(self) -> bool:
        """Whether no point satisfies all rows, by a linear program: the least t that all may be broken by.

        The program has a point whatever the set is, so its answer is a number and never a verdict
        of a solver on feasibility.
        """
        if self.contradiction:
            return True
        from scipy.optimize import linprog

        G, h = self.one_sided()
        rows, right = np.concatenate([G, self.C, -self.C]), np.concatenate([h, self.d, -self.d])
        n = self.A.shape[1]
        result = linprog(
            np.eye(n + 1)[n],
            A_ub=np.column_stack([rows, -np.ones(len(rows))]),
            b_ub=right / max(1.0, self.size),
            bounds=[
                *np.column_stack([self.low, self.high]) / max(1.0, self.size),
                (0.0, None),
            ],
        )
        return result.status == 0 and result.fun > 10 * LP_ACCURACY

    def verdicts(
        self,
        x: np.ndarray,  # (q, n)
        y: np.ndarray,  # (q, n)
        statuses: Sequence[Status],  # q
        accuracy: float,
    ) -> list[Status]:
        """The statuses of a solver after a look at its points and, where none is solved, at the set.

        A point is SOLVED only if no row is exceeded by more than `accuracy` times the largest of 1,
        the entries of y and the bounds; INACCURATE otherwise. INFEASIBLE is what a set is that a
        linear program finds empty, whether the solver noticed or not; a claim that it refutes is
        FAILED.
        """
        size = np.maximum(np.abs(y).max(1, initial=1.0), self.size)
        good = (self.excess(x) <= accuracy * size).tolist()
        found = [
            Status.INACCURATE if status == Status.SOLVED and not fine else status
            for status, fine in zip(statuses, good, strict=True)
        ]
        if not found or Status.SOLVED in found:
            return found
        if self.empty:
            return [Status.INFEASIBLE] * len(found)
        return [Status.FAILED if status == Status.INFEASIBLE else status for status in found]


def _unit(
    rows: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Rows of unit norm, and whether a row of zeros has bounds that exclude 0."""
    norms = np.linalg.norm(rows, axis=1)
    zero, bounded = norms == 0, np.isfinite(lower) | np.isfinite(upper)
    broken = bool(((lower > 0) | (upper < 0))[zero].any())
    kept = ~zero & bounded
    norms = norms[kept]
    return rows[kept] / norms[:, None], lower[kept] / norms, upper[kept] / norms, broken


def _tightest(
    rows: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # (s, n), (s,), (s,) -> (n,), (n,)
    """Rows with one entry, 1 or -1, as the tightest bounds of each feature."""
    feature = np.abs(rows).argmax(1) if len(rows) else np.zeros(0, dtype=int)
    negative = rows[np.arange(len(rows)), feature] < 0
    low, high = np.full(rows.shape[1], -np.inf), np.full(rows.shape[1], np.inf)
    np.maximum.at(low, feature, np.where(negative, -upper, lower))
    np.minimum.at(high, feature, np.where(negative, -lower, upper))
    return low, high


def _independent(C: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Independent equalities with the same solutions, and whether there are none.

    Rows that are independent stay as they are, with their zeros.
    """
    if not len(C):
        return C, d, False
    left, values, right = np.linalg.svd(C, full_matrices=False)
    rank = int((values > max(C.shape) * ROUNDING * values[0]).sum())
    if rank == len(C):
        return C, d, False
    coefficients = left.T @ d
    rest = d - left[:, :rank] @ coefficients[:rank]
    inconsistent = bool(np.abs(rest).max() > len(C) * ROUNDING * 1e3 * max(1.0, np.abs(d).max()))
    return right[:rank], coefficients[:rank] / values[:rank], inconsistent
