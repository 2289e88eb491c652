"""Half-spaces: move a point against each constraint that it exceeds, all at once.

    x = z - A^+ (relu(A z - b) - relu(lower - A z)),    A^+ = A^T (A A^T)^-1

A A^+ = I when the rows of A are linearly independent, so row i of A x is exactly clipped to
[lower_i, b_i]: feasible, onto the set, the identity on it. Where the rows are orthogonal it is the
orthogonal projection; elsewhere it is not (see the distance column of the tables). Differentiable
except on the hyperplanes. Rounding is amplified by the condition number of A, at most MAX_CONDITION
for rows of unit norm. Cost: two products with an (m, n) matrix, no rays.
Source: the pseudoinverse solves the m scalar clipping problems at once; for orthogonal rows this is
the projection onto an intersection of orthogonal half-spaces (Boyd and Vandenberghe, Convex
Optimization, sec. 8.1.1).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..polyhedron import Polyhedron
from ._base import AbstractParameterization

MAX_CONDITION = 1e6


class HalfSpaces(AbstractParameterization):
    """`z -> z - A^+ (relu(A z - b) - relu(lower - A z))` for `A` (m, n) of full row rank.

    Args:
        polyhedron: without equalities; its rows must be linearly independent (so m <= n).

    Shapes: (*batch, n) -> (*batch, n). The dtype is that of the module.

    Raises:
        UnsupportedSetError: dependent or badly conditioned rows, or equalities.
    """

    name, surjective, projection, citation = "half_spaces", True, True, "boyd2004"
    A: Tensor
    b: Tensor
    lower: Tensor
    minus_pinv_t: Tensor

    def __init__(self, polyhedron: Polyhedron) -> None:
        super().__init__(polyhedron)
        self.in_features = polyhedron.n
        self.one_sided, self.homogeneous = polyhedron.one_sided, not polyhedron.b.any()
        self.constant("A", polyhedron.A)  # (m, n)
        self.constant("minus_pinv_t", -np.linalg.pinv(polyhedron.A).T)  # (m, n)
        self.constant("b", polyhedron.b)
        self.constant("lower", polyhedron.lower)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Full row rank, judged by the condition number of the rows scaled to unit norm."""
        if polyhedron.p:
            return "it has equalities; this map takes inequalities only"
        if polyhedron.m > polyhedron.n:
            return f"its {polyhedron.m} rows in {polyhedron.n} dimensions are linearly dependent"
        if polyhedron.m == 0:
            return None
        norms = np.linalg.norm(polyhedron.A, axis=1, keepdims=True)
        if not norms.all():
            return f"row {int(np.argmin(norms))} of A is zero"
        condition = np.linalg.cond(polyhedron.A / norms)
        if condition > MAX_CONDITION:
            return f"its rows are linearly dependent or nearly so (condition number {condition:.1e})"
        return None

    def map(self, z: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """The closed form; one fused multiply-add for the correction."""
        flat = z.reshape(-1, self.in_features)
        return torch.addmm(flat, self._excess(F.linear(flat, self.A)), self.minus_pinv_t).view(z.shape)

    def _excess(self, product: Tensor) -> Tensor:  # (*batch, m) -> (*batch, m)
        above = F.relu(product if self.homogeneous else product - self.b)
        return above if self.one_sided else above - F.relu(self.lower - product)
