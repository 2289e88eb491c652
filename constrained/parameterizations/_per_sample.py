"""Rows, bounds and targets of each sample, in the place of the set's own.

    level = max_i (a_i x - b_i) / depth_i,    depth_i = -a_i e for a direction, b_i - a_i c for a centre

with a depth that must be positive: where a sample has none, the direction or the centre given for it is
not interior, and the call is refused. On CUDA and inside a compiled graph the sample becomes NaN instead,
since the host would have to wait for the depth; on CUDA `check_finite=True` asks for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInputError, UnsupportedSetError
from ..rounding import DOUBLE, Dtypes, Margin, Sizes, gamma, unit
from ._guard import may_look, tracing


@dataclass(frozen=True)
class SampleRows:
    """What a batch is constrained by: `a_i x + bias_i <= 0` with depths towards a target.

    Attributes:
        rows: (batch, q, n), or (q, n) for all.
        bias: (batch, q) or (q,), the `-b_i`.
        target: (batch, n) or (n,).
        depth: (batch, q) or (q,), positive.
    """

    rows: Tensor
    bias: Tensor
    target: Tensor
    depth: Tensor

    def to(self, dtype: torch.dtype) -> SampleRows:
        """The same in another dtype."""
        return SampleRows(*(v.to(dtype) for v in (self.rows, self.bias, self.target, self.depth)))

    def level(self, x: Tensor) -> Tensor:  # (batch, n) -> (batch, 1)
        """The largest residual in units of the depth."""
        return ((product(self.rows, x) + self.bias) / self.depth).amax(-1, keepdim=True)

    def margin(self, margin: Callable[[Sizes, Dtypes], Margin], dtypes: Dtypes) -> Margin:
        """The margin of each sample, from `shift_margin` or `gauge_margin`."""
        n = self.rows.shape[-1]
        norms = torch.linalg.vector_norm(self.rows, dim=-1)
        offsets = (self.bias.abs() / self.depth).amax(-1, keepdim=True)
        target = (product(self.rows.abs(), self.target.abs()) / self.depth).amax(-1, keepdim=True)
        u = unit(dtypes.residual)
        up = 1 + 4 * gamma(n + 8, u)
        error = 2 * (gamma(n + 4, u) + DOUBLE + u) * (target + offsets)
        sizes = Sizes(
            n, n + 2, up * (norms / self.depth).amax(-1, keepdim=True), up * offsets, up * target, up * error
        )
        return margin(sizes, dtypes)


def product(rows: Tensor, x: Tensor) -> Tensor:  # (batch, q, n) or (q, n), (batch, n) or (n,)
    """`a_i x` for every row and sample."""
    if rows.ndim == 2:
        return x @ rows.mT
    return (rows @ x.unsqueeze(-1)).squeeze(-1) if x.ndim == 2 else rows @ x


def checked(name: str, value: Tensor, shape: tuple[int, ...], batch: torch.Size) -> Tensor:
    """`value` of shape (*batch, *shape) with its batch dimensions flattened."""
    expected = (*batch, *shape)
    if tuple(value.shape) != expected:
        raise InvalidInputError(f"{name} per sample must have shape {expected}; found {tuple(value.shape)}")
    return value.reshape(-1, *shape)


def check_depth(depth: Tensor, asked: bool) -> Tensor:
    """`depth` where it is positive; otherwise the call is refused, or the sample NaN: see the module."""
    bad = _first(~(depth > 0), asked)
    if bad is not None:
        raise UnsupportedSetError(
            f"the direction or point given is not interior: its depth in [sample, row] = {bad} is not "
            "positive; give or predict one that is"
        )
    return torch.where(depth > 0, depth, torch.nan)


def check_gain(gain: Tensor, asked: bool) -> Tensor:
    """`gain` where it is finite, likewise."""
    bad = _first(~torch.isfinite(gain), asked)
    if bad is not None:
        raise UnsupportedSetError(
            f"the set of sample {bad[0]} is too thin about its direction or point: rounding alone can leave "
            "it; use a wider dtype or a deeper one"
        )
    return gain


def _first(bad: Tensor, asked: bool) -> list[int] | None:
    """Where the first True is, None if nowhere or if values may not be looked at."""
    if not (may_look(bad) or (asked and not tracing())):
        return None
    try:
        return torch.nonzero(bad)[0].tolist() if bool(bad.any()) else None
    except RuntimeError:  # torch.func.vmap
        return None
