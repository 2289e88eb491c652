"""The pull of `refined` as one operator: all of its steps with v in registers, then the shortened move.

    q = A x + bias,  s = q S,  v <- s + (1 - alpha / 2) v + |v| F,  mu = relu(v)
    x - t A^T mu,    t = min(1, f / sqrt(mu G mu)),   f = how far the move alone would go

Back, v of every step is computed again, then

    gv <- (1 - alpha / 2) gv + sign(v) (gv F^T),   gs <- gs + gv        from the last step to the first.

The move that follows is that of `move.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._registration import register, runs_kernels, samples_first
from .move import _of


def forward(
    x: Tensor,  # (batch, n)
    normals: Tensor,  # (n, m)
    bias: Tensor,  # (m,)
    start: Tensor,  # (m, m)
    factor: Tensor,  # (m, m)
    gram: Tensor,  # (m, m)
    inverse_depths: Tensor,  # (m,)
    target: Tensor,  # (n,)
    steps: int,
    keep: float,
    shifting: bool,
    reduced: bool,
) -> Tensor:  # (batch, n), in the dtype of the normals
    """The pulled point; `keep` is `1 - alpha / 2`, the other constants are those of `Refined`."""
    constants = (normals, bias, start, factor, gram, inverse_depths, target)
    if runs_kernels(x):
        from .triton_ import refined as kernels

        with torch.cuda.device_of(x):
            return kernels.forward(x, constants, steps, keep, shifting, reduced)
    return plain(x, *constants, steps, keep, shifting)


def plain(
    x: Tensor,
    normals: Tensor,
    bias: Tensor,
    start: Tensor,
    factor: Tensor,
    gram: Tensor,
    inverse_depths: Tensor,
    target: Tensor,
    steps: int,
    keep: float,
    shifting: bool,
) -> Tensor:
    """The same by operators of torch."""
    x = x.to(normals.dtype)
    q = torch.addmm(bias, x, normals)
    s = q @ start
    v = s
    for _ in range(steps - 1):
        v = torch.addmm(torch.add(s, v, alpha=keep), v.abs(), factor)
    mu = torch.relu(v)
    # The projection is no farther than any point of the set; so a point of the set stays where it is.
    level = torch.relu((q * inverse_depths).amax(-1, keepdim=True))
    farthest = _of(shifting).distance(x, level, target)
    squared = (mu * (mu @ gram)).sum(-1, keepdim=True)
    too_far = squared > farthest.square()
    t = torch.where(too_far, farthest / torch.where(too_far, squared, 1).sqrt(), 1)
    return torch.addmm(x, t * mu, normals.mT, alpha=-1)


def backward(
    g: Tensor,  # (batch, n)
    x: Tensor,  # (batch, n)
    normals: Tensor,
    bias: Tensor,
    start: Tensor,
    factor: Tensor,
    gram: Tensor,
    inverse_depths: Tensor,
    target: Tensor,
    steps: int,
    keep: float,
    shifting: bool,
) -> Tensor:  # (batch, n), in the dtype of x
    """The gradient of `x` for one of the value."""
    constants = (normals, bias, start, factor, gram, inverse_depths, target)
    if runs_kernels(x):
        from .triton_ import refined as kernels

        with torch.cuda.device_of(x):
            return kernels.backward(g, x, constants, steps, keep, shifting)
    return plain_backward(g, x, *constants, steps, keep, shifting)


def plain_backward(
    g: Tensor,
    x: Tensor,
    normals: Tensor,
    bias: Tensor,
    start: Tensor,
    factor: Tensor,
    gram: Tensor,
    inverse_depths: Tensor,
    target: Tensor,
    steps: int,
    keep: float,
    shifting: bool,
) -> Tensor:
    """The same by operators of torch, which can be differentiated again."""
    dtype, x = x.dtype, x.to(normals.dtype)
    q = torch.addmm(bias, x, normals)
    s = q @ start
    passed = [s]
    for _ in range(steps - 1):
        v = passed[-1]
        passed.append(torch.addmm(torch.add(s, v, alpha=keep), v.abs(), factor))
    mu = torch.relu(passed[-1])
    back, q_back, mu_back = _shorten(g, x, q, mu, normals, gram, inverse_depths, target, shifting)
    v_back = torch.where(passed[-1] > 0, mu_back, 0)
    s_back = v_back
    for v in reversed(passed[:-1]):
        v_back = keep * v_back + v.sign() * (v_back @ factor.mT)
        s_back = s_back + v_back
    return (back + (q_back + s_back @ start.mT) @ normals.mT).to(dtype)


def _shorten(
    g: Tensor, x: Tensor, q: Tensor, mu: Tensor, normals: Tensor, gram: Tensor, inverse_depths: Tensor,
    target: Tensor, shifting: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of x, q and mu for that of `x - t A^T mu`."""
    top = (q * inverse_depths).amax(-1, keepdim=True)
    level = torch.relu(top)
    farthest = _of(shifting).distance(x, level, target)
    reached = mu @ gram
    squared = (mu * reached).sum(-1, keepdim=True)
    too_far = squared > farthest.square()
    squared = torch.where(too_far, squared, 1)
    t = torch.where(too_far, farthest / squared.sqrt(), 1)
    along = -(g @ normals)
    t_back = torch.where(too_far, (along * mu).sum(-1, keepdim=True), 0)
    mu_back = t * along - t_back * farthest * squared**-1.5 * reached
    far_back = t_back / squared.sqrt()
    if shifting:
        x_back, level_back = g, far_back * torch.linalg.vector_norm(target)
    else:
        away = x - target
        size = torch.linalg.vector_norm(away, dim=-1, keepdim=True)
        share = level / (1 + level)
        x_back = g + far_back * share * away / torch.where(size > 0, size, 1)
        level_back = far_back * size / (1 + level).square()
    worst = (q * inverse_depths == top).to(q.dtype)
    level_back = torch.where(top > 0, level_back, 0) / worst.sum(-1, keepdim=True)
    return x_back, level_back * worst * inverse_depths, mu_back


def _fake(x: Tensor, normals: Tensor, *_others: Any) -> Tensor:
    """Shape and dtype."""
    return torch.empty_like(x, dtype=normals.dtype, memory_format=torch.contiguous_format)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.steps, ctx.keep, ctx.shifting, _ = inputs
    ctx.save_for_backward(*tensors)


def _back(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    run = plain_backward if torch.is_grad_enabled() else gradient_of_pull
    x, normals, bias, start, factor, gram, inverse_depths, target = ctx.saved_tensors
    constants = (normals, bias, start, factor, gram, inverse_depths, target)
    return run(g, x, *constants, ctx.steps, ctx.keep, ctx.shifting), *[None] * 11


def _fold(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """torch.func.vmap: samples of samples are samples."""
    return samples_first(pull, (0,), info, in_dims, arguments)


def _fold_back(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    return samples_first(gradient_of_pull, (0, 1), info, in_dims, arguments)


pull = register(
    "pull(Tensor x, Tensor normals, Tensor bias, Tensor start, Tensor factor, Tensor gram, "
    "Tensor inverse_depths, Tensor target, int steps, float keep, bool shifting, bool reduced) -> Tensor",
    forward,
    _fake,
    _fold,
    (_keep, _back),
)
gradient_of_pull = register(
    "pull_backward(Tensor g, Tensor x, Tensor normals, Tensor bias, Tensor start, Tensor factor, "
    "Tensor gram, Tensor inverse_depths, Tensor target, int steps, float keep, bool shifting) -> Tensor",
    backward,
    lambda g, x, *_: x.new_empty(x.shape),
    _fold_back,
)
