"""Blocks: a product of independent sets, each block of features with a map of its own.

    x_B = f_B(z_B)  for every block B,    {x : A x <= b} = product of the sets {x_B : A_B x_B <= b_B}

Features in one row are in one block; features in no row are free, x = z. Rows touch one block only, so what
the maps of the blocks promise holds for the product: onto, the identity on the set, exactly feasible in
strict mode; the product of orthogonal projections is the orthogonal projection. Rays of cones and vertices
are enumerated block by block, where they add up instead of multiplying.
Cost: that of the maps, a permutation of the features before and after where the blocks are interleaved.
Blocks with equal rows are one call, (*batch, copies, size); the loop is over the kinds of blocks.
Source: a separable set, Boyd and Vandenberghe, Convex Optimization, sec. 8.1; the blocks are the connected
components of the graph of rows and features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..analysis import analyse
from ..errors import InfeasibleError, InvalidInputError, UnsupportedSetError, lookup
from ..polyhedron import Polyhedron
from ._base import AbstractParameterization, Strict
from ._gradient import Gradient
from ._guard import only_finite
from ._interior import not_strict

Call = Callable[..., Tensor]


class Block(NamedTuple):
    """A set of its own: `features` (size,) and `rows` (k,) of A, as numbers in the whole."""

    features: np.ndarray
    rows: np.ndarray
    polyhedron: Polyhedron


class Blocks(AbstractParameterization):
    """`z -> x`, block by block.

    Args:
        polyhedron: its features form at least two blocks, free features counting as one.
        methods: None lets `plan` choose for each block, features with bounds of their own only being
            one block, a box. One name is the method of every block, each such feature by itself.
            A tuple of names is for the blocks as with None, in the order of `split`.
        strict, check_finite: see `AbstractParameterization`.
        gradient: of the maps that have it; with "inward", those that have not keep their derivative.

    Shapes: (*batch, k) -> (*batch, n). k = n, latent features being those of the set, if the maps of all
    blocks are from points to points; otherwise k is the sum of their latent features, in the order of
    `parts`, equal blocks one after the other, and last the free features. Per sample: `b` and `lower`
    (*batch, m) where all blocks take them and every row is in a block.

    Raises:
        UnsupportedSetError: one block; a method that cannot serve its block; with `strict`, an implicit
            equality.
        InvalidInputError: more or fewer names than blocks.
        UnknownNameError: no method has one of the names.
        InfeasibleError: the set is empty.
    """

    name, surjective, projection, citation = "blocks", True, True, "boyd2004"
    inward = True
    gather: Tensor
    order: Tensor
    rows: Tensor
    shapes: Tensor
    names: Tensor

    def __init__(
        self,
        polyhedron: Polyhedron,
        methods: str | Sequence[str] | None = None,
        strict: Strict = False,
        check_finite: bool = False,
        gradient: Gradient = "exact",
    ) -> None:
        super().__init__(polyhedron, strict, check_finite, gradient)
        blocks = split(polyhedron, together=not isinstance(methods, str))
        if isinstance(methods, str):
            methods = [methods] * len(blocks)
        kinds = equal_blocks(blocks, _checked(methods, len(blocks)))
        try:
            self._compose(polyhedron, kinds, [self._part(same[0], name) for same, name in kinds])
        except (InfeasibleError, UnsupportedSetError):
            analysis = analyse(polyhedron)  # the reason again, in terms of the rows of the whole
            analysis.check_not_empty()
            if strict and (reason := not_strict(analysis)):
                raise UnsupportedSetError(f"method 'blocks' cannot be strict here: {reason}") from None
            raise

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """The blocks and their methods are in the file; until then, the size that is the usual one."""
        self.in_features, self.parts, self._whole = polyhedron.n, nn.ModuleList(), polyhedron

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """More than one block."""
        if len(analyse(polyhedron).blocks) == 1:
            return "its features form a single block"
        G, h = polyhedron.inequalities()
        if (h[~G.any(1)] < 0).any() or polyhedron.d[~polyhedron.C.any(1)].any():  # in no block
            analyse(polyhedron).check_not_empty()
        return None

    def _part(self, block: Block, method: str | None) -> AbstractParameterization:
        from ..planner import plan  # plans products itself
        from . import PARAMETERIZATIONS

        options: dict[str, Any] = {"strict": self.strict, "check_finite": self.check_finite}
        if method is None:
            chosen = plan(block.polyhedron, strict=self.strict)
            method, options = chosen.method, options | chosen.options
        entry = lookup("method", method, PARAMETERIZATIONS)
        return entry(block.polyhedron, **options, **self._gradient_of(entry))

    def _gradient_of(self, entry: type[AbstractParameterization]) -> dict[str, Any]:
        return {"gradient": self.gradient} if entry.inward else {}

    def _compose(self, polyhedron: Polyhedron, kinds: list, parts: list[AbstractParameterization]) -> None:
        """Register where each feature goes and which map each kind of block has."""
        blocks = [block for same, _ in kinds for block in same]
        used = [block.features for block in blocks]
        free = np.setdiff1d(np.arange(polyhedron.n), np.concatenate(used))
        gather = np.concatenate([*used, free])
        rows = np.concatenate([block.rows for block in blocks])
        counts = [len(same) for same, _ in kinds]
        shapes = [
            [count, part.out_features, part.in_features, len(same[0].rows)]
            for count, part, (same, _) in zip(counts, parts, kinds, strict=True)
        ]
        width = max(len(part.name) for part in parts)
        names = [list(part.name.ljust(width).encode()) for part in parts]
        self.register_buffer("gather", torch.tensor(gather))
        self.register_buffer("order", torch.tensor(np.argsort(gather)))
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.int64))
        self.register_buffer("shapes", torch.tensor(shapes))
        self.register_buffer("names", torch.tensor(names, dtype=torch.uint8))
        self.parts = nn.ModuleList(parts)
        self._arrange(polyhedron, gather, shapes)

    def _arrange(self, polyhedron: Polyhedron, gather: np.ndarray, shapes: list[list[int]]) -> None:
        """What follows from the parts: sizes, promises, constraints of each sample."""
        parts: list[AbstractParameterization] = list(self.parts)  # pyright: ignore[reportAssignmentType]
        free = len(gather) - sum(copies * size for copies, size, _, _ in shapes)
        self.sizes = [(copies, latent, height) for copies, _, latent, height in shapes]
        self.widths = [copies * latent for copies, _, latent, _ in shapes] + [free] * (free > 0)
        self.in_features = sum(self.widths)
        self.interleaved = bool((np.diff(gather) != 1).any())
        takes = set.intersection(*(set(part.per_sample) for part in parts))
        every = sum(copies * height for copies, _, _, height in shapes) == polyhedron.m
        vars(self).update(
            surjective=all(part.surjective for part in parts),
            projection=all(part.projection for part in parts),
            per_sample=tuple(name for name in ("b", "lower") if name in takes and every),
        )

    def _register(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Buffers as in the file, and parts of the methods that it names, without set-up."""
        from . import PARAMETERIZATIONS

        super()._register(state_dict, prefix)
        own = [prefix + name for name in ("gather", "shapes", "names")]
        if not state_dict.keys() >= set(own):
            raise InvalidInputError(f"expected a state_dict of method 'blocks'; found no {', '.join(own)}")
        gather, shapes, names = (state_dict[name].tolist() for name in own)
        start = 0
        for (copies, size, _, _), name in zip(shapes, names, strict=True):
            entry = lookup("method", bytes(name).decode().strip(), PARAMETERIZATIONS)
            block = _block(self._whole, np.array(gather[start : start + size]))
            part = entry.without_setup(
                block.polyhedron, self.strict, self.check_finite, **self._gradient_of(entry)
            )
            self.parts.append(part.to(self.dtype))
            start += copies * size
        self._arrange(self._whole, np.array(gather), shapes)
        del self._whole

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, k) -> (*batch, n)
        """Each kind of block at once."""
        return self._run(z, lambda part, z, rows: part.map(z, **rows), rows)

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """Likewise; a sample that is not finite in one block is NaN in all of them."""
        x = self._run(z, lambda part, z, rows: part.strict_map(z, dtype, **rows), rows)
        return only_finite(x.to(dtype), z)

    def _run(self, z: Tensor, call: Call, rows: dict[str, Tensor]) -> Tensor:
        if self.projection and self.interleaved:
            z = z.index_select(-1, self.gather)
        pieces = z.split(self.widths, -1)
        given = {name: self._given(value) for name, value in rows.items()}
        done = []
        for k, (part, (copies, latent, _)) in enumerate(zip(self.parts, self.sizes, strict=True)):
            own = {name: values[k] for name, values in given.items()}
            done.append(call(part, pieces[k].unflatten(-1, (copies, latent)), own).flatten(-2))
        done += [piece.to(done[0].dtype) for piece in pieces[len(done) :]]
        x = torch.cat(done, -1) if len(done) > 1 else done[0]
        return x.index_select(-1, self.order) if self.interleaved else x

    def _given(self, value: Tensor) -> list[Tensor]:  # (*batch, m) -> (*batch, copies, k) each
        heights = [(copies, height) for copies, _, height in self.sizes]
        pieces = value.index_select(-1, self.rows).split([a * b for a, b in heights], -1)
        return [piece.unflatten(-1, shape) for piece, shape in zip(pieces, heights, strict=True)]


