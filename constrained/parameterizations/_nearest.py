"""The nearest points of `_slots.py` with a derivative: the Jacobian, or a projection onto a tangent cone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from ._guard import tracing
from ._slots import Bound, Slots, solve

ACTIVE = 16.0
"""Roundings of the sum of absolute values up to which a row counts as met."""


def project(y: Tensor, slots: Slots, inward: bool = False) -> Tensor:  # (S, R, batch) -> (S, R, batch)
    """The nearest points, with the gradient of `_Nearest`."""
    if not tracing():
        return _Nearest.apply(y, inward, *slots.parts())[0]
    if inward and y.requires_grad and torch.is_grad_enabled():
        return _TracedNearest.apply(y, inward, *slots.parts())[0]
    x, free, inverse = solve(y.detach(), slots)
    return x + _derivative(y - y.detach(), free, inverse, slots)  # x, with this derivative


def _forward(y: Tensor, inward: bool, *slots: Any) -> tuple[Tensor, Tensor, Tensor]:
    return solve(y, Slots(*slots))


def _keep(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, free, inverse = output
    _, ctx.inward, *slots = inputs
    ctx.mark_non_differentiable(free, inverse)
    ctx.numbers = [None if isinstance(v, Tensor) else v for v in slots]
    kept = (x, free, inverse, *(v if isinstance(v, Tensor) else None for v in slots))
    ctx.save_for_backward(*kept)
    ctx.save_for_forward(*kept)


def _kept(ctx: Any) -> tuple[Tensor, Tensor, Tensor, Slots]:
    x, free, inverse, *tensors = ctx.saved_tensors
    both = zip(tensors, ctx.numbers, strict=True)
    return x, free, inverse, Slots(*(number if tensor is None else tensor for tensor, number in both))


def _backward(ctx: Any, v: Tensor, *_: Any) -> tuple[Any, ...]:
    x, free, inverse, slots = _kept(ctx)
    found = -onto_tangents(-v, x, slots) if ctx.inward else _derivative(v, free, inverse, slots)
    return found, None, *(None for _ in slots.parts())


def _derivative(v: Tensor, free: Tensor, inverse: Tensor, slots: Slots) -> Tensor:
    """The Jacobian of the projection, symmetric: `free v` without its component along active rows."""
    v = v * free
    return v - slots.times(slots.total(v) * inverse) * free


def onto_tangents(v: Tensor, x: Tensor, slots: Slots) -> Tensor:
    """Onto the tangent cone at x: at a bound of a feature or a row, steps lead inwards or along it."""
    low, high = _within(x, slots.low).neg_(), _within(slots.high, x)
    total, size, near = slots.total(x), slots.total(x.abs()), ACTIVE * torch.finfo(x.dtype).eps
    upper = torch.where(total >= slots.upper - near * (size + slots.upper.abs()), 0.0, torch.inf)
    lower = torch.where(total <= slots.lower + near * (size + slots.lower.abs()), 0.0, -torch.inf)
    cone = Slots(low, high, slots.weight, lower, upper, 0.0, None, slots.two_sided)
    return solve(v, cone)[0] if tracing() else project(v, cone)  # no function within one, while tracing


class _Nearest(Function):
    """`solve` with a derivative: the Jacobian, or `v -> -P_T(-v)` with T the tangent cone at x."""

    generate_vmap_rule = True
    forward = staticmethod(_forward)
    setup_context = staticmethod(_keep)
    backward = staticmethod(_backward)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """Forward mode; the Jacobian in any case."""
        _, free, inverse, slots = _kept(ctx)
        return _derivative(tangents[0], free, inverse, slots), None, None


class _TracedNearest(Function):
    """The same while a graph is recorded: torch.compile takes no function with a rule for forward mode."""

    forward = staticmethod(_forward)
    setup_context = staticmethod(_keep)
    backward = staticmethod(_backward)


def _within(x: Bound, low: Bound) -> Tensor:
    """Infinity where `x > low`, 0 where they are equal, in passes that cost less than a comparison."""
    return ((x - low).sign_() * torch.inf).nan_to_num_(0.0, torch.inf)  # pyright: ignore
