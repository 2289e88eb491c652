"""RAYEN: a step from an interior point, cut where its ray leaves the set.

    x = c + min(1 / kappa, ||v||) v / ||v||,    kappa = max_i relu(D v / ||v||)_i,    v = N' (y - c)

c: interior point; N: basis of the affine hull; D: the rows over their slacks at c. The layer's own input
is v, the output of a linear map in a head. Here v is the step from c to y, in the layer's coordinates,
in place of that linear map and of the same cost, so that points of the set stay.
Promise: feasible, not the nearest. Cost: products with N', D and N. Set-up: its own, with two linear
programs a row, which removes redundant rows, finds the hull and the interior point. Its constants are
made in float32 whatever the dtype. Tuned: nothing, it has no parameter.
Source: Tordesillas, How, Hutter, "RAYEN: Imposition of Hard Convex Constraints on Neural Networks", 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import Problem
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor


class Rayen(AbstractTorchPeer):
    """`ConstraintModule` without its linear map, see `AbstractPeer`."""

    name, citation, environment = "rayen", "tordesillas2023", "torch"
    requires, reads = ("rayen.constraint_module",), ("rayen", "torch", "cvxpy", "ecos")
    kind = "feasible"

    def setup(self, problem: Problem, tuning: np.ndarray) -> Any:
        """The module."""
        import torch
        from rayen.constraint_module import ConstraintModule  # pyright: ignore[reportMissingImports]
        from rayen.constraints import (  # pyright: ignore[reportMissingImports]
            ConvexConstraints,
            LinearConstraint,
        )

        G, h = problem.inequalities()
        above = (G, h[:, None]) if len(G) else (None, None)
        equal = (problem.C, problem.d[:, None]) if len(problem.C) else (None, None)
        linear = LinearConstraint(*above, *equal)
        module = ConstraintModule(ConvexConstraints(lc=linear), create_map=False)
        return module.to(self.device, getattr(torch, self.dtype)).eval()

    def forward(self, state: Any, y: Tensor) -> Tensor:
        """The module on the step towards y, in rows: the products of columns (q, n, 1) are slower."""
        step = (y - state.y0.mT) @ state.NA_E
        return state(step).squeeze(-1)
