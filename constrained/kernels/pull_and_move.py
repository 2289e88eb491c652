"""`refined` as one operator where nothing is to be differentiated: `move.py` after `refined.py`.

A training step calls the two operators, since the second one's backward pass needs what lies between. The
backward pass of this one makes that again, for a graph that was recorded without gradients and is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..parameterizations._guard import largest
from . import refined
from ._registration import register, runs_kernels, samples_first
from .move import forward as forward_move
from .move import gradient_of_move, move
from .move import plain_backward as plain_backward_move


def forward(
    x: Tensor,  # (batch, n)
    normals: Tensor,  # (n, m)
    normal_bias: Tensor,  # (m,)
    start: Tensor,  # (m, m)
    factor: Tensor,  # (m, m)
    gram: Tensor,  # (m, m)
    inverse_depths: Tensor,  # (m,)
    rows: Tensor,  # (n, q)
    bias: Tensor,  # (q,)
    target: Tensor,  # (n,)
    anchor: Tensor | None,  # (n,)
    margin: Sequence[float],
    steps: int,
    keep: float,
    shifting: bool,
    reduced: bool,
    store: torch.dtype,
) -> Tensor:  # (batch, n)
    """The value in the dtype `store`; the arguments are those of `pull` and of `move`."""
    if runs_kernels(x):
        from .triton_ import _pull_and_move as kernels

        constants = (normals, normal_bias, start, factor, gram, inverse_depths)
        with torch.cuda.device_of(x):
            y = kernels.forward(
                x, constants, rows, bias, target, anchor, margin, steps, keep, shifting, store
            )
        if y is not None:
            return y
    pulled = refined.forward(
        x, normals, normal_bias, start, factor, gram, inverse_depths, target, steps, keep, shifting, reduced
    )
    given = None if anchor is None else largest(x).to(rows.dtype)
    return forward_move(
        pulled, rows, bias, target, anchor, given, margin, shifting, False, reduced, store
    )[0]  # fmt: skip


def _fake(x: Tensor, *others: Any) -> Tensor:
    """Shape and dtype."""
    return torch.empty_like(x, dtype=others[-1], memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.margin, ctx.steps, ctx.keep, ctx.shifting, ctx.reduced, ctx.store = inputs
    ctx.save_for_backward(*tensors)


def _back(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
    x, *constants, rows, bias, target, anchor = ctx.saved_tensors
    pulled = refined.pull(x, *constants, target, ctx.steps, ctx.keep, ctx.shifting, ctx.reduced)
    given = None if anchor is None else largest(x).to(rows.dtype)
    _, worst, h = move(
        pulled, rows, bias, target, anchor, given, ctx.margin, ctx.shifting, False, ctx.reduced, ctx.store
    )
    gain, again = ctx.margin[2] if ctx.margin else 1.0, torch.is_grad_enabled()
    move_back = plain_backward_move if again else gradient_of_move
    pull_back = refined.plain_backward if again else refined.gradient_of_pull
    v = move_back(v, pulled, rows, target, worst, h, gain, ctx.shifting, False)
    arguments = (v, x, *constants, target, ctx.steps, ctx.keep, ctx.shifting)
    return pull_back(*arguments), *[None] * 16  # pyright: ignore[reportCallIssue]


def _fold(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """torch.func.vmap: samples of samples are samples."""
    return samples_first(pull_and_move, (0,), info, in_dims, arguments)


pull_and_move = register(
    "pull_and_move(Tensor x, Tensor normals, Tensor normal_bias, Tensor start, Tensor factor, Tensor gram, "
    "Tensor inverse_depths, Tensor rows, Tensor bias, Tensor target, Tensor? anchor, float[] margin, "
    "int steps, float keep, bool shifting, bool reduced, ScalarType store) -> Tensor",
    forward,
    _fake,
    _fold,
    (_keep, _back),
)
