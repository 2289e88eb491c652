# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`shift` and `gauge` in one kernel each way; formulas in `kernels/move.py`.

A program takes a block of samples: products with tiles of rows and a running maximum with its index, then
the update, for which the points are read again, from cache. Bytes: each point once, each value once.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._level import TERMS, block, lerp, power_of_two, relu, warps, worst_row

ENTRIES = 2048
"""Of a tile of points in an update, 16 a thread; 128 features of a sample are 512 bytes."""


@triton.jit
def _forward(
    x, rows, bias, target, anchor, given, only, y, worst_of, h_of, batch, n, q,
    slope, offset, gain, top_served, top_stored, root,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, FEATURES: tl.constexpr,
    SHIFTING: tl.constexpr, STRICT: tl.constexpr, GIVEN: tl.constexpr, ONLY: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    if ONLY:  # of these samples only; nearly always of none
        live = live & (tl.load(only + samples, mask=live, other=0) != 0)
        if tl.max(live.to(tl.int32), 0) == 0:
            return
    level, worst, squares, top, finite, extent = worst_row(
        x, rows, bias, target, samples, live, n, q, SAMPLES, TERMS, ROWS, PRECISION, STRICT
    )
    good = live
    if STRICT:
        size = tl.sqrt_rn(squares)
        size = tl.where(size < float("inf"), size, top * root)
        h = relu(level + slope * size + offset)
        reach = top + (h * gain) * extent if SHIFTING else tl.maximum(top, extent)
        good = finite & (top <= top_served) & (reach <= top_stored)
        if GIVEN:
            largest = tl.load(given + samples, mask=live, other=0.0)
            good = good & (largest <= top_served)
            finite = tl.abs(largest) < float("inf")
        h = tl.where(good, h, 0.0)
        worst = tl.where(good, tl.where(h > 0, worst, -1), -2)
    else:
        h = relu(level)
        worst = tl.where(h > 0, worst, -1)
    tl.store(worst_of + samples, worst, mask=live)
    tl.store(h_of + samples, h, mask=live)
    t = h * gain
    s = tl.div_rn(tl.full((SAMPLES,), 1.0, tl.float32), 1.0 + t)
    for start in range(0, n, FEATURES):
        j = start + tl.arange(0, FEATURES)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
        value = part + t[:, None] * aim if SHIFTING else lerp(part, aim, s[:, None])
        if STRICT:
            fixed = tl.load(anchor + j, mask=j < n, other=0.0)[None, :]
            value = tl.where(good[:, None], value, tl.where(finite[:, None], fixed, float("nan")))
        tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)


