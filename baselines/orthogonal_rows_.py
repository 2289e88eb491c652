"""Mutually orthogonal rows, in closed form: each row moves the point along its own normal.

    x = y - R' (R y - min(max(R y, low), high)),    R the rows of A and C, of unit norm

R y stays what it is within the bounds of its row and goes to the nearest of them otherwise; as the
rows are orthogonal, no row changes the product of another.
Accuracy: rounding. Cost: two products with R.
Source: Boyd and Vandenberghe, Convex Optimization, section 8.1.1, a row at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status
from ._rows import ROUNDING, Rows
from ._tensors import Constants, all_solved, none_solved, widened


class ClosedOrthogonal(AbstractProjection):
    """Projection onto a set with orthogonal rows, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; every `tol` gives the same points.
    """

    name, citation = "closed_orthogonal", "boyd2004"
    batched, tensors = True, True
    default_tol = 1e-11

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Rows whose products with each other vanish; equalities that depend on each other are one."""
        R = _rows(polyhedron)[0]
        if len(R) > polyhedron.n:
            return f"{len(R)} rows in {polyhedron.n} dimensions are not orthogonal"
        largest = float(np.abs(R @ R.T - np.eye(len(R))).max(initial=0.0))
        return None if largest <= ROUNDING else f"rows are not orthogonal: a cosine of {largest:.1e}"

    def setup(self, polyhedron: Polyhedron, tol: float) -> Constants | None:
        """The rows and their bounds; `None` for an empty set."""
        R, low, high, contradiction = _rows(polyhedron)
        return None if contradiction else Constants(R, low, high)

    def solve(self, state: Constants | None, y: Tensor) -> tuple[Tensor, list[Status]]:
        """All rows at once."""
        if state is None:
            return none_solved(y)
        points = widened(y)
        R, low, high = state.like(points)
        product = points @ R.mT
        beyond = product - torch.minimum(torch.maximum(product, low), high)
        return torch.addmm(points, beyond, R, alpha=-1.0), all_solved(y)


def _rows(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    rows = Rows.of(polyhedron)
    low, high = np.concatenate([rows.lower, rows.d]), np.concatenate([rows.upper, rows.d])
    return np.concatenate([rows.A, rows.C]), low, high, rows.contradiction
