"""Nearest points of boxes cut by one row each, for many rows and samples at once.

    x = clip(y - lam w, low, high),    lam the root of  g(lam) = sum_j w_j x_j(lam) = t

in signed coordinates, w_j >= 0, where t is g(0) clamped to the bounds of the row. g falls and is linear
between its breakpoints (y_j - low_j) / w_j and (y_j - high_j) / w_j. Features go first, (S, R, batch): S
slots of a row, R rows; every step then runs along the batch. A lane is a row of a sample.

Steps are those of the Pegasus method, a false position whose bracket shrinks from both sides, of three passes
each; six of them as a rule. A lane is done when its row holds to ROUNDINGS. Lanes that are not after STEPS,
and all of them where values may not be looked at (on CUDA, in a graph, under vmap), go through sorted
breakpoints by halving. Both end with a Newton step, exact on the piece that was found.
Tried on one thread: six steps of Newton's method with a bracket took twice as long, bisection and two of
Newton nearly three times, sorting about twenty times. Newton's method needs fewer steps, but each counts
free features, and comparisons cost torch several times as much as arithmetic.
Source: Brucker, An O(n) algorithm for quadratic knapsack problems, Operations Research Letters 3, 1984;
Kiwiel, Breakpoint searching algorithms for the continuous quadratic knapsack problem, Mathematical
Programming 112, 2008; Dowell and Jarratt, The "Pegasus" method for computing the root of an equation, BIT 12,
1972.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ._guard import may_look

STEPS = 14
FIRST_LOOK, EVERY = 6, 2
"""The steps after which residuals are looked at: each look costs two thirds of a step."""
ROUNDINGS = 8.0
"""Of the sum of absolute values, up to which a row counts as met; the Newton step meets it better."""

Bound = Tensor | float


@dataclass(frozen=True)
class Slots:
    """What points are constrained by.

    Attributes:
        low, high: (S, R, 1) or (S, R, batch) bounds of the features, or one number for all.
        weight: (S, R, 1) the w, at most 1; 0 in slots without a feature, whose bounds are 0. None: all 1.
        lower, upper: (R, 1) or (R, batch) bounds of the sums.
        inside: a point within all bounds, as `low`; the root is between 0 and the lam that brings there
            what is beyond it.
        beyond: (R, batch) what to add to that lam where a sum of `inside` is not within its bounds.
        two_sided: whether any `lower` may be finite.
    """

    low: Bound
    high: Bound
    weight: Tensor | None
    lower: Tensor
    upper: Tensor
    inside: Bound
    beyond: Tensor | None
    two_sided: bool

    def parts(self) -> tuple[Any, ...]:
        """The attributes, in order."""
        return (
            self.low,
            self.high,
            self.weight,
            self.lower,
            self.upper,
            self.inside,
            self.beyond,
            self.two_sided,
        )

    def clip(self, y: Tensor, out: Tensor | None = None) -> Tensor:
        """Onto the bounds; torch.clamp with tensors takes three times as long as these two passes."""
        if isinstance(self.low, Tensor) or isinstance(self.high, Tensor):
            x = torch.maximum(y, _tensor(self.low, y), out=out)
            return torch.minimum(x, _tensor(self.high, y), out=out)
        return torch.clamp(y, self.low, self.high, out=out)

    def times(self, lam: Tensor) -> Tensor:  # (R, batch) -> (S, R, batch) or what broadcasts to it
        """`lam w`."""
        return lam if self.weight is None else self.weight * lam

    def total(self, x: Tensor) -> Tensor:  # (S, R, batch) -> (R, batch)
        """`sum_j w_j x_j`."""
        return (x if self.weight is None else x * self.weight).sum(0)

    def lanes(self, index: Tensor, shape: torch.Size) -> Slots:
        """Of some lanes, a lane being a row of a sample; shapes (S, lanes), as if they were the rows."""
        low, high, weight = (_lanes(v, index, shape) for v in (self.low, self.high, self.weight))
        lower, upper, beyond = (_lanes(v, index, shape[1:]) for v in (self.lower, self.upper, self.beyond))
        inside = _lanes(self.inside, index, shape)
        return Slots(low, high, weight, lower, upper, inside, beyond, self.two_sided)


def solve(y: Tensor, slots: Slots) -> tuple[Tensor, Tensor, Tensor]:
    """The nearest points, without gradient; what is free; and the inverse slopes, 0 where lam is fixed.

    Returns: (S, R, batch); the same, of 0 and 1; (R, batch).
    """
    x = slots.clip(y)
    total = slots.total(x)
    target = torch.minimum(torch.maximum(total, slots.lower), slots.upper)
    residual = total - target
    looked = seen(residual != 0)
    if looked is False:
        moved = y
    else:
        moved = (_by_sorting if looked is None else _by_steps)(y, slots, target, residual)
        x = slots.clip(moved)
    free = (x - moved).abs_().sign_().neg_().add_(1.0)  # four passes that cost less than one comparison
    slope = (free if slots.weight is None else free * slots.weight.square()).sum(0)
    active = (residual != 0) | (slots.lower == slots.upper)
    inverse = torch.where(active & (slope > 0), slope, torch.inf).reciprocal()
    if moved is y:
        return x, free, inverse
    moved.sub_(slots.times((slots.total(x) - target) * inverse))
    return slots.clip(moved), free, inverse


def seen(where: Tensor) -> bool | None:
    """Whether any is True; None where that may not be looked at."""
    try:
        return bool(where.any()) if may_look(where) else None
    except RuntimeError:  # torch.func.vmap
        return None


def _by_steps(y: Tensor, slots: Slots, target: Tensor, residual: Tensor) -> Tensor:
    """`y - lam w` for a lam from which one Newton step is exact."""
    end, first = _end(y, slots, residual), residual
    moved = y - slots.times(end)
    x = slots.clip(moved)
    there = slots.total(x) - target
    tiny = torch.finfo(y.dtype).tiny * 2**STEPS  # at a root `far` may be halved, and must not become 0
    far = torch.where(residual > 0, there.clamp_max(-tiny), there.clamp_min(tiny))
    lam, left, going = torch.zeros_like(end), residual, torch.ones_like(end)
    for k in range(1, STEPS + 1):
        step = end * (residual / (residual - far)) * going
        lam = lam + step
        moved = torch.sub(y, slots.times(lam), out=moved)  # new memory would cost more than the steps
        x = slots.clip(moved, out=x)
        before, residual = residual, slots.total(x) - target
        passed = (residual * before).sign_().clamp_max_(0.0).abs_()  # 1 where the root is behind, else 0
        ratio = torch.nan_to_num(before / (before + residual), 1.0).clamp_(0.5, 1.0)
        end = end.addcmul(end, passed, value=-1.0).sub_(step)
        far = torch.lerp(far * ratio, before, passed)
        if k >= FIRST_LOOK and (k - FIRST_LOOK) % EVERY == 0:
            left = residual.abs() - ROUNDINGS * torch.finfo(y.dtype).eps * (
                slots.total(x.abs_()) + target.abs()
            )
            if not seen(left > 0):
                return moved
            going = (left > 0).to(y.dtype)  # a lane that is done does not depend on the others
    return _rest_by_sorting(y, moved, slots, target, first, left > 0)


def _end(y: Tensor, slots: Slots, residual: Tensor) -> Tensor:  # -> (R, batch)
    """A lam on the other side of the root, 0 where 0 is the root: no feature is above, or below, `inside`."""
    down = _over(y - slots.inside, slots.weight)
    beyond = 0.0 if slots.beyond is None else slots.beyond
    end = torch.where(residual > 0, down.amax(0) + beyond, 0.0)
    return torch.where(residual < 0, down.amin(0) - beyond, end) if slots.two_sided else end


def _by_sorting(y: Tensor, slots: Slots, target: Tensor, residual: Tensor) -> Tensor:
    """The same by halving between the sorted breakpoints."""
    end = _end(y, slots, residual)
    first, last = torch.minimum(end, torch.zeros_like(end)), torch.maximum(end, torch.zeros_like(end))
    points = torch.cat([_over(y - bound, slots.weight) for bound in (slots.low, slots.high)])
    points = torch.minimum(torch.maximum(points, first), last)
    points = torch.cat([first[None], points, last[None]]).sort(0).values
    count = len(points)
    start = torch.zeros_like(end, dtype=torch.int64)[None]
    step = 1 << max((count - 2).bit_length() - 1, 0)
    while step:
        middle = (start + step).clamp_max(count - 2)
        total = slots.total(slots.clip(y - slots.times(points.gather(0, middle)[0])))
        start = torch.where(total >= target, middle, start)
        step //= 2
    left, right = points.gather(0, start)[0], points.gather(0, start + 1)[0]
    between, slope = _excess_and_slope(y, slots, target, (left + right) / 2)
    # A flat piece ends, far from the set, where breakpoints were rounded to one number: the root is there.
    at_right = (slope == 0) & (between > 0)
    lam = torch.where(at_right, right, left)
    excess, here = _excess_and_slope(y, slots, target, lam)
    step = excess / torch.where(slope > 0, slope, torch.where(here > 0, here, torch.inf))
    step = torch.minimum(torch.maximum(step, left - lam), right - lam)
    return (y - slots.times(lam)) - slots.times(step)


def _excess_and_slope(y: Tensor, slots: Slots, target: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    """Of the sums at lam, beyond the target; the slope is that of the sum as lam falls."""
    moved = y - slots.times(lam)
    x = slots.clip(moved)
    free = (x == moved).to(y.dtype)
    slope = (free if slots.weight is None else free * slots.weight.square()).sum(0)
    return slots.total(x) - target, slope


def _rest_by_sorting(
    y: Tensor, moved: Tensor, slots: Slots, target: Tensor, residual: Tensor, left: Tensor
) -> Tensor:
    """`moved`, with the lanes that are left done again, and once more from there: for the last digits."""
    index = left.flatten().nonzero()[:, 0]
    few, (point, goal, excess) = (
        slots.lanes(index, y.shape),
        (v.flatten(-2)[..., index] for v in (y, target, residual)),
    )
    done = _by_sorting(point, few, goal, excess)
    done = _by_sorting(done, few, goal, few.total(few.clip(done)) - goal)
    return moved.flatten(1).index_copy(1, index, done).unflatten(1, moved.shape[1:])


def _tensor(bound: Bound, y: Tensor) -> Tensor:
    return bound if isinstance(bound, Tensor) else y.new_full((), bound)


def _over(down: Tensor, weight: Tensor | None) -> Tensor:
    """`down / w`, 0 in slots without a feature."""
    return down if weight is None else down * torch.where(weight > 0, weight, torch.inf).reciprocal()


def _lanes(value: Any, index: Tensor, shape: torch.Size) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.expand(shape).flatten(-2)[..., index]
