"""`half_spaces` as one operator: both products, and between them the excess, which is never written.

    w = relu(A z - b + mu) - relu(lower - A z + mu),    y = z - A^+ w

with mu = 0, or in strict mode the margin of docs/strict.md, section 5. Back, for a gradient v of y:

    v + A^T (c d),   d = -(A^+)^T v,   c = 1 where a row is exceeded, else 0

`gradient="inward"` adds `sum_i min(c_i s_i d_i, 0) s_i k_i / |k_i|^2`, k_i = -A^+_i, s_i = 1 above, -1 below.
In strict mode equalities have no margin, and a sample for which the margin cannot be had is moved instead, as
`finish` does it, within the affine hull if there are equalities: launches whose programs return at once where
no sample of theirs needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..parameterizations._guard import largest
from ._registration import register, runs_kernels, samples_first
from .move import plain as plain_move
from .move import plain_backward as plain_move_backward

SLOPE, SCALE, OFFSET, HALF_GAP, TOP = range(5)
"""Of `margin`: `slope / excess`, `gain excess`, `gain offset`, half the smallest gap, the largest number."""


def forward(
    x: Tensor,  # (batch, n)
    rows: Tensor,  # (n, q)
    inverse: Tensor,  # (q, n)
    upper: Tensor | None,  # (q,)
    lower: Tensor | None,  # (q,)
    finish: Sequence[Tensor],
    margin: Sequence[float],
    finish_margin: Sequence[float],
    tightened: int,
    shifting: bool,
    inward: bool,
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # (batch, n), (batch, q), (batch,), (batch,), (batch,)
    """The value in the dtype `store`; of each row 1, -1 or 0 for above, below, neither; of each sample
    whether it was moved instead, by which row, and how far.

    Args:
        x: points, float32 or narrower, or the dtype of the rows.
        rows, inverse, upper, lower: constants of `HalfSpaces`, None for bounds of 0 and for none.
        finish: empty, or in strict mode rows, bias, target and anchor of the move; where it moves within an
            affine hull, also the equations of the hull (r, n) and (r,), onto which it projects first.
        margin: empty, or the five numbers above.
        finish_margin, shifting: of the move, see `move.py`.
        tightened: how many rows have the margin, the first ones; equalities do not.
        inward, reduced, store: likewise.
    """
    if runs_kernels(x):
        from .triton_ import half_spaces as kernels

        with torch.cuda.device_of(x):
            return kernels.forward(
                x, rows, inverse, upper, lower, finish, margin, finish_margin, tightened, shifting, reduced,
                store,
            )  # fmt: skip
    return plain(
        x, rows, inverse, upper, lower, finish, margin, finish_margin, tightened, shifting, inward, reduced,
        store,
    )  # fmt: skip


def plain(
    x: Tensor,
    rows: Tensor,
    inverse: Tensor,
    upper: Tensor | None,
    lower: Tensor | None,
    finish: Sequence[Tensor],
    margin: Sequence[float],
    finish_margin: Sequence[float],
    tightened: int,
    shifting: bool,
    inward: bool,
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The same by operators of torch."""
    given, x = x, x.to(rows.dtype)
    product = x @ rows
    over, under = _excess(product, upper, lower, 0.0)
    none = x.new_zeros(len(x))
    if not finish:
        y = torch.addmm(x, torch.relu(over) - torch.relu(under), inverse).to(store)
        return y, _signs(over, under), none.bool(), none.int() - 1, none
    total = (torch.relu(over) - torch.relu(under)).abs().sum(-1, keepdim=True)
    size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    tight = torch.add(total, size, alpha=margin[SLOPE]) * margin[SCALE] + margin[OFFSET]
    margins = tight * (torch.arange(rows.shape[1], device=x.device) < tightened)
    over, under = _excess(product, upper, lower, margins)
    y = torch.addmm(x, torch.relu(over) - torch.relu(under), inverse)
    good = (tight < margin[HALF_GAP]) & (largest(y) <= margin[TOP])
    end, bias, target, anchor, *hull = finish
    top = largest(x) if hull else None
    pulled = _onto_hull(x, *hull) if hull else given
    moved, worst, h = plain_move(
        pulled, end, bias, target, anchor, top, finish_margin, shifting, False, False, store
    )
    moved = torch.where(good, y.to(store), moved)
    good = good.squeeze(-1)
    return moved, _signs(over, under), ~good, torch.where(good, -1, worst), torch.where(good, 0, h)


def backward(
    v: Tensor,  # (batch, n)
    x: Tensor,  # (batch, n)
    rows: Tensor,
    inverse: Tensor,
    pulls: Tensor | None,  # (q,)
    finish: Sequence[Tensor],
    signs: Tensor,  # (batch, q)
    replaced: Tensor,  # (batch,)
    worst: Tensor,  # (batch,)
    h: Tensor,  # (batch,)
    finish_gain: float,
    shifting: bool,
) -> Tensor:  # (batch, n), in the dtype of x
    """The gradient of `x` for one of the value; `pulls` are `1 / |k_i|^2`, for `gradient="inward"`."""
    arguments = (v, x, rows, inverse, pulls, finish, signs, replaced, worst, h, finish_gain, shifting)
    if runs_kernels(x):
        from .triton_ import half_spaces as kernels

        with torch.cuda.device_of(x):
            return kernels.backward(*arguments)
    return plain_backward(*arguments)