@triton.jit
def _backward(
    v, x, rows, target, worst_of, h_of, only, back, batch, n, q, gain, tiny,
    SAMPLES: tl.constexpr, FEATURES: tl.constexpr, SHIFTING: tl.constexpr, INWARD: tl.constexpr,
    ONLY: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    if ONLY:
        live = live & (tl.load(only + samples, mask=live, other=0) != 0)
        if tl.max(live.to(tl.int32), 0) == 0:
            return
    worst = tl.load(worst_of + samples, mask=live, other=-1)
    h = tl.load(h_of + samples, mask=live, other=0.0)
    moved = worst >= 0
    product = tl.zeros((SAMPLES,), tl.float32)
    squares = tl.zeros((SAMPLES,), tl.float32)
    for start in range(0, n, FEATURES):
        j = start + tl.arange(0, FEATURES)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
        if SHIFTING:
            along = aim
        else:
            # Where the mask is off both are 0, so that nothing is added.
            along = tl.where(mask, tl.load(x + at, mask=mask, other=0.0).to(tl.float32) - aim, 0.0)
        product += tl.sum(tl.load(v + at, mask=mask, other=0.0).to(tl.float32) * along, 1)
        squares += tl.sum(along * along, 1)
    one = tl.full((SAMPLES,), 1.0, tl.float32)
    s = tl.div_rn(one, 1.0 + h * gain)
    g = gain * product if SHIFTING else -gain * (s * s) * product
    # |k|^2 of the inward step, and k in units of what is at hand, e or x - c
    unit = (
        tl.full((SAMPLES,), 1.0, tl.float32)
        if SHIFTING
        else tl.div_rn(tl.full((SAMPLES,), -1.0, tl.float32), 1.0 + h)
    )
    pull = tl.div_rn(tl.minimum(g, 0.0), tl.maximum(squares * unit * unit, tiny)) * unit
    for start in range(0, n, FEATURES):
        j = start + tl.arange(0, FEATURES)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        part = tl.load(v + at, mask=mask, other=0.0).to(tl.float32)
        row = tl.load(
            rows + j[None, :] * q + tl.maximum(worst, 0)[:, None], mask=mask & moved[:, None], other=0.0
        )
        change = g[:, None] * row
        if INWARD:
            aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
            if SHIFTING:
                change += pull[:, None] * aim
            else:
                change += pull[:, None] * (tl.load(x + at, mask=mask, other=0.0).to(tl.float32) - aim)
        kept = part if SHIFTING else s[:, None] * part
        value = tl.where(moved[:, None], kept + change, part)
        value = tl.where((worst == -2)[:, None], 0.0, value)
        tl.store(back + at, value.to(back.dtype.element_ty), mask=mask)


def forward(
    x: Tensor,
    rows: Tensor,
    bias: Tensor,
    target: Tensor,
    anchor: Tensor | None,
    given: Tensor | None,
    margin: Sequence[float],
    shifting: bool,
    reduced: bool,
    y: Tensor,
    only: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `kernels/move.py`; writes into `y`, and only the samples that `only` marks."""
    x, (batch, n), q = x.contiguous(), x.shape, rows.shape[1]
    worst = torch.full((batch,), -1, dtype=torch.int32, device=x.device)
    h = torch.zeros(batch, dtype=torch.float32, device=x.device)
    if not batch:
        return y, worst, h
    strict = anchor is not None
    numbers = tuple(margin) if strict else (0.0, 0.0, 1.0, 0.0, 0.0)
    width = power_of_two(q, 16, 64)
    samples = block(batch, width, x.device)
    _forward[(triton.cdiv(batch, samples),)](
        x, rows.contiguous(), bias.contiguous(), target.contiguous(), anchor if strict else target,
        x if given is None else given.contiguous(), worst if only is None else only, y, worst, h, batch, n, q,
        *numbers, float(n**0.5),
        SAMPLES=samples, TERMS=TERMS, ROWS=width, FEATURES=power_of_two(n, 16, ENTRIES // samples),
        num_warps=warps(width),
        SHIFTING=shifting, STRICT=strict, GIVEN=given is not None, ONLY=only is not None,
        PRECISION="tf32" if reduced and not strict else "ieee",
    )  # fmt: skip
    return y, worst, h


def backward(
    v: Tensor,
    x: Tensor,
    rows: Tensor,
    target: Tensor,
    worst: Tensor,
    h: Tensor,
    gain: float,
    shifting: bool,
    inward: bool,
    back: Tensor | None = None,
    only: Tensor | None = None,
) -> Tensor:
    """See `kernels/move.py`; writes into `back`, and only the samples that `only` marks."""
    v, x, (batch, n), q = v.contiguous(), x.contiguous(), x.shape, rows.shape[1]
    back = torch.empty_like(x) if back is None else back
    if not batch:
        return back
    samples = min(16, power_of_two(batch, 1, 16))
    _backward[(triton.cdiv(batch, samples),)](
        v, x, rows.contiguous(), target.contiguous(), worst.contiguous(), h.contiguous(),
        worst if only is None else only, back, batch, n, q, gain, torch.finfo(torch.float32).tiny,
        SAMPLES=samples, FEATURES=power_of_two(n, 16, 128),
        SHIFTING=shifting, INWARD=inward, ONLY=only is not None,
    )  # fmt: skip
    return back
