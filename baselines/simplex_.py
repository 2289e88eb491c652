"""A simplex in closed form, by sorting.

    x = max(y - t, 0),   t such that sum x = total

for `{x >= low, sum_i x_i = total}`, here shifted to low = 0. With y sorted in descending order,
t = (y_1 + ... + y_k - total) / k for the largest k with y_k > t.
Accuracy: rounding. Cost: a sort and a running sum, O(n log n) a point.
Source: Held, Wolfe, Crowder, "Validation of subgradient optimization", Mathematical Programming 6, 1974.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status
from ._rows import Rows
from ._tensors import Constants, all_solved, none_solved, widened

EMPTY = -1e-12
"""A total below it, relative to the bounds, leaves no point; rounding lies above."""


@dataclass(frozen=True)
class _State:
    constants: Constants
    total: float
    empty: bool


class ClosedSimplex(AbstractProjection):
    """Projection onto a simplex, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; every `tol` gives the same points.
    """

    name, citation = "closed_simplex", "held1974"
    batched, tensors = True, True
    default_tol = 1e-11

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """One equality with equal coefficients, a lower bound on each feature, nothing else."""
        rows = Rows.of(polyhedron, bounds=True)
        if rows.contradiction or len(rows.C) != 1 or np.ptp(rows.C[0]) != 0:
            return "expected one equality, with the same coefficient for every feature"
        if len(rows.A) or not np.isfinite(rows.low).all() or np.isfinite(rows.high).any():
            return "expected a lower bound on every feature and no other inequality"
        return None

    def setup(self, polyhedron: Polyhedron, tol: float) -> _State:
        """The lower bounds and what is left to share out above them."""
        rows = Rows.of(polyhedron, bounds=True)
        total = float(rows.d[0] / rows.C[0, 0])
        left = total - float(rows.low.sum())
        size = max(abs(total), float(np.abs(rows.low).sum()))
        counts = np.arange(1.0, polyhedron.n + 1)
        return _State(Constants(rows.low, counts), max(left, 0.0), left < EMPTY * size)

    def solve(self, state: _State, y: Tensor) -> tuple[Tensor, list[Status]]:
        """All rows at once."""
        if state.empty:
            return none_solved(y)
        points = widened(y)
        low, counts = state.constants.like(points)
        above = points - low
        # The answer does not change when all features of a row are shifted by the same number; with
        # the largest at 0 the running sums keep their digits for points far from the set.
        above = above - above.amax(-1, keepdim=True)
        descending = above.sort(-1, descending=True).values
        thresholds = (descending.cumsum(-1) - state.total) / counts
        support = (descending > thresholds).sum(-1, keepdim=True).clamp_min(1)
        threshold = thresholds.gather(-1, support - 1)
        return (above - threshold).clamp_min(0.0) + low, all_solved(y)
