"""quadprog: the dual active-set method of Goldfarb and Idnani, dense, one point at a time.

    theirs   min 1/2 x'G x - a'x,  R'x >= r, the first `meq` of them equalities
    ours     G = I, given as its inverse factor, a = y, R' = [C; -G], r = [d; -h]

It starts from y itself and has no memory from one point to the next. Equalities that depend on each
other, with which it fails, are replaced beforehand, see `Rows`.
Where rows hold each other up, at the apex of a cone say, rounding makes it call one set in a hundred
empty that is not: it is believed only if it says so again with the inequalities relaxed by 1e-14.
Accuracy: to rounding; it has no tolerance, and `tol` is only what an answer is checked against.
Cost: one iteration for each row that enters or leaves the active set, each O(n^2), and a copy of
the rows a point.
Source: Goldfarb and Idnani, "A numerically stable dual method for solving strictly convex quadratic
programs", Mathematical Programming 27, 1983.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

RELAXATION = 1e-14


@dataclass(frozen=True)
class _Problem:
    identity: np.ndarray
    columns: np.ndarray
    bounds: np.ndarray
    relaxation: np.ndarray
    p: int
    size: float


class Quadprog(AbstractPointwise):
    """Projection by quadprog, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`; every `tol` gives the same points.
    """

    name, requires, citation = "quadprog", ("quadprog",), "goldfarb1983"
    default_tol = 1e-11
    settings = accuracies(default=1e-11)

    def start(self, rows: Rows, tol: float) -> _Problem:
        """The rows in its layout."""
        G, h = rows.one_sided()
        columns = np.ascontiguousarray(np.concatenate([rows.C, -G]).T)
        p = len(rows.C)
        relaxation = RELAXATION * (np.arange(p + len(G)) >= p)
        return _Problem(np.eye(G.shape[1]), columns, np.concatenate([rows.d, -h]), relaxation, p, rows.size)

    def nearest(self, solver: _Problem, point: np.ndarray) -> tuple[Any, Status]:
        """One call, a second one where rounding spoilt the first."""
        x = _call(solver, point, solver.bounds)
        if x is None:
            size = max(float(np.abs(point).max()), solver.size)
            x = _call(solver, point, solver.bounds - size * solver.relaxation)
        return x, Status.INFEASIBLE if x is None else Status.SOLVED


def _call(problem: _Problem, point: np.ndarray, bounds: np.ndarray) -> np.ndarray | None:
    """The nearest point, `None` if quadprog finds the rows inconsistent."""
    from quadprog import solve_qp

    try:
        return solve_qp(problem.identity, point, problem.columns, bounds, problem.p, True)[0]
    except ValueError as error:
        if "constraints are inconsistent" in str(error):
            return None
        raise
