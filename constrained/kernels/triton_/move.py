# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`shift` and `gauge` in one kernel each way; formulas in `kernels/move.py`.

A program takes a block of samples. Where rows are few (`whole`), it holds the samples in registers from the
only time that it reads them to the only time that it writes; else it makes products of tiles, a running
maximum with its index, and reads the points again for the update, from cache if they are few enough.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._level import TERMS, block, lerp, power_of_two, relu, sizes, warps, worst_row
from ._whole import whole, worst_of_tile

ENTRIES = 4096
"""Of a tile of points in the backward pass, 32 a thread."""


@triton.jit
def raised(
    level, squares, top, wild, extent, largest, slope, offset, gain, top_served, top_stored, root,
    SHIFTING: tl.constexpr, GIVEN: tl.constexpr,
):  # fmt: skip
    """The level with its margin, 0 where the guard replaces the sample; whether it does not; whether the
    sample that was given, with its largest entry, is finite.
    """
    finite = wild == 0
    size = tl.sqrt_rn(squares)
    size = tl.where(size < float("inf"), size, top * root)
    h = relu(level + slope * size + offset)
    reach = top + (h * gain) * extent if SHIFTING else tl.maximum(top, extent)
    good = finite & (top <= top_served) & (reach <= top_stored)
    if GIVEN:
        good = good & (largest <= top_served)
        finite = tl.abs(largest) < float("inf")
    return tl.where(good, h, 0.0), good, finite


@triton.jit
def update(part, j, target, anchor, n, t, s, good, finite, SHIFTING: tl.constexpr, STRICT: tl.constexpr):
    """The moved points of a tile."""
    aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
    value = part + t[:, None] * aim if SHIFTING else lerp(part, aim, s[:, None])
    if STRICT:
        fixed = tl.load(anchor + j, mask=j < n, other=0.0)[None, :]
        value = tl.where(good[:, None], value, tl.where(finite[:, None], fixed, float("nan")))
    return value


@triton.jit(do_not_specialize=["batch"])
def _forward(
    x, rows, bias, target, anchor, given, only, y, worst_of, h_of, batch, n, q,
    slope, offset, gain, top_served, top_stored, root,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, FEATURES: tl.constexpr,
    WHOLE: tl.constexpr, SHIFTING: tl.constexpr, STRICT: tl.constexpr, GIVEN: tl.constexpr,
    ONLY: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    if ONLY:  # of these samples only; nearly always of none
        live = live & (tl.load(only + samples, mask=live, other=0) != 0)
        if tl.max(live.to(tl.int32), 0) == 0:
            return
    # Four numbers a thread whatever their dtype, so that points and rows are laid out alike.
    j = tl.max_contiguous(tl.arange(0, FEATURES), 4)
    if WHOLE:
        at = samples[:, None] * n + j[None, :]
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        level, worst = worst_of_tile(part, rows, bias, j, n, q, SAMPLES)
        if STRICT:
            squares, top, wild, extent = sizes(part, tl.load(target + j, mask=j < n, other=0.0))
    else:
        level, worst, squares, top, wild, extent = worst_row(
            x, rows, bias, target, samples, live, n, q, SAMPLES, TERMS, ROWS, PRECISION, STRICT
        )
    good, finite = live, live
    if STRICT:
        largest = top
        if GIVEN:
            largest = tl.load(given + samples, mask=live, other=0.0)
        h, good, finite = raised(
            level, squares, top, wild, extent, largest, slope, offset, gain, top_served, top_stored, root,
            SHIFTING, GIVEN,
        )  # fmt: skip
        worst = tl.where(good, tl.where(h > 0, worst, -1), -2)
    else:
        h = relu(level)
        worst = tl.where(h > 0, worst, -1)
    tl.store(worst_of + samples, worst, mask=live)
    tl.store(h_of + samples, h, mask=live)
    t = h * gain
    s = tl.div_rn(tl.full((SAMPLES,), 1.0, tl.float32), 1.0 + t)
    if WHOLE:
        value = update(part, j, target, anchor, n, t, s, good, finite, SHIFTING, STRICT)
        tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)
    else:
        for start in range(0, n, FEATURES):
            k = start + j
            mask = live[:, None] & (k < n)[None, :]
            at = samples[:, None] * n + k[None, :]
            part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
            value = update(part, k, target, anchor, n, t, s, good, finite, SHIFTING, STRICT)
            tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["batch"])
