"""What shift, gauge and refined share: scaled rows, the affine hull, the strict mode.

The rows `a_i x <= b_i` are scaled to the target of the map (`_moves.py`), so that one number, the level
`q(x) = max_i (a_i x - b_i)`, tells how far a point has to be moved. Equalities, implied ones included,
come first: the point is projected onto the affine hull, in which the target lies.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from .. import kernels
from ..analysis import Analysis
from ..errors import UnsupportedSetError
from ..polyhedron import Polyhedron
from ..rounding import STORES, Dtypes, Margin, Sizes, gamma, products_are_reduced, unit
from ._base import AbstractParameterization
from ._gradient import inward_relu, reaches_inward
from ._guard import below, flatten, largest, like, limit, may_look, without_overflow
from ._moves import AbstractMove, Scaling, Shifting
from ._per_sample import SampleRows, check_depth, check_gain, checked

Constants = tuple[np.ndarray, np.ndarray, np.ndarray]
"""rows (q, n), bias (q,), target (n,)."""


class AbstractInterior(AbstractParameterization):
    """A map that ends with a move of the point by its level.

    Buffers: `rows` (n, q) and `bias` (q,), the scaled `a_i` and `-b_i`; `target` (n,); `anchor` (n,), a
    point of the interior; `hull` (r, n) and `hull_offsets` (r,), orthonormal equations of the affine
    hull where that is not the whole space. In strict mode the part of the margins that is the same for
    every point is folded into them.
    """

    rows: Tensor
    bias: Tensor
    target: Tensor
    anchor: Tensor
    hull: Tensor
    hull_offsets: Tensor
    index: Tensor
    scale: Tensor
    bounds: Tensor
    shifting: Tensor
    across: Tensor | None

    pulls: ClassVar[bool] = False
    """Whether `pull` is anything but the point itself."""

    @property
    def pinned(self) -> tuple[str, ...]:
        """In tight mode residuals are computed in float64."""
        return ("rows", "bias") if self.strict == "tight" else ()

    @abstractmethod
    def pull(self, x: Tensor) -> Tensor:  # (batch, n) -> (batch, n)
        """A point of the affine hull that the move starts from: the point itself, or a nearer one."""

    @final
    def set_up(self, analysis: Analysis, target: np.ndarray, move: type[AbstractMove]) -> None:
        """Scale the rows to the target, register the constants, derive the margins."""
        self.prepare_blank(analysis.polyhedron)
        self.move = move
        # As a shape, which is known while tracing and comes back from a file; likewise `steps` of refined.
        self.register_buffer("shifting", torch.zeros(int(move is Shifting), dtype=torch.bool))
        if self.strict and (reason := not_strict(analysis)):
            raise UnsupportedSetError(f"method {self.name!r} cannot be strict here: {reason}")
        G, h = unit_rows(analysis)
        depths = np.where(G.any(1), move.depths(G, h, target), 1.0)
        folded = self._folded(G / depths[:, None], -h / depths, target)
        single, double = folded[torch.float32], folded[torch.float64]
        self.constant("rows", single[0].T, double[0].T)
        self.constant("bias", single[1], double[1])
        self.constant("target", single[2], double[2])
        self.constant("anchor", analysis.interior_point)
        if len(analysis.hull.Q):
            self.constant("hull", analysis.hull.Q)
            self.constant("hull_offsets", analysis.hull.f)
        if analysis.polyhedron.one_sided:
            self.register_buffer("index", torch.as_tensor(analysis.inequalities.index, dtype=torch.int64))
            gains = [np.linalg.norm(folded[dtype][0], axis=1)[: len(analysis.norms)] for dtype in STORES]
            self.constant("scale", *(gain / analysis.norms for gain in gains))
            self.constant("bounds", analysis.polyhedron.b)
        self.refresh()

    @final
    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """The sizes."""
        self.in_features, self.m = polyhedron.n, polyhedron.m

    def _folded(self, rows: np.ndarray, bias: np.ndarray, target: np.ndarray) -> dict[torch.dtype, Constants]:
        """The scaled constants, for each dtype with its own margins in them."""
        folded = {dtype: (rows, bias, target) for dtype in STORES}
        for dtype in STORES if self.strict else ():
            margin = self.move.margin(Sizes.of(rows, bias, target), self._dtypes(dtype, dtype))
            if margin.served:
                folded[dtype] = self.move.fold(margin, rows, bias, target)
        return folded

    def _dtypes(self, work: torch.dtype, store: torch.dtype) -> Dtypes:
        return Dtypes(torch.float64 if self.strict == "tight" else work, work, store)

    def refresh(self) -> None:
        """The margin for each dtype in which a value may be stored, or the reason why there is none."""
        self.move: type[AbstractMove] = Shifting if len(self.shifting) else Scaling
        self.full = "hull" not in self._buffers
        self.lay_out()
        if not self.strict:
            return
        sizes = Sizes.of(self.value("rows").T, self.value("bias"), self.value("target"))
        self._largest = torch.finfo(self.dtype).max / (8 * self.out_features**0.5 * (1 + sizes.rows))
        self._margins: dict[torch.dtype, Margin | None] = {}
        for store in STORES[self.dtype]:
            margin = self.move.margin(sizes, self._dtypes(self.dtype, store))
            self._margins[store] = margin if self._serves(margin, store) else None

    def lay_out(self) -> None:
        """The scaled rows as kernels read them."""
        self.register_buffer("across", kernels.by_rows(self.rows), persistent=False)

    def _serves(self, margin: Margin, store: torch.dtype) -> bool:
        """Whether the margin is finite and the anchor is inside, rounded as it will be."""
        if not margin.served or (self._coarse and store == torch.float64):
            return False
        anchor = torch.tensor(self.value("anchor")).to(self.dtype).to(store).double().numpy()
        rows, bias = self.value("rows"), self.value("bias")
        error = gamma(len(anchor) + 4, unit(torch.float64)) * (np.abs(anchor) @ np.abs(rows) + np.abs(bias))
        return bool(np.isfinite(anchor).all() and (anchor @ rows + bias + error <= 0).all())

    def fused_whole(self, z: Tensor, dtype: torch.dtype) -> Tensor | None:  # (batch, n) -> (batch, n)
        """Pull and move by one kernel, if there is one for `z`."""
        return None

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:
        """Pull, level, move."""
        if z.is_cuda and not rows and (y := self.fused_whole(flatten(z), z.dtype)) is not None:
            return like(z, y)
        x = self.pull(self.onto_hull(flatten(z)))
        if rows:
            sample = self._sample(z.shape[:-1], **rows)
            return like(z, self.move.step(x, self._relu(sample.level(x), x, sample.target), sample.target))
        if x.is_cuda and self.fusable(x):
            return like(z, self.fused_move(x, None, z.dtype))
        return like(z, self.move.step(x, self._relu(self.level(x), x, self.target), self.target))

    def _relu(self, h: Tensor, x: Tensor, target: Tensor) -> Tensor:  # (batch, 1), (batch, n) -> (batch, 1)
        if not reaches_inward(self.gradient):
            return torch.relu(h)
        step = self.move.inward(x.detach(), torch.relu(h.detach()), target)
        return inward_relu(h, x, step.unsqueeze(-2))

    @final
    def level(self, x: Tensor) -> Tensor:  # (batch, n) -> (batch, 1)
        """`max_i (a_i x - b_i)` in the dtype of the rows."""
        return torch.addmm(self.bias, x.to(self.rows.dtype), self.rows).amax(-1, keepdim=True)

    @final
    def onto_hull(self, x: Tensor) -> Tensor:  # (batch, n) -> (batch, n)
        """The orthogonal projection onto the affine hull, `x - Q^T (Q x - f)`."""
        if self.full:
            return x
        if self.strict and products_are_reduced(x):
            return self._onto_hull(*(v.double() for v in (x, self.hull, self.hull_offsets))).to(x.dtype)
        return self._onto_hull(x, self.hull, self.hull_offsets)

    @staticmethod
    def _onto_hull(x: Tensor, hull: Tensor, offsets: Tensor) -> Tensor:
        return torch.addmm(x, torch.addmm(offsets, x, hull.mT, beta=-1), hull, alpha=-1)

    def _along_hull(self, e: Tensor) -> Tensor:  # (batch, n) -> (batch, n)
        """The part of a direction that stays within the affine hull, `e - Q^T Q e`."""
        return e if self.full else e - (e @ self.hull.mT) @ self.hull

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """The same with the margins of docs/strict.md."""
        flat, reduced = flatten(z), products_are_reduced(z)
        if z.is_cuda and not rows and (y := self.fused_whole(flat, dtype)) is not None:
            return like(z, y)
        x = self.pull(self.onto_hull(flat))
        if reduced:
            x = self.onto_hull(x)  # which the products of the pull may have left
        if x.is_cuda and not rows and self._margins[dtype] is not None and self.fusable(x):
            return like(z, self.fused_move(x, None if x is flat else largest(flat), dtype))
        size = torch.linalg.vector_norm(x.detach(), dim=-1, keepdim=True)
        if rows:
            sample = self._sample(z.shape[:-1], **rows)
            return like(z, self._strict_sample(flat, x, size, dtype, sample))
        margin = self._margins[dtype]
        if margin is None:
            raise UnsupportedSetError(
                f"method {self.name!r} cannot be strict here: the set is so thin that rounding to {dtype} "
                "alone can leave it; use a wider dtype"
            )
        h = self._raised(x, size, margin, dtype, reduced)
        if dtype == self.dtype and may_look(x) and below(h, torch.inf):
            return like(z, self.move.step(x, h, self.target))
        h = self._raised(x, without_overflow(size, x), margin, dtype, reduced)
        return like(z, self._guarded(flat, x, h, dtype, self.target, self.anchor))

    def takes_narrow(self, z: Tensor) -> bool:
        """Where the point itself is moved."""
        return (
            self.full
            and not self.pulls
            and (not self.strict or self._margins[z.dtype] is not None)
            and (self.fusable(z))
        )

    @final
    def fusable(self, x: Tensor) -> bool:
        """Whether the move is left to a kernel."""
        return self.strict != "tight" and kernels.usable(x, *self.rows.shape)

    @final
    def fused_move(self, x: Tensor, given: Tensor | None, dtype: torch.dtype) -> Tensor:
        """The move by a kernel; in strict mode `given` is the largest entry of a point that was pulled."""
        anchor, numbers = self.anchor if self.strict else None, self.numbers(dtype)
        shifting, inward = self.move is Shifting, self.gradient == "inward"
        rows = self.rows if self.across is None else self.across
        return kernels.move(
            x, rows, self.bias, self.target, anchor, given, numbers,
            shifting, inward, products_are_reduced(x), dtype,
        )[0]  # fmt: skip

    @final
    def numbers(self, dtype: torch.dtype) -> list[float]:
        """What a kernel needs to know of the margin: slope, offset, gain, and the largest numbers."""
        margin = self._margins[dtype] if self.strict else None
        if margin is None:
            return []
        folded = dtype == self.dtype  # then the rest of the margin is in the constants
        offset, gain = (0.0, 1.0) if folded else (margin.offset, margin.gain)
        return [margin.slope, offset, gain, self._largest, limit(dtype)]

    def _raised(self, x: Tensor, size: Tensor, margin: Margin, dtype: torch.dtype, reduced: bool) -> Tensor:
        """The level with its margin, at least 0, in the dtype of the work."""
        h = torch.add(self._wide_level(x) if reduced else self.level(x), size, alpha=margin.slope)
        if dtype == self.dtype:  # the rest of the margin is in the constants
            return self._relu(h, x, self.target).to(dtype)
        return self._relu(h + margin.offset, x, self.target).to(self.dtype) * margin.gain

    def _wide_level(self, x: Tensor) -> Tensor:
        """The level through float64, which no setting makes less precise."""
        return torch.addmm(self.bias.double(), x.double(), self.rows.double()).amax(-1, keepdim=True)

    def _guarded(
        self, z: Tensor, x: Tensor, h: Tensor, dtype: torch.dtype, target: Tensor, anchor: Tensor
    ) -> Tensor:
        """For any input: NaN for a sample that is not finite, the anchor where numbers would overflow."""
        given, top = largest(z), largest(x)
        reach = self.move.reach(top, h.detach(), target)
        good = (torch.maximum(given, top) <= self._largest) & (reach <= limit(dtype))
        y = self.move.step(x, torch.where(good, h, 0), target).to(dtype)
        # Not `0 * given`, which a compiler takes for 0.
        return torch.where(good, y, torch.where(torch.isfinite(given), anchor, torch.nan).to(dtype))

    def _strict_sample(
        self, z: Tensor, x: Tensor, size: Tensor, dtype: torch.dtype, sample: SampleRows
    ) -> Tensor:
        dtypes = self._dtypes(self.dtype, dtype)
        wide = dtypes.residual if not products_are_reduced(x) else torch.float64
        exact = sample.to(wide)
        margin = exact.margin(self.move.margin, dtypes)
        h = exact.level(x.to(wide)) + margin.slope * without_overflow(size, x) + margin.offset
        h = (self._relu(h, x, sample.target) * check_gain(margin.gain, self.check_finite)).to(self.dtype)
        return self._guarded(z, x, h, dtype, sample.target, torch.full_like(self.anchor, torch.nan))

    def _sample(
        self,
        batch: torch.Size,
        A: Tensor | None = None,
        b: Tensor | None = None,
        interior: Tensor | None = None,
    ) -> SampleRows:
        """The rows of each sample, in units of the depth of the target."""
        if "scale" not in self._buffers or (A is None and len(self.index) != self.m):
            raise UnsupportedSetError(
                f"method {self.name!r} takes rows per sample only for a set A x <= b, every row with a "
                "finite b and none an implicit equality"
            )
        wide = self.rows.dtype  # float64 in tight mode
        rows, bias, target = self.rows.mT, self.bias, self.target
        if A is not None:
            rows = checked("A", A, (self.m, self.out_features), batch).to(wide)
            bias = -self.bounds.to(wide)
        if b is not None:
            bias = -checked("b", b, (self.m,), batch).to(wide)
            bias = bias if A is not None else bias.index_select(-1, self.index) * self.scale
        if interior is not None:
            target = checked("interior", interior, (self.out_features,), batch)
            target = self._along_hull(target) if self.move is Shifting else self.onto_hull(target)
        depth = check_depth(self.move.sample_depths(rows, bias, target.to(wide)), self.check_finite)
        return SampleRows(rows, bias, target, depth)


def unit_rows(analysis: Analysis) -> tuple[np.ndarray, np.ndarray]:  # (q, n), (q,)
    """The inequalities with rows of unit norm; `0 x <= 1` where there are none."""
    G, h, norms = analysis.inequalities.G, analysis.inequalities.h, analysis.norms
    if not len(G):
        return np.zeros((1, analysis.polyhedron.n)), np.ones(1)
    return G / norms[:, None], h / norms


def not_strict(analysis: Analysis) -> str | None:
    """Why no map can satisfy every row exactly in floating point, if so."""
    if analysis.implicit:
        row = analysis.implicit[0][0]
        return (
            f"row {row} holds with equality on the whole set, which has no interior; "
            "pass it as an equality, which holds up to rounding, or relax it"
        )
    return None