def split(polyhedron: Polyhedron, together: bool = True) -> list[Block]:
    """The independent blocks, without free features, in the order of their first features.

    `together`: all features that share no row with another one are one block.
    """
    finite = np.isfinite(polyhedron.b) | np.isfinite(polyhedron.lower)
    touched = np.asarray(np.any(np.concatenate([polyhedron.A[finite], polyhedron.C]), axis=0))
    found = [features for features in analyse(polyhedron).blocks if touched[int(features[0])]]
    lone = [features for features in found if len(features) == 1]
    if together and lone:
        found = [np.concatenate(lone), *(features for features in found if len(features) > 1)]
    return [_block(polyhedron, features) for features in sorted(found, key=lambda features: int(features[0]))]


def equal_blocks(blocks: Sequence[Block], methods: Sequence) -> list[tuple[list[Block], Any]]:
    """Blocks with exactly the same rows and the same method, together."""
    kinds: dict[tuple, tuple[list[Block], Any]] = {}
    for block, method in zip(blocks, methods, strict=True):
        P = block.polyhedron
        values = ((v + 0.0).tobytes() for v in (P.A, P.b, P.C, P.d, P.lower))  # -0.0 is 0.0
        kinds.setdefault((P.n, P.m, method, *values), ([], method))[0].append(block)
    return list(kinds.values())


def _block(polyhedron: Polyhedron, features: np.ndarray) -> Block:
    """The rows with a finite bound that have these features, with these features."""
    finite = np.isfinite(polyhedron.b) | np.isfinite(polyhedron.lower)
    rows = np.flatnonzero(polyhedron.A[:, features].any(1) & finite)
    equal = np.flatnonzero(polyhedron.C[:, features].any(1))
    return Block(
        features,
        rows,
        Polyhedron(
            polyhedron.A[np.ix_(rows, features)],
            polyhedron.b[rows],
            polyhedron.C[np.ix_(equal, features)],
            polyhedron.d[equal],
            polyhedron.lower[rows],
        ),
    )


def _checked(methods: Sequence[str] | None, count: int) -> Sequence[str | None]:
    if methods is None:
        return [None] * count
    if len(methods) != count:
        raise InvalidInputError(f"expected a method for each of {count} blocks; found {len(methods)}")
    return methods
