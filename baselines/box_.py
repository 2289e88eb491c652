"""A box in closed form: `x = min(max(y, low), high)`, feature by feature.

For sets whose rows, equalities included, have a single non-zero entry each; the tightest bounds of a
feature count.
Accuracy: exact, up to the rounding of the bounds. Cost: one pass. Source: Boyd and Vandenberghe,
Convex Optimization, section 8.1.1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status
from ._rows import Rows
from ._tensors import Constants, all_solved, none_solved


class ClosedBox(AbstractProjection):
    """Projection onto a box, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; every `tol` gives the same points.
    """

    name, citation = "closed_box", "boyd2004"
    batched, tensors = True, True
    default_tol = 1e-11

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Rows with a single non-zero entry only."""
        entries = np.count_nonzero(np.concatenate([polyhedron.A, polyhedron.C]), axis=1)
        wide = int((entries > 1).sum())
        return f"{wide} rows have more than one non-zero entry, so it is no box" if wide else None

    def setup(self, polyhedron: Polyhedron, tol: float) -> Constants | None:
        """The bounds; `None` for an empty box."""
        P = polyhedron
        rows, lower, upper = (np.concatenate(pair) for pair in ((P.A, P.C), (P.lower, P.d), (P.b, P.d)))
        bounds = Rows.of(Polyhedron(rows, upper, lower=lower), bounds=True)
        return None if bounds.contradiction else Constants(bounds.low, bounds.high)

    def solve(self, state: Constants | None, y: Tensor) -> tuple[Tensor, list[Status]]:
        """One clamp."""
        if state is None:
            return none_solved(y)
        low, high = state.like(y)
        return torch.minimum(torch.maximum(y, low), high), all_solved(y)
