"""Refined: k steps towards the nearest point for the whole batch, then one move that makes it feasible.

    v <- alpha M (A z - b) + (1 - alpha / 2) v + (alpha rho M - alpha / 2) |v|,    M = (A A^T + rho)^-1
    x = z - A^T relu(v),    then as `shift` or `gauge`

with the step to x shortened where it is longer than the move alone would be, so that points of the set
stay where they are. The first line is one over-relaxed step of the alternating direction method of
multipliers (ADMM) on the dual of the projection, min_{mu >= 0} 1/2 ||A^T mu||^2 - (A z - b) mu, in one
variable: mu = relu(v), scaled dual variable min(v, 0). Feasible at every k, onto the set; the orthogonal
projection as k grows. Rows have unit norm and, with equalities, lie within the affine hull. rho and k
come from the spectrum of A A^T and a stated accuracy, see `_calibration.py`.
Differentiable almost everywhere, by unrolling. Cost: k products with an (m, m) matrix and three with an
(n, m) one.
Source: Boyd et al., Distributed Optimization and Statistical Learning via the Alternating Direction Method
of Multipliers, 2011, sec. 3.4.3 and 5.2; the feasible finish is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .. import kernels
from .._arrays import count
from ..analysis import analyse
from ..errors import InvalidInputError
from ..kernels.refined import plain
from ..polyhedron import Polyhedron
from ..rounding import products_are_reduced
from ._base import Strict
from ._calibration import RELAXATION, calibrate, deep_rows, sample_points
from ._gradient import Gradient
from ._interior import AbstractInterior
from ._moves import Scaling, Shifting

RTOL = 0.01


class Refined(AbstractInterior):
    """The feasible point after k dual ADMM steps, near the orthogonal projection.

    Args:
        polyhedron: not empty.
        rtol: choose k so that the median point moves at most `1 + rtol` times as far as the projection
            would, on random points around the set; at most 200 steps.
        steps: k itself, in the place of `rtol`.
        strict, check_finite, gradient: see `AbstractParameterization`.

    Attributes:
        distortion: the median ratio reached on those points, an upper bound by weak duality; None in
            a module that was built without set-up.

    Shapes: (*batch, n) -> (*batch, n).

    Raises:
        InvalidInputError: `rtol` is not positive, or `steps` not a whole number of at least 1.
        UnsupportedSetError: with `strict`, an implicit equality.
        InfeasibleError: the set is empty.
    """

    name, surjective, projection, citation = "refined", True, True, "boyd2011"
    pulls = True
    normals: Tensor
    normal_bias: Tensor
    start: Tensor
    factor: Tensor
    gram: Tensor
    inverse_depths: Tensor
    steps: Tensor
    normals_across: Tensor | None
    distortion: float | None = None

    def __init__(
        self,
        polyhedron: Polyhedron,
        rtol: float = RTOL,
        steps: int | None = None,
        strict: Strict = False,
        check_finite: bool = False,
        gradient: Gradient = "exact",
    ) -> None:
        super().__init__(polyhedron, strict, check_finite, gradient)
        if not rtol > 0:
            raise InvalidInputError(f"rtol must be positive; found {rtol!r}")
        analysis = analyse(polyhedron)
        rows = deep_rows(analysis, shifting=analysis.direction is not None)
        self.set_up(analysis, rows.target, Shifting if rows.shifting else Scaling)
        fixed = None if steps is None else count("steps", steps)
        chosen = calibrate(rows, sample_points(analysis), rtol, fixed)
        self.distortion = chosen.distortion
        self.constant("normals", rows.A.T)  # (n, m)
        self.constant("normal_bias", -rows.b)
        self.constant("start", chosen.start)
        self.constant("factor", chosen.factor)
        self.constant("gram", rows.A @ rows.A.T)
        self.constant("inverse_depths", 1 / rows.depths)
        self.register_buffer("steps", torch.zeros(chosen.steps, dtype=torch.bool))
        self.lay_out()

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Every set that is not empty."""
        analyse(polyhedron).check_not_empty()
        return None

    def pull(self, x: Tensor) -> Tensor:
        """`x - t A^T relu(v)` after the steps; t < 1 where that is farther than the move alone would go."""
        if not len(self.steps):
            return x
        if x.is_cuda and self._pull_is_fusable(x):
            return self._fused_pull(x)
        return plain(x, *self._pulling())

    def lay_out(self) -> None:
        """The normals as well, which come after the rows."""
        super().lay_out()
        if "normals" in self._buffers:
            self.register_buffer("normals_across", kernels.by_rows(self.normals), persistent=False)

    def takes_narrow(self, z: Tensor) -> bool:
        """Where one kernel makes it all."""
        return self._is_one_kernel(z, z.dtype)

    def fused_whole(self, z: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Where nothing is to be differentiated; otherwise what lies between is kept."""
        if not self._is_one_kernel(z, dtype):
            return None
        normals = self.normals if self.normals_across is None else self.normals_across
        rows = self.rows if self.across is None else self.across
        return kernels.pull_and_move(
            z, normals, self.normal_bias, self.start, self.factor, self.gram, self.inverse_depths,
            rows, self.bias, self.target, self.anchor if self.strict else None, self.numbers(dtype),
            len(self.steps), 1 - RELAXATION / 2, self.move is Shifting, products_are_reduced(z), dtype,
        )  # fmt: skip

    def _is_one_kernel(self, z: Tensor, dtype: torch.dtype) -> bool:
        n, m = self.normals.shape
        return (
            self.full
            and len(self.steps) > 0
            and not (z.requires_grad and torch.is_grad_enabled())
            and not (self.strict and (self.strict == "tight" or self._margins[dtype] is None))
            and kernels.held_whole(n, max(m, self.rows.shape[1]), 3)
            and kernels.usable(z, n, m, 3)
        )

    def _pull_is_fusable(self, x: Tensor) -> bool:
        n, rows = self.normals.shape
        return kernels.usable(x, n, rows, 3, kernels.MOST_REGISTERS)

    def _fused_pull(self, x: Tensor) -> Tensor:
        return kernels.pull(x, *self._pulling(), products_are_reduced(x))

    def _pulling(self) -> tuple[Any, ...]:
        """What a pull depends on beside the point, in the order of `kernels/refined.py`."""
        constants = (self.normals, self.normal_bias, self.start, self.factor, self.gram, self.inverse_depths)
        return *constants, self.target, len(self.steps), 1 - RELAXATION / 2, self.move is Shifting
