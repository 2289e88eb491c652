"""The inputs: each a set as it is given, points, and a well-posed description of the same set to judge by.

All are small, so that the nearest points are certain: two oblique rows in three dimensions, or bounds,
where the badness lets them be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from baselines.peers import Problem
from constrained.polyhedron import Polyhedron

from ..exact_projection import nearest_points
from ..problems._base import Instance

ROWS = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
BOUNDS = np.ones(2)
POINTS = np.array([[2.0, 1.0, 0.5], [0.2, 3.0, 0.1], [-1.0, 0.5, 2.0], [-2.0, -1.0, -3.0]])
"""Three points outside `ROWS x <= BOUNDS`, one inside."""
BOUND_ROWS = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
CONE = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Case:
    """One input of the table.

    Attributes:
        name, description: for the report.
        A, b: the set as it is given, `A x <= b`; need not be fit for a `Polyhedron`.
        points: (q, n) float64.
        twin: the same set without what is bad in its description; None if it has no points or no meaning.
    """

    name: str
    description: str
    A: np.ndarray
    b: np.ndarray
    points: np.ndarray = field(default_factory=POINTS.copy)
    twin: Polyhedron | None = None

    @property
    def polyhedron(self) -> Polyhedron:
        """As a user makes it; refuses what is no set."""
        return Polyhedron(self.A, self.b)

    @property
    def problem(self) -> Problem:
        """For a layer of another paper: the numbers as they are."""
        n, p = self.A.shape[1], 0
        return Problem(self.A, self.b, np.full(len(self.b), -np.inf), np.zeros((p, n)), np.zeros(p))

    @property
    def spoiled(self) -> np.ndarray:
        """(q,) whether a point has an entry that is not finite."""
        return np.asarray(~np.isfinite(self.points).all(axis=1))

    @property
    def scale(self) -> float:
        """The size of the points, at least 1."""
        return float(np.abs(self.points[~self.spoiled]).max(initial=1.0))

    def nearest(self) -> np.ndarray | None:
        """(q, n) the exact projections, NaN for a spoiled point; None if there are none."""
        if self.twin is None:
            return None
        found = np.full_like(self.points, np.nan)
        # In units of the points' size, in which the judge's own tolerances are meant.
        P, s = self.twin, self.scale
        instance = Instance(self.name, Polyhedron(P.A, P.b / s, P.C, P.d / s, P.lower / s), self.points)
        found[~self.spoiled] = s * nearest_points(instance, self.points[~self.spoiled] / s)
        return found


def _nan_sample() -> np.ndarray:
    points = POINTS.copy()
    points[1, 0] = np.nan
    return points


def _nan_matrix() -> np.ndarray:
    rows = ROWS.copy()
    rows[0, 1] = np.nan
    return rows


TWIN = Polyhedron(ROWS, BOUNDS)

CASES: tuple[Case, ...] = (
    Case("infeasible", "x1 <= -1 and x1 >= 1", BOUND_ROWS[:2], np.array([-1.0, -1.0])),
    Case("nan_matrix", "one entry of A is NaN", _nan_matrix(), BOUNDS),
    Case("nan_sample", "one point of the batch has a NaN", ROWS, BOUNDS, _nan_sample(), TWIN),
    Case(
        "empty_interior", "x1 <= 0 and x1 >= 0 as two inequalities, x2 <= 1",
        BOUND_ROWS, np.array([0.0, 0.0, 1.0]),
        twin=Polyhedron(BOUND_ROWS[2:], [1.0], C=BOUND_ROWS[:1], d=[0.0]),
    ),
    Case(
        "zero_row", "a row 0 x <= 1 among the others",
        np.vstack([ROWS[:1], np.zeros((1, 3)), ROWS[1:]]), np.ones(3), twin=TWIN,
    ),
    Case("duplicate_rows", "every row twice", np.vstack([ROWS, ROWS]), np.ones(4), twin=TWIN),
    Case(
        "redundant_rows", "a looser copy of a row and the sum of the rows",
        np.vstack([ROWS, ROWS[:1], ROWS.sum(axis=0, keepdims=True)]), np.array([1.0, 1.0, 5.0, 2.0]),
        twin=TWIN,
    ),
    Case(
        "scaled_rows",
        "the rows times 1e-8 and 1e8, judged without these factors; an adapter may scale rows itself, a peer "
        "gets them as they are",
        ROWS * [[1e-8], [1e8]], np.array([1e-8, 1e8]), twin=TWIN,
    ),
    Case("huge_points", "points of size 1e8", ROWS, BOUNDS, 1e8 * POINTS, TWIN),
    Case(
        "inside", "every point is in the set, one on its boundary", ROWS, BOUNDS,
        np.array([[-1.0, 0.0, 0.5], [0.5, 0.5, 0.5], [-2.0, -1.0, -3.0]]), TWIN,
    ),
    Case(
        "apex", "a pointed cone, and its apex is the nearest point", CONE, np.zeros(3),
        np.array([[1.0, 1.0, 1.0], [2.0, 3.0, 4.0]]) @ CONE, Polyhedron(CONE),
    ),
    Case(
        "no_rows", "m = 0: the whole space", np.zeros((0, 3)), np.zeros(0),
        twin=Polyhedron(np.zeros((0, 3))),
    ),
)  # fmt: skip
