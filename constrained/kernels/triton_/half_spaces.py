# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`half_spaces` in one kernel each way; formulas in `kernels/half_spaces.py`.

A program takes a block of samples and holds the excess of all their rows in registers, so at most 128 rows.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from . import move
from ._level import TERMS, block, power_of_two, relu, warps


@triton.jit
def _clipped(levels, above, below, tight, inside, LOWER: tl.constexpr):
    """The excess, signed; and what is above and below."""
    over = levels + tight - above
    excess = relu(over)
    under = over
    if LOWER:
        under = below - (levels - tight)
        excess -= relu(under)
    return tl.where(inside, excess, 0.0), over, under


@triton.jit
def _forward(
    x, rows, inverse, upper, lower, y, signs, replaced, batch, n, q,
    slope, scale, offset, half_gap, top,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr,
    UPPER: tl.constexpr, LOWER: tl.constexpr, STRICT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    levels = tl.zeros((SAMPLES, ROWS), tl.float32)
    squares = tl.zeros((SAMPLES,), tl.float32)
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        tile = tl.load(
            rows + j[:, None] * q + i[None, :], mask=(j < n)[:, None] & (i < q)[None, :], other=0.0
        )
        levels = tl.dot(part, tile, levels, input_precision=PRECISION)
        if STRICT:
            squares += tl.sum(part * part, 1)
    inside = live[:, None] & (i < q)[None, :]
    above = tl.zeros((1, ROWS), tl.float32)
    below = above
    if UPPER:
        above = tl.load(upper + i, mask=i < q, other=0.0)[None, :]
    if LOWER:
        below = tl.load(lower + i, mask=i < q, other=0.0)[None, :]
    tight = tl.zeros((SAMPLES,), tl.float32)
    excess, over, under = _clipped(levels, above, below, tight[:, None], inside, LOWER)
    good = live
    if STRICT:
        total = tl.sum(tl.abs(excess), 1)
        tight = (total + slope * tl.sqrt_rn(squares)) * scale + offset
        good = tight < half_gap
        excess, over, under = _clipped(levels, above, below, tight[:, None], inside, LOWER)
    sign = tl.where(over > 0, 1, 0)
    if LOWER:
        sign = tl.where(over > 0, 1, tl.where(under > 0, -1, 0))
    tl.store(signs + samples[:, None] * q + i[None, :], sign.to(tl.int8), mask=inside)
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        tile = tl.load(
            inverse + i[:, None] * n + j[None, :], mask=(i < q)[:, None] & (j < n)[None, :], other=0.0
        )
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        value = part + tl.dot(excess, tile, input_precision=PRECISION)
        if STRICT:  # False for NaN
            fits = tl.where(mask, tl.where(tl.abs(value) <= top, 1, 0), 1)
            good = good & (tl.min(fits, 1) == 1)
        tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)
    if STRICT:
        tl.store(replaced + samples, tl.where(good, 0, 1).to(tl.int8), mask=live)


@triton.jit
def _backward(
    v, rows, inverse, pulls, signs, back, batch, n, q,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, INWARD: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    product = tl.zeros((SAMPLES, ROWS), tl.float32)
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(v + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        tile = tl.load(
            inverse + i[None, :] * n + j[:, None], mask=(j < n)[:, None] & (i < q)[None, :], other=0.0
        )
        product = tl.dot(part, tile, product, input_precision=PRECISION)
    inside = live[:, None] & (i < q)[None, :]
    sign = tl.load(signs + samples[:, None] * q + i[None, :], mask=inside, other=0).to(tl.float32)
    kept = tl.where(sign == 0, 0.0, product)
    pull = kept
    if INWARD:
        pull = sign * tl.minimum(sign * kept, 0.0) * tl.load(pulls + i, mask=i < q, other=0.0)[None, :]
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        both = (i < q)[:, None] & (j < n)[None, :]
        tile = tl.load(rows + j[None, :] * q + i[:, None], mask=both, other=0.0)
        value = tl.load(v + at, mask=mask, other=0.0).to(tl.float32)
        value += tl.dot(kept, tile, input_precision=PRECISION)
        if INWARD:
            tile = tl.load(inverse + i[:, None] * n + j[None, :], mask=both, other=0.0)
            value += tl.dot(pull, tile, input_precision=PRECISION)
        tl.store(back + at, value.to(back.dtype.element_ty), mask=mask)


def forward(
    x: Tensor,
    rows: Tensor,
    inverse: Tensor,
    upper: Tensor | None,
    lower: Tensor | None,
    finish: Sequence[Tensor],
    margin: Sequence[float],
    finish_margin: Sequence[float],
    shifting: bool,
    reduced: bool,
    store: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See `kernels/half_spaces.py`."""
    x, (batch, n), q = x.contiguous(), x.shape, rows.shape[1]
    y = torch.empty_like(x, dtype=store)
    signs = torch.empty(batch, q, dtype=torch.int8, device=x.device)
    replaced = torch.zeros(batch, dtype=torch.int8, device=x.device)
    if batch:
        width = power_of_two(q, 16, 128)
        samples = block(batch, width, x.device)
        _forward[(triton.cdiv(batch, samples),)](
            x, rows.contiguous(), inverse.contiguous(), rows if upper is None else upper.contiguous(),
            rows if lower is None else lower.contiguous(), y, signs, replaced, batch, n, q,
            *(margin or (0.0,) * 5),
            SAMPLES=samples, TERMS=TERMS, ROWS=width, num_warps=warps(width),
            UPPER=upper is not None, LOWER=lower is not None,
            STRICT=bool(finish), PRECISION="tf32" if reduced and not finish else "ieee",
        )  # fmt: skip
    if finish:
        end, bias, target, anchor = finish
        _, worst, h = move.forward(
            x, end, bias, target, anchor, None, finish_margin, shifting, False, y, replaced
        )
    else:
        worst = torch.full((batch,), -1, dtype=torch.int32, device=x.device)
        h = torch.zeros(batch, dtype=torch.float32, device=x.device)
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
    if batch:
        width = power_of_two(q, 16, 128)
        samples = block(batch, width, x.device)
        _backward[(triton.cdiv(batch, samples),)](
            v, rows.contiguous(), inverse.contiguous(), rows if pulls is None else pulls.contiguous(),
            signs.contiguous(), back, batch, n, q,
            SAMPLES=samples, TERMS=TERMS, ROWS=width, num_warps=warps(width),
            INWARD=pulls is not None, PRECISION="ieee",
        )  # fmt: skip
    if finish:
        only = replaced.contiguous().view(torch.int8)
        move.backward(v, x, finish[0], finish[2], worst, h, finish_gain, shifting, False, back, only)
    return back
