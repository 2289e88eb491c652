"""HardNet-Aff: correct every row by its own violation, through the pseudo-inverse.

    x = y + R^+ (relu(low - R y) - relu(R y - high)),    R = [A; C], low = [lower; d], high = [b; d]

Promise: feasible, if the rows are linearly independent (R R^+ = I then makes each row exactly clamped);
the nearest point only if they are orthogonal too. Differentiable except where a row is met with equality.
Cost: two products with R; the pseudo-inverse is computed once, at set-up, since A is constant here, while
the authors' code computes it in each call. Tuned: nothing, it has no parameter.
Source: Min, Azizan, "Hard-Constrained Neural Networks with Universal Approximation Guarantees", 2024,
the closed form of HardNet-Aff. No package exists: our own implementation, from the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._base import Problem, independent
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor", "Tensor", "Tensor"]


class HardNetAff(AbstractTorchPeer):
    """The closed form, see `AbstractPeer`."""

    name, citation, environment = "hardnet_aff", "min2024", ""
    requires, reads = ("torch",), ("torch",)
    kind = "feasible"

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Linearly independent rows only: that is what its theorem assumes."""
        rows = np.concatenate([problem.A, problem.C])
        if np.isfinite(rows).all() and not independent(rows):
            return f"the {len(rows)} rows must be linearly independent in {problem.n} features"
        return None

    def setup(self, problem: Problem, tuning: np.ndarray) -> State:
        """The pseudo-inverse (n, m + p), in float64."""
        rows = np.concatenate([problem.A, problem.C])
        low, high = (np.concatenate([side, problem.d]) for side in (problem.lower, problem.b))
        inverse = np.linalg.pinv(rows) if len(rows) else rows.T
        return self.tensor(rows), self.tensor(inverse), self.tensor(low), self.tensor(high)

    def forward(self, state: State, y: Tensor) -> Tensor:
        """The formula."""
        rows, inverse, low, high = state
        values = y @ rows.mT
        return y + ((low - values).relu() - (values - high).relu()) @ inverse.mT