def _backward(
    v, x, rows, target, worst_of, h_of, only, back, batch, n, gain, tiny,
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
    j = tl.max_contiguous(tl.arange(0, FEATURES), 4)
    mask = live[:, None] & (j < n)[None, :]
    at = samples[:, None] * n + j[None, :]
    part = tl.load(v + at, mask=mask, other=0.0).to(tl.float32)
    aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
    one = tl.full((SAMPLES,), 1.0, tl.float32)
    if SHIFTING:
        along, s, unit = aim, one, one
        g = gain * tl.sum(part * along, 1)
    else:
        # Where the mask is off both are 0, so that nothing is added.
        along = tl.where(mask, tl.load(x + at, mask=mask, other=0.0).to(tl.float32) - aim, 0.0)
        s = tl.div_rn(one, 1.0 + h * gain)
        g = -gain * (s * s) * tl.sum(part * along, 1)
        unit = tl.div_rn(-one, 1.0 + h)
    at_row = rows + tl.maximum(worst, 0)[:, None].to(tl.int64) * n + j[None, :]
    change = g[:, None] * tl.load(at_row, mask=mask & moved[:, None], other=0.0)
    if INWARD:  # along is k in units of `unit`
        squares = tl.sum(along * along, 1) * unit * unit
        change += (tl.div_rn(tl.minimum(g, 0.0), tl.maximum(squares, tiny)) * unit)[:, None] * along
    value = tl.where(moved[:, None], s[:, None] * part + change, part)
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
    marked: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `kernels/move.py`; writes into `y`, and with `marked`, those samples only: marks, worst, h."""
    x, (batch, n), q = x.contiguous(), x.shape, rows.shape[1]
    only, worst, h = marked or (
        None,
        torch.empty(batch, dtype=torch.int32, device=x.device),
        torch.empty(batch, dtype=torch.float32, device=x.device),
    )
    if not batch:
        return y, worst, h
    strict = anchor is not None
    samples, options = _tiles(batch, n, q, x.device)
    _forward[(triton.cdiv(batch, samples),)](
        x, rows.mT.contiguous(), bias, target, anchor if strict else target, x if given is None else given,
        worst if only is None else only, y, worst, h, batch, n, q,
        *(margin if strict else (0.0, 0.0, 1.0, 0.0, 0.0)), float(n**0.5),
        **options, SHIFTING=shifting, STRICT=strict, GIVEN=given is not None, ONLY=only is not None,
        PRECISION="tf32" if reduced and not strict else "ieee",
    )  # fmt: skip
    return y, worst, h


def _tiles(batch: int, n: int, q: int, device: torch.device) -> tuple[int, dict[str, Any]]:
    """How many samples a program takes, and the constants of `_forward` that follow."""
    if found := whole(n, q, 1):
        samples, features, count = found
        return samples, {
            "SAMPLES": samples, "TERMS": TERMS, "ROWS": 16, "FEATURES": features, "WHOLE": True,
            "num_warps": count,
        }  # fmt: skip
    width = power_of_two(q, 16, 64)
    samples = block(batch, width, device)
    count = warps(samples, width)
    return samples, {
        "SAMPLES": samples, "TERMS": TERMS, "ROWS": width, "FEATURES": max(16, 1024 * count // samples),
        "WHOLE": False, "num_warps": count,
    }  # fmt: skip


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
    v, x, (batch, n) = v.contiguous(), x.contiguous(), x.shape
    back = torch.empty_like(x) if back is None else back
    if not batch:
        return back
    features = max(16, triton.next_power_of_2(n))
    samples = max(1, ENTRIES // features)
    _backward[(triton.cdiv(batch, samples),)](
        v, x, rows.mT.contiguous(), target, worst.contiguous(), h.contiguous(),
        worst if only is None else only, back, batch, n, gain, torch.finfo(torch.float32).tiny,
        SAMPLES=samples, FEATURES=features, SHIFTING=shifting, INWARD=inward, ONLY=only is not None,
    )  # fmt: skip
    return back
