"""A solver that takes one point after another: what is left for its adapter are two short methods."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status
from ._rows import Rows

SLACK = 100.0
"""A residual of a solver is a norm of its own, of its scaled problem: this many `tol` are let pass."""


@dataclass(frozen=True)
class _State:
    rows: Rows
    solver: Any


class AbstractPointwise(AbstractProjection):
    """A projection that solves one problem a row, all of them with the rows of one set, see `Rows`.

    An adapter defines `start` (once a set) and `nearest` (once a point). A set that is empty at first
    sight, and one without rows, do not reach the solver.

    A point is SOLVED if the solver says so and no row of unit norm is exceeded by more than
    `SLACK * tol`, and at least 1e-9, times the largest of 1, the entries of y and the bounds. Where
    no point of a batch is solved, a linear program decides whether the set is empty.
    """

    bounds: ClassVar[bool] = False
    """Whether the solver treats rows with one non-zero entry apart, as bounds of a feature."""

    @abstractmethod
    def start(self, rows: Rows, tol: float) -> Any:
        """Set up the solver for the set; what it returns is handed to `nearest`.

        Options of an adapter are named arguments with defaults.
        """

    @abstractmethod
    def nearest(self, solver: Any, point: np.ndarray) -> tuple[Any, Status]:
        """The point of the set nearest to `point` (n,), and what the solver says of it."""

    @final
    def setup(self, polyhedron: Polyhedron, tol: float, **options: Any) -> _State:
        """The rows, and the solver set up for them."""
        rows = Rows.of(polyhedron, self.bounds)
        return _State(rows, None if rows.trivial else self.start(rows, tol, **options))

    @final
    def solve(self, state: _State, y: np.ndarray) -> tuple[np.ndarray, list[Status]]:
        """One problem a row, then a look at all points at once."""
        if (answer := state.rows.answer_if_trivial(y)) is not None:
            return answer
        x, statuses = np.full_like(y, np.nan), []
        for i, point in enumerate(y):
            found, status = self.nearest(state.solver, point)
            if status in (Status.SOLVED, Status.INACCURATE):
                x[i] = found
            statuses.append(status)
        return x, state.rows.verdicts(x, y, statuses, max(SLACK * self.tol, 1e-9))
