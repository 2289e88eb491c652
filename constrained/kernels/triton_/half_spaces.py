# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`half_spaces` in one kernel each way; formulas in `kernels/half_spaces.py`.

Where rows are few (`whole`), a program holds its samples, and their levels, in registers: points are read
once. Other sets are served by `_tall.py`.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .._choice import MOST_LEVELS
from . import _tall, move
from ._clip import clipped
from ._level import power_of_two
from ._whole import add_products, products, whole


@triton.jit(do_not_specialize=["batch"])
def _forward(
    x, rows, inverse, upper, lower, y, signs, replaced, worst_of, h_of, batch, n, q, tightened,
    slope, scale, offset, half_gap, top,
    SAMPLES: tl.constexpr, FEATURES: tl.constexpr, ROWS: tl.constexpr,
    UPPER: tl.constexpr, LOWER: tl.constexpr, STRICT: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    j = tl.max_contiguous(tl.arange(0, FEATURES), 4)
    at = samples[:, None] * n + j[None, :]
    mask = live[:, None] & (j < n)[None, :]
    part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    levels = products(part, rows, j, n, q, SAMPLES, ROWS)
    inside = live[:, None] & (i < q)[None, :]
    tight = tl.zeros((SAMPLES,), tl.float32)
    excess, sign = clipped(levels, upper, lower, tight, i, q, tightened, inside, UPPER, LOWER)
    good = live
    if STRICT:
        total = tl.sum(tl.abs(excess), 1)
        tight = (total + slope * tl.sqrt_rn(tl.sum(part * part, 1))) * scale + offset
        good = tight < half_gap
        excess, sign = clipped(levels, upper, lower, tight, i, q, tightened, inside, UPPER, LOWER)
    tl.store(signs + samples[:, None] * q + i[None, :], sign, mask=inside)
    value = add_products(part, excess, inverse, j, n, q, ROWS)
    if STRICT:  # False for NaN
        good = good & (tl.min(tl.where(tl.abs(value) <= top, 1, 0), 1) == 1)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)
    tl.store(replaced + samples, tl.where(good, 0, 1).to(tl.int8), mask=live)
    tl.store(worst_of + samples, tl.full((SAMPLES,), -1, tl.int32), mask=live)
    tl.store(h_of + samples, tl.zeros((SAMPLES,), tl.float32), mask=live)


@triton.jit(do_not_specialize=["batch"])
def _backward(
    v, rows, inverse, pulls, signs, back, batch, n, q,
    SAMPLES: tl.constexpr, FEATURES: tl.constexpr, ROWS: tl.constexpr, INWARD: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    j = tl.max_contiguous(tl.arange(0, FEATURES), 4)
    at = samples[:, None] * n + j[None, :]
    mask = live[:, None] & (j < n)[None, :]
    part = tl.load(v + at, mask=mask, other=0.0).to(tl.float32)
    found = products(part, inverse, j, n, q, SAMPLES, ROWS)
    # Signs row by row: a tile of them would be laid out for itself, and every row of the set after it.
    for k in range(q):
        sign = tl.load(signs + samples * q + k, mask=live, other=0).to(tl.float32)
        kept = tl.where(sign == 0, 0.0, tl.sum(tl.where((i == k)[None, :], found, 0.0), 1))
        part += kept[:, None] * tl.load(rows + k * n + j, mask=j < n, other=0.0)[None, :]
        if INWARD:
            pull = sign * tl.minimum(sign * kept, 0.0) * tl.load(pulls + k)
            part += pull[:, None] * tl.load(inverse + k * n + j, mask=j < n, other=0.0)[None, :]
    tl.store(back + at, part.to(back.dtype.element_ty), mask=mask)


def forward(
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
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `kernels/half_spaces.py`."""
    x, (batch, n), q = x.contiguous(), x.shape, rows.shape[1]
    y = x.new_empty(x.shape, dtype=store)
    signs = x.new_empty(batch, q, dtype=torch.int8)
    replaced = x.new_empty(batch, dtype=torch.int8)
    worst, h = x.new_empty(batch, dtype=torch.int32), x.new_empty(batch, dtype=torch.float32)
    tensors = (
        x, rows.mT.contiguous(), inverse.contiguous(), rows if upper is None else upper,
        rows if lower is None else lower, y, signs, replaced, worst, h,
    )  # fmt: skip
    numbers = (batch, n, q, tightened, *(margin or (0.0,) * 5))
    flags = {"UPPER": upper is not None, "LOWER": lower is not None, "STRICT": bool(finish)}
    found = whole(n, q, 2)
    if batch and found:
        samples, features, count = found
        _forward[(triton.cdiv(batch, samples),)](
            *tensors, *numbers, **flags,
            SAMPLES=samples, FEATURES=features, ROWS=power_of_two(q, 16, MOST_LEVELS), num_warps=count,
        )  # fmt: skip
    elif batch:
        _tall.forward(tensors, numbers, flags, "tf32" if reduced and not finish else "ieee")
    if finish and batch:
        end, bias, target, anchor, *hull = finish
        x, given = _tall.onto_hull(x, *hull, replaced) if hull else (x, None)
        marked = (replaced, worst, h)
        move.forward(x, end, bias, target, anchor, given, finish_margin, shifting, False, y, marked)
    return y, signs, replaced.view(torch.bool), worst, h


def backward(
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
    """See `kernels/half_spaces.py`."""
    v, x, (batch, n), q = v.contiguous(), x.contiguous(), x.shape, rows.shape[1]
    back = torch.empty_like(x)
    if not batch:
        return back
    across, inverse, signs = rows.mT.contiguous(), inverse.contiguous(), signs.contiguous()
    tensors = (v, across, inverse, rows if pulls is None else pulls, signs, back)
    found = whole(n, q, 2)
    if found:
        samples, features, count = found
        _backward[(triton.cdiv(batch, samples),)](
            *tensors, batch, n, q, SAMPLES=samples, FEATURES=features, ROWS=power_of_two(q, 16, MOST_LEVELS),
            INWARD=pulls is not None, num_warps=count,
        )  # fmt: skip
    else:
        _tall.backward(tensors, batch, n, q, pulls is not None)
    if finish:
        only, hull = replaced.contiguous().view(torch.int8), finish[4:5]
        x = _tall.onto_hull(x, *finish[4:], only)[0] if hull else x
        move.backward(v, x, finish[0], finish[2], worst, h, finish_gain, shifting, False, back, only)
        if hull:
            _tall.along_hull(back, *hull, only)
    return back
