"""DAQP: dual active set, dense, one point at a time, to machine precision.

    theirs   min 1/2 x'H x + f'x,  l <= [x; R x] <= u, the bounds on x itself first
    ours     H = I, f = -y, R = the rows of A and C with more than one non-zero entry, of unit norm

Rows with a single non-zero entry become bounds on a feature, which DAQP handles without storing
them. The factorisation is kept; only `f` changes. DAQP starts each point from the active set of the
previous one: the answer is the exact optimum either way, as the stationarity and the signs of the
multipliers are checked anew for each point.
Accuracy: rows are exceeded by at most `tol`, usually by rounding only; by ten `tol` times the
largest entry of y and of the bounds where rounding is larger than `tol`. Cost: one iteration for
each row that enters or leaves the active set, each one product with R. Needs daqp 0.10 or newer:
0.8 and 0.9 call sets empty that are not.
Source: Arnstrom, Bemporad, Axehill, "A dual active-set solver for embedded quadratic programming
using recursive LDL^T updates", IEEE Transactions on Automatic Control 67(8), 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from constrained.errors import EngineError
from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status, accuracies

INFINITY = 1e30
EQUALITY = 5
OPTIMAL, INFEASIBLE, OVERDETERMINED = 1, -1, -6
STATUS = {OPTIMAL: Status.SOLVED, INFEASIBLE: Status.INFEASIBLE}


@dataclass(frozen=True)
class _State:
    model: Any
    empty: bool
    largest_bound: float


class Daqp(AbstractProjection):
    """Projection by DAQP, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; `tol` is DAQP's `primal_tol`. Its `dual_tol`
            stays at DAQP's own 1e-12. "default" is DAQP's own primal 1e-6; 1e-11 by default.
    """

    name, requires, citation = "daqp", ("daqp",), "arnstrom2022"
    default_tol = 1e-11
    settings = accuracies(default=1e-6)

    def setup(self, polyhedron: Polyhedron, tol: float) -> _State:
        """One DAQP workspace; an empty set may be noticed here already."""
        import daqp

        rows, lower, upper = _bounds_first(polyhedron)
        sense = np.where(lower == upper, EQUALITY, 0).astype(np.intc)
        model, n = daqp.Model(), polyhedron.n
        flag, _ = model.setup(np.eye(n), np.zeros(n), rows, upper, lower, sense)
        if flag < 0 and flag not in (INFEASIBLE, OVERDETERMINED):
            raise EngineError(f"daqp could not set up {polyhedron}: exit flag {flag}")
        finite = np.abs(np.concatenate([lower, upper, [1.0]]))
        return _State(model, flag < 0, float(finite[finite < INFINITY].max()))

    def solve(self, state: _State, y: np.ndarray) -> tuple[np.ndarray, list[Status]]:
        """One update of `f` and one solve a row, a second one where rounding spoilt the first."""
        x, statuses = np.full_like(y, np.nan), []
        if state.empty:
            return x, [Status.INFEASIBLE] * len(y)
        for i, (f, size) in enumerate(zip(-y, np.abs(y).max(-1).tolist(), strict=True)):
            state.model.update(f=f)
            point, flag = _attempt(state.model, self.tol)
            if flag != OPTIMAL:
                # Far from the origin rounding alone exceeds the tolerance, and DAQP then calls the
                # set empty: it is believed only at a tolerance relative to the point and the bounds.
                point, flag = _attempt(state.model, 10 * self.tol * max(size, state.largest_bound))
            if flag > 0:
                x[i] = point
            statuses.append(STATUS.get(flag, Status.INACCURATE if flag > 0 else Status.FAILED))
        return x, statuses


def _attempt(model: Any, tolerance: float) -> tuple[np.ndarray, int]:
    model.settings = {"primal_tol": tolerance}
    point, _, flag, _ = model.solve()
    return point, flag


def _bounds_first(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """DAQP's layout: (g, n) general rows; lower and upper, (g,), or (n + g,) if there are bounds."""
    rows = np.concatenate([polyhedron.A, polyhedron.C])
    lower = np.concatenate([polyhedron.lower, polyhedron.d])
    upper = np.concatenate([polyhedron.b, polyhedron.d])
    norms = np.linalg.norm(rows, axis=1)
    norms[norms == 0] = 1.0
    rows, lower, upper = rows / norms[:, None], lower / norms, upper / norms
    single = np.count_nonzero(rows, axis=1) == 1
    if single.any():
        low, high = _bounds(rows[single], lower[single], upper[single])
        rows = rows[~single]
        lower, upper = np.concatenate([low, lower[~single]]), np.concatenate([high, upper[~single]])
    return rows, np.maximum(lower, -INFINITY), np.minimum(upper, INFINITY)


def _bounds(rows: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (s, n) of one entry, 1 or -1, as bounds (n,) and (n,), the tightest for each feature."""
    feature = np.abs(rows).argmax(1)
    negative = rows[np.arange(len(rows)), feature] < 0
    low, high = np.full(rows.shape[1], -np.inf), np.full(rows.shape[1], np.inf)
    np.maximum.at(low, feature, np.where(negative, -upper, lower))
    np.minimum.at(high, feature, np.where(negative, -lower, upper))
    return low, high
