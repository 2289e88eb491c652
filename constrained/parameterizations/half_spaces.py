"""Half-spaces: move a point against each constraint that it exceeds, all at once.

    x = z - A^+ (relu(A z - b) - relu(lower - A z)),    A^+ = A^T (A A^T)^-1

Equalities C x = d are rows with lower = b = d. A A^+ = I when the rows are linearly independent, so row i
of A x is exactly clipped to [lower_i, b_i]: feasible, onto the set, the identity on it. Where the rows are
orthogonal it is the orthogonal projection; elsewhere it is not (see the distance column of the tables).
Differentiable except on the hyperplanes. Rounding is amplified by the condition number of A, at most
MAX_CONDITION for rows of unit norm. Cost: two products with an (m, n) matrix, no rays.
Source: the pseudoinverse solves the m scalar clipping problems at once; for orthogonal rows this is
the projection onto an intersection of orthogonal half-spaces (Boyd and Vandenberghe, Convex
Optimization, sec. 8.1.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import kernels
from ..polyhedron import Polyhedron
from ..rounding import DOUBLE, STORES, ClipMargin, ClipSizes, Dtypes, clip_margin, products_are_reduced, unit
from ._base import AbstractParameterization
from ._finish import strict_finish
from ._gradient import inward_clip, inward_relu, reaches_inward
from ._guard import below, flatten, largest, like, limit, may_look
from ._interior import AbstractInterior
from ._moves import Shifting
from ._per_sample import checked

MAX_CONDITION = 1e6


class HalfSpaces(AbstractParameterization):
    """`z -> z - A^+ (relu(A z - b) - relu(lower - A z))` for `A` (m, n) of full row rank.

    Args:
        polyhedron: its rows, equalities included, must be linearly independent (so m + p <= n).
        strict, check_finite, gradient: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). Per sample: `b` and `lower` (*batch, m), with `lower <= b`.

    Raises:
        UnsupportedSetError: dependent or badly conditioned rows; with `strict`, a row with lower = b.
    """

    name, surjective, projection, citation = "half_spaces", True, True, "boyd2004"
    inward = True
    per_sample = ("b", "lower")
    rows: Tensor
    upper: Tensor
    lower: Tensor
    inverse: Tensor
    scale: Tensor
    inequality: Tensor
    sizes: Tensor
    finish: AbstractInterior
    across: Tensor | None

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        self.prepare_blank(polyhedron)
        A, upper, lower = _stacked(polyhedron)
        scale = 2.0 ** -np.frexp(np.linalg.norm(A, axis=1))[1] * 2  # norms in [1, 2), without rounding
        A, upper, lower = A * scale[:, None], upper * scale, lower * scale
        pinv = np.linalg.pinv(A)
        self.constant("rows", A.T)  # (n, q)
        self.constant("inverse", -pinv.T)  # (q, n)
        self.constant("upper", upper)
        self.constant("lower", lower)
        self.constant("scale", scale)
        if polyhedron.p:  # equalities are not tightened
            self.constant("inequality", (np.arange(len(A)) < self.m).astype(float))
        if self.strict:
            self.constant("sizes", _sizes(A, pinv, upper, lower))
            self.finish = strict_finish(polyhedron, self.strict)
        self.refresh()

    @property
    def pinned(self) -> tuple[str, ...]:
        """What margins are computed from."""
        return ("sizes",)

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """What the set alone tells."""
        self.in_features, self.m, self.p = polyhedron.n, polyhedron.m, polyhedron.p
        self.one_sided = polyhedron.one_sided and not polyhedron.p
        self.homogeneous = not (polyhedron.b.any() or polyhedron.d.any())
        if self.blank and self.strict:
            self.finish = strict_finish(polyhedron, self.strict, blank=True)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Full row rank, judged by the condition number of the rows scaled to unit norm."""
        A = np.concatenate([polyhedron.A, polyhedron.C])
        if len(A) > polyhedron.n:
            return f"its {len(A)} rows in {polyhedron.n} dimensions are linearly dependent"
        norms = np.linalg.norm(A, axis=1, keepdims=True)
        if not norms.all():
            i = int(np.argmin(norms))
            return f"row {i} of A is zero" if i < polyhedron.m else f"row {i - polyhedron.m} of C is zero"
        condition = np.linalg.cond(A / norms) if len(A) else 1.0
        if condition > MAX_CONDITION:
            return f"its rows are linearly dependent or nearly so (condition number {condition:.1e})"
        return None

    def refresh(self) -> None:
        """The margin for each dtype in which a value may be stored, None where there is none."""
        gram = self.value("rows").T @ self.value("rows")
        apart = gram - np.diag(np.diag(gram))
        self.lay_out()
        self._orthogonal = float(np.abs(apart).max(initial=0)) <= 8 * torch.finfo(self.dtype).eps
        if not self.strict:
            return
        terms, *others = self.value("sizes").tolist()
        sizes = ClipSizes(self.out_features, len(self.upper), int(terms), *others)
        gaps = (self.value("upper") - self.value("lower"))[: self.m]
        self._gap = float(gaps.min(initial=np.inf)) * (1 - 4 * unit(self.dtype))
        self._margins: dict[torch.dtype, ClipMargin | None] = {}
        for store in STORES[self.dtype]:
            residual = torch.float64 if self.strict == "tight" else self.dtype
            self._margins[store] = clip_margin(sizes, Dtypes(residual, self.dtype, store))

    def lay_out(self) -> None:
        """The rows as kernels read them."""
        self.register_buffer("across", kernels.by_rows(self.rows), persistent=False)

    def map(self, z: Tensor, **bounds: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """The closed form; one fused multiply-add for the correction."""
        flat = flatten(z)
        upper, lower = self._bounds(z.shape[:-1], **bounds)
        if z.is_cuda and not bounds and self._fusable(z, z.dtype):
            return like(z, self._fused(flat, z.dtype))
        if lower is None and self._orthogonal and reaches_inward(self.gradient):
            return like(z, inward_clip(flat, self.rows, self.inverse, upper))
        return like(z, torch.addmm(flat, self._excess(flat, flat @ self.rows, upper, lower), self.inverse))

    def _bounds(
        self, batch: torch.Size, b: Tensor | None = None, lower: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor | None]:
        """(upper, lower) of the scaled rows, None where they are 0 and where there is none."""
        upper = None if self.homogeneous else self.upper
        low = None if self.one_sided else self.lower
        if b is not None:
            upper = self._given("b", b, batch, self.upper)
        if lower is not None:
            low = self._given("lower", lower, batch, self.lower)
        return upper, low

    def _given(self, name: str, value: Tensor, batch: torch.Size, own: Tensor) -> Tensor:
        given = checked(name, value, (self.m,), batch) * self.scale[: self.m]
        return torch.cat([given, own[self.m :].expand(len(given), self.p)], -1) if self.p else given

    def _excess(
        self,
        z: Tensor,  # (batch, n)
        product: Tensor,  # (batch, q), of z and the rows
        upper: Tensor | None,
        lower: Tensor | None,
        margin: Tensor | None = None,
    ) -> Tensor:  # (batch, q)
        raised = product if margin is None else product + margin
        over = raised if upper is None else raised - upper
        if lower is None:
            return self._relu(over, z, self.inverse)
        under = lower - (product if margin is None else product - margin)
        if not reaches_inward(self.gradient):
            return torch.relu(over) - torch.relu(under)
        fixed = lower >= (0 if upper is None else upper)
        return self._relu(over, z, self.inverse, fixed) - self._relu(under, z, -self.inverse, fixed)

    def _relu(self, q: Tensor, z: Tensor, steps: Tensor, fixed: Tensor | None = None) -> Tensor:
        return inward_relu(q, z, steps, fixed) if reaches_inward(self.gradient) else torch.relu(q)

    def strict_map(self, z: Tensor, dtype: torch.dtype, **bounds: Tensor) -> Tensor:
        """The same with bounds tightened by the margin of docs/strict.md.

        A sample for which that cannot do, since two bounds are nearer than the margin or numbers overflow,
        is brought inside by a move instead.
        """
        margin, flat = self._margins[dtype], flatten(z)
        if margin is None or (self._coarse and dtype == torch.float64):
            return like(z, self._finished(flat, dtype, bounds))
        if z.is_cuda and not bounds and self._fusable(z, dtype):
            return like(z, self._fused(flat, dtype))
        given = self._bounds(z.shape[:-1], **bounds)
        size = torch.linalg.vector_norm(flat.detach(), dim=-1, keepdim=True)
        y, tight = self._tightened(flat, size, margin, *given)
        gap = self._gap if not bounds else self._narrowest(*given)
        if not bounds and dtype == z.dtype and may_look(z) and below(tight, self._gap / 2):
            return like(z, y)
        good = (tight < gap / 2) & (largest(y) <= limit(dtype))
        return like(z, torch.where(good, y.to(dtype), self._finished(flat, dtype, bounds)))

    def takes_narrow(self, z: Tensor) -> bool:
        """Wherever a kernel serves."""
        return self._fusable(z, z.dtype)

    def _fusable(self, z: Tensor, dtype: torch.dtype) -> bool:
        """Whether the map is left to a kernel."""
        if self.strict:
            margins = (self._margins[dtype], self.finish.numbers(dtype))
            if self.strict == "tight" or not all(margins):
                return False
        return kernels.usable(z, *self.rows.shape, products=2)

    def _fused(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        margin, finish = self._margins[dtype] if self.strict else None, []
        numbers, moving, shifting = [], [], False
        if margin is not None:
            end = self.finish
            scale = margin.gain * margin.excess
            slope, gap = margin.slope / margin.excess, self._gap / 2
            numbers = [slope, scale, margin.gain * margin.offset, gap, limit(dtype)]
            finish = [end.rows if end.across is None else end.across, end.bias, end.target, end.anchor]
            finish += [] if end.full else [end.hull, end.hull_offsets]
            moving, shifting = end.numbers(dtype), end.move is Shifting
        rows = self.rows if self.across is None else self.across
        return kernels.half_spaces(
            z, rows, self.inverse, *self._bounds(z.shape[:-1]), finish, numbers, moving, self.m, shifting,
            self.gradient == "inward", products_are_reduced(z), dtype,
        )[0]  # fmt: skip

    def _tightened(
        self, z: Tensor, size: Tensor, margin: ClipMargin, upper: Tensor | None, lower: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The value, and the margin of each sample."""
        reduced = products_are_reduced(z)
        wide = reduced or self.strict == "tight"
        product = z.double() @ self.rows.double() if wide else z @ self.rows
        excess = self._excess(z.detach(), product.detach(), upper, lower)
        total = (excess if lower is None else excess.abs()).sum(-1, keepdim=True)
        # gain (slope size + offset + excess total), in few operations: they count at small batches
        scaled = torch.add(total, size, alpha=margin.slope / margin.excess)
        tight = scaled * (margin.gain * margin.excess) + margin.gain * margin.offset
        excess = self._excess(z, product, upper, lower, tight * self.inequality if self.p else tight)
        if reduced:
            return torch.addmm(z.double(), excess, self.inverse.double()).to(z.dtype), tight
        return torch.addmm(z, excess.to(z.dtype), self.inverse), tight

    def _narrowest(self, upper: Tensor | None, lower: Tensor | None) -> Tensor | float:
        """The smallest gap between the bounds of each sample."""
        if lower is None:
            return torch.inf
        gap = (0 if upper is None else upper) - lower
        return gap[..., : self.m].amin(-1, keepdim=True)

    def _finished(self, z: Tensor, dtype: torch.dtype, bounds: dict[str, Tensor]) -> Tensor:
        """By a move towards the interior; NaN where the bounds are those of a sample."""
        if bounds:
            return torch.full_like(z, torch.nan, dtype=dtype)
        return self.finish.strict_map(z, dtype)


def _stacked(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, upper, lower) of inequalities and equalities."""
    return (
        np.concatenate([polyhedron.A, polyhedron.C]),
        np.concatenate([polyhedron.b, polyhedron.d]),
        np.concatenate([polyhedron.lower, polyhedron.d]),
    )


def _sizes(rows: np.ndarray, pinv: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """`ClipSizes` after n and m, rounded up, for rows (q, n), pinv (n, q), bounds (q,)."""
    bounds = np.concatenate([upper, lower])
    up = 1 + rows.shape[1] * DOUBLE
    spread = up * float((np.abs(rows) @ np.abs(pinv)).max(initial=0))
    inverse = float(np.abs(rows @ pinv - np.eye(len(rows))).max(initial=0))
    return np.array(
        [
            (rows != 0).sum(1).max(initial=0),
            up * np.linalg.norm(rows, axis=1).max(initial=0),
            np.abs(bounds[np.isfinite(bounds)]).max(initial=0),
            spread,
            inverse + 4 * rows.shape[1] * DOUBLE * spread,
        ]
    )
