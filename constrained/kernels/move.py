"""The move of `shift` and `gauge` as one operator: level, worst row, moved point.

    h = relu(max_i (a_i x + bias_i) + slope |x| + offset),   t = gain h
    shift  y = x + t e            gauge  y = c + (x - c) / (1 + t)

and back, for a gradient v of y, with w the worst row, s = 1 / (1 + t):

    shift  v + g a_w,   g = gain e v                     gauge  s v + g a_w,   g = -gain s^2 (x - c) v

for samples with h > 0, and v for the others. Where several rows are the worst, a_w is the first of them.
`gradient="inward"` adds min(g, 0) k / |k|^2 with k = e or (c - x) / (1 + h), see
`parameterizations/_gradient.py`. In strict mode, samples that the guard of docs/strict.md, section 7 has
replaced have the gradient 0. The norm |x| of the margin has no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..parameterizations._guard import largest, without_overflow
from ..parameterizations._moves import AbstractMove, Scaling, Shifting
from ._registration import register, runs_kernels, samples_first

INSIDE, REPLACED = -1, -2
"""What stands for the worst row of a sample that was not moved, and of one that the guard replaced."""


def forward(
    x: Tensor,  # (batch, n)
    rows: Tensor,  # (n, q)
    bias: Tensor,  # (q,)
    target: Tensor,  # (n,)
    anchor: Tensor | None,  # (n,)
    given: Tensor | None,  # (batch, 1)
    margin: Sequence[float],
    shifting: bool,
    inward: bool,
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:  # (batch, n), (batch,), (batch,)
    """The moved point in the dtype `store`, the worst row (int32) and h.

    Args:
        x: points, float32 or narrower, or the dtype of the rows.
        rows, bias, target: constants of `AbstractInterior`.
        anchor: in strict mode, what a sample that would overflow becomes.
        given: likewise, the largest absolute entry of the sample where that is not the one of `x`.
        margin: empty, or in strict mode slope, offset, gain, the largest entry of `x` that is served and
            the largest number of the value.
        shifting: the direction of `shift`, or the centre of `gauge`.
        inward: which gradient.
        reduced: whether products may be made in TF32.
        store: of the value.
    """
    if runs_kernels(x):
        from .triton_ import move as kernels

        y = x.new_empty(x.shape, dtype=store)
        with torch.cuda.device_of(x):
            return kernels.forward(x, rows, bias, target, anchor, given, margin, shifting, reduced, y)
    return plain(x, rows, bias, target, anchor, given, margin, shifting, inward, reduced, store)


def plain(
    x: Tensor,
    rows: Tensor,
    bias: Tensor,
    target: Tensor,
    anchor: Tensor | None,
    given: Tensor | None,
    margin: Sequence[float],
    shifting: bool,
    inward: bool,
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same by operators of torch."""
    step, x = _of(shifting), x.to(rows.dtype)
    level, worst = torch.addmm(bias, x, rows).max(-1, keepdim=True)
    if anchor is None:
        h = torch.relu(level)
        worst = torch.where(h > 0, worst, INSIDE)
        return step.step(x, h, target).to(store), worst.squeeze(-1).int(), h.squeeze(-1)
    slope, offset, gain, top_served, top_stored = margin
    size = without_overflow(torch.linalg.vector_norm(x, dim=-1, keepdim=True), x)
    h = torch.relu(level + slope * size + offset)
    top = largest(x)
    given = top if given is None else given
    reach = step.reach(top, h * gain, target)
    good = (torch.maximum(given, top) <= top_served) & (reach <= top_stored)
    y = step.step(x, torch.where(good, h * gain, 0), target).to(store)
    y = torch.where(good, y, torch.where(torch.isfinite(given), anchor, torch.nan).to(store))
    worst = torch.where(good, torch.where(h > 0, worst, INSIDE), REPLACED)
    return y, worst.squeeze(-1).int(), torch.where(good, h, 0).squeeze(-1)