def plain_backward(
    v: Tensor,
    x: Tensor,
    rows: Tensor,
    inverse: Tensor,
    pulls: Tensor | None,
    finish: Sequence[Tensor],
    signs: Tensor,
    replaced: Tensor,
    worst: Tensor,
    h: Tensor,
    finish_gain: float,
    shifting: bool,
) -> Tensor:
    """The same by operators of torch, which can be differentiated again."""
    given, v, s = v, v.to(rows.dtype), signs.to(rows.dtype)
    d = v @ inverse.mT
    back = v + (s.abs() * d) @ rows.mT
    if pulls is not None:
        back = back + (s * (s * d).clamp(max=0) * pulls) @ inverse
    if not finish:
        return back.to(x.dtype)
    hull = finish[4:]
    pulled = _onto_hull(x.to(rows.dtype), *hull) if hull else x
    moved = plain_move_backward(given, pulled, finish[0], finish[2], worst, h, finish_gain, shifting, False)
    if hull:
        moved = torch.addmm(moved, moved @ hull[0].mT, hull[0], alpha=-1).to(x.dtype)
    return torch.where(replaced.unsqueeze(-1), moved, back.to(x.dtype))


def _onto_hull(x: Tensor, hull: Tensor, offsets: Tensor) -> Tensor:
    return torch.addmm(x, torch.addmm(offsets, x, hull.mT, beta=-1), hull, alpha=-1)


def _excess(
    product: Tensor, upper: Tensor | None, lower: Tensor | None, margin: Tensor | float
) -> tuple[Tensor, Tensor]:
    over = product + margin if upper is None else product + margin - upper
    under = torch.full_like(product, -torch.inf) if lower is None else lower - (product - margin)
    return over, under


def _signs(over: Tensor, under: Tensor) -> Tensor:
    return torch.where(over > 0, 1, torch.where(under > 0, -1, 0)).to(torch.int8)


def _fake(x: Tensor, rows: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Shapes and dtypes."""
    batch, q = x.shape[0], rows.shape[1]
    y = torch.empty_like(x, dtype=others[-1], memory_format=torch.contiguous_format)
    signs, replaced = x.new_empty(batch, q, dtype=torch.int8), x.new_empty(batch, dtype=torch.bool)
    return y, signs, replaced, x.new_empty(batch, dtype=torch.int32), x.new_empty(batch, dtype=rows.dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, rows, inverse, upper, lower, finish, _, finish_margin, _, ctx.shifting, ctx.inward, _, _ = inputs
    ctx.gain = finish_margin[2] if finish_margin else 1.0
    ctx.bounds = (upper is not None, lower is not None)
    bounds = [v for v in (upper, lower) if v is not None]
    ctx.save_for_backward(x, rows, inverse, *output[1:], *bounds, *finish)


def _back(ctx: Any, v: Tensor, *_others: Tensor) -> tuple[Any, ...]:
    x, rows, inverse, signs, replaced, worst, h, *rest = ctx.saved_tensors
    upper = rest.pop(0) if ctx.bounds[0] else None
    lower = rest.pop(0) if ctx.bounds[1] else None
    pulls = _pulls(inverse, upper, lower) if ctx.inward else None
    run = plain_backward if torch.is_grad_enabled() else gradient_of_half_spaces
    back = run(v, x, rows, inverse, pulls, rest, signs, replaced, worst, h, ctx.gain, ctx.shifting)
    # torch takes an empty list for one of tensors, each of which has a gradient, and one of numbers for one.
    numbers = None if rest else []
    return back, None, None, None, None, [None] * len(rest), numbers, numbers, *[None] * 5


def _pulls(inverse: Tensor, upper: Tensor | None, lower: Tensor | None) -> Tensor:  # (q,)
    """`1 / |k_i|^2`; 0 for a row with equal bounds, which has nowhere to go."""
    pulls = inverse.square().sum(-1).clamp_min(torch.finfo(inverse.dtype).tiny).reciprocal()
    return pulls if lower is None else torch.where(lower >= (0 if upper is None else upper), 0, pulls)


def _fold(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """torch.func.vmap: samples of samples are samples."""
    return samples_first(half_spaces, (0,), info, in_dims, arguments)


def _fold_back(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    return samples_first(gradient_of_half_spaces, (0, 1, 6, 7, 8, 9), info, in_dims, arguments)


half_spaces = register(
    "half_spaces(Tensor x, Tensor rows, Tensor inverse, Tensor? upper, Tensor? lower, Tensor[] finish, "
    "float[] margin, float[] finish_margin, int tightened, bool shifting, bool inward, bool reduced, "
    "ScalarType store) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    forward,
    _fake,
    _fold,
    (_keep, _back),
)
gradient_of_half_spaces = register(
    "half_spaces_backward(Tensor v, Tensor x, Tensor rows, Tensor inverse, Tensor? pulls, Tensor[] finish, "
    "Tensor signs, Tensor replaced, Tensor worst, Tensor h, float finish_gain, bool shifting) -> Tensor",
    backward,
    lambda v, x, *_: x.new_empty(x.shape),
    _fold_back,
)
