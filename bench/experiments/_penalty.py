"""The penalty on broken constraints: the squares of what the rows of a set are exceeded by.

    mean over samples and rows of relu(A x - b)^2 + relu(lower - A x)^2 + (C x - d)^2

Rows as they are given, not normalised, so a weight is not free of the scale of the constraints.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from constrained.polyhedron import Polyhedron


class SquaredExcess(nn.Module):
    """(N, n) -> (): the penalty of the outputs x, in torch's default dtype; nothing of it is saved."""

    A: Tensor
    b: Tensor
    lower: Tensor
    features: Tensor
    scale: Tensor

    def __init__(self, polyhedron: Polyhedron) -> None:
        super().__init__()
        P = polyhedron
        rows, upper = np.concatenate([P.A, P.C]), np.concatenate([P.b, P.d])
        lower = np.concatenate([P.lower, P.d])
        # A row of one entry is a bound of a feature: looked at without a product, there are n of them.
        single = np.count_nonzero(rows, axis=1) == 1
        self.register_buffer("features", torch.tensor(np.abs(rows[single]).argmax(axis=1)), persistent=False)
        constants = {
            "A": rows[~single],
            "scale": rows[single].sum(axis=1),
            "b": np.concatenate([upper[~single], upper[single]]),
            "lower": np.concatenate([lower[~single], lower[single]]),
        }
        for name, value in constants.items():
            value = torch.tensor(value, dtype=torch.get_default_dtype())
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, n) -> ()
        """See the module."""
        residual = torch.cat([x @ self.A.mT, x[:, self.features] * self.scale], dim=1)  # (N, m + p)
        excess = (residual - self.b).relu() + (self.lower - residual).relu()
        return excess.square().mean()