def backward(
    v: Tensor,  # (batch, n)
    x: Tensor,  # (batch, n)
    rows: Tensor,
    target: Tensor,
    worst: Tensor,  # (batch,)
    h: Tensor,  # (batch,)
    gain: float,
    shifting: bool,
    inward: bool,
) -> Tensor:  # (batch, n), in the dtype of x
    """The gradient of `x` for one of the value."""
    if runs_kernels(x):
        from .triton_ import move as kernels

        with torch.cuda.device_of(x):
            return kernels.backward(v, x, rows, target, worst, h, gain, shifting, inward)
    return plain_backward(v, x, rows, target, worst, h, gain, shifting, inward)


def plain_backward(
    v: Tensor,
    x: Tensor,
    rows: Tensor,
    target: Tensor,
    worst: Tensor,
    h: Tensor,
    gain: float,
    shifting: bool,
    inward: bool,
) -> Tensor:
    """The same by operators of torch, which can be differentiated again."""
    dtype, h, moved = x.dtype, h.unsqueeze(-1), (worst >= 0).unsqueeze(-1)
    v, x = v.to(rows.dtype), x.to(rows.dtype)
    row = rows.mT.index_select(0, worst.clamp(min=0))
    if shifting:
        g, kept, step = gain * (v * target).sum(-1, keepdim=True), v, target.expand_as(x)
    else:
        # h as a function of x, which it is for the second derivative.
        along = (x * row).sum(-1, keepdim=True)
        s = (1 + gain * (h + torch.where(moved, along - along.detach(), 0))).reciprocal()
        g = -gain * s.square() * ((x - target) * v).sum(-1, keepdim=True)
        kept, step = torch.where(moved, s, 1) * v, (target - x).detach() / (1 + h)
    back = g * row
    if inward:
        squared = step.square().sum(-1, keepdim=True).clamp_min(torch.finfo(step.dtype).tiny)
        back = back + g.clamp(max=0) / squared * step
    back = kept + torch.where(moved, back, 0)
    return torch.where((worst == REPLACED).unsqueeze(-1), 0, back).to(dtype)


def _of(shifting: bool) -> type[AbstractMove]:
    return Shifting if shifting else Scaling


def _fake(x: Tensor, *constants: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes and dtypes."""
    rows, store = constants[0], constants[-1]
    batch = x.shape[:1]
    y = torch.empty_like(x, dtype=store, memory_format=torch.contiguous_format)
    return y, x.new_empty(batch, dtype=torch.int32), x.new_empty(batch, dtype=rows.dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, rows, _, target, _, _, margin, ctx.shifting, ctx.inward, _, _ = inputs
    ctx.gain = margin[2] if margin else 1.0
    ctx.save_for_backward(x, rows, target, *output[1:])


def _back(ctx: Any, v: Tensor, *_others: Tensor) -> tuple[Tensor | None, ...]:
    run = plain_backward if torch.is_grad_enabled() else gradient_of_move
    x, rows, target, worst, h = ctx.saved_tensors
    return run(v, x, rows, target, worst, h, ctx.gain, ctx.shifting, ctx.inward), *[None] * 10


def _fold(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """torch.func.vmap: samples of samples are samples."""
    return samples_first(move, (0, 5), info, in_dims, arguments)


def _fold_back(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    return samples_first(gradient_of_move, (0, 1, 4, 5), info, in_dims, arguments)


move = register(
    "move(Tensor x, Tensor rows, Tensor bias, Tensor target, Tensor? anchor, Tensor? given, float[] margin, "
    "bool shifting, bool inward, bool reduced, ScalarType store) -> (Tensor, Tensor, Tensor)",
    forward,
    _fake,
    _fold,
    (_keep, _back),
)
gradient_of_move = register(
    "move_backward(Tensor v, Tensor x, Tensor rows, Tensor target, Tensor worst, Tensor h, float gain, "
    "bool shifting, bool inward) -> Tensor",
    backward,
    lambda v, x, *_: x.new_empty(x.shape),
    _fold_back,
)
