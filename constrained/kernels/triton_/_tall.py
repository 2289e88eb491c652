# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`half_spaces` for any number of rows, and the projection onto an affine hull: the same without relu.

Levels of all rows do not fit registers: a program writes those of its samples, waits for itself, and reads
them back for each tile of values, from cache. For q rows, n features and tiles of 64 that is 4 q (1 + n / 64)
bytes a sample; adding to the values after every 64 rows instead would move 8 n q / 64, twice as many.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._clip import clipped
from ._level import TERMS, block, power_of_two, sizes, warps

COLUMNS = 64
"""Features of a tile of values."""


@triton.jit
def _product(
    x, rows, samples, live, i, n, q, SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """`x rows^T` for rows i of (q, n)."""
    found = tl.zeros((SAMPLES, ROWS), tl.float32)
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        tile = tl.load(
            rows + i[None, :] * n + j[:, None], mask=(j < n)[:, None] & (i < q)[None, :], other=0.0
        )
        found = tl.dot(part, tile, found, input_precision=PRECISION)
    return found


@triton.jit
def _squares(x, samples, live, n, SAMPLES: tl.constexpr, COLUMNS: tl.constexpr):
    """`sizes` of whole samples."""
    squares = tl.zeros((SAMPLES,), tl.float32)
    top = tl.zeros((SAMPLES,), tl.float32)
    wild = tl.zeros((SAMPLES,), tl.int32)
    for start in range(0, n, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        more, highest, some, _ = sizes(part, tl.zeros((1,), tl.float32))
        squares += more
        top = tl.maximum(top, highest)
        wild = tl.maximum(wild, some)
    return squares, top, wild


@triton.jit(do_not_specialize=["batch"])
def _forward(
    x, rows, inverse, upper, lower, y, signs, replaced, worst_of, h_of, levels_of, batch, n, q, tightened,
    slope, scale, offset, half_gap, top,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    UPPER: tl.constexpr, LOWER: tl.constexpr, STRICT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    tight = tl.zeros((SAMPLES,), tl.float32)
    total = tl.zeros((SAMPLES,), tl.float32)
    for first in range(0, q, ROWS):
        i = first + tl.arange(0, ROWS)
        at = samples[:, None] * q + i[None, :]
        inside = live[:, None] & (i < q)[None, :]
        levels = _product(x, rows, samples, live, i, n, q, SAMPLES, TERMS, ROWS, PRECISION)
        excess, sign = clipped(levels, upper, lower, tight, i, q, tightened, inside, UPPER, LOWER)
        if STRICT:
            total += tl.sum(tl.abs(excess), 1)
            tl.store(levels_of + at, levels, mask=inside)
        else:
            tl.store(levels_of + at, excess, mask=inside)
            tl.store(signs + at, sign, mask=inside)
    tl.debug_barrier()
    good = live
    if STRICT:
        squares, _, _ = _squares(x, samples, live, n, SAMPLES, COLUMNS)
        tight = (total + slope * tl.sqrt_rn(squares)) * scale + offset
        good = tight < half_gap
    for start in range(0, n, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        mask = live[:, None] & (j < n)[None, :]
        value = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        for first in range(0, q, ROWS):
            i = first + tl.arange(0, ROWS)
            at = samples[:, None] * q + i[None, :]
            inside = live[:, None] & (i < q)[None, :]
            excess = tl.load(levels_of + at, mask=inside, other=0.0)
            if STRICT:
                excess, sign = clipped(excess, upper, lower, tight, i, q, tightened, inside, UPPER, LOWER)
                if start == 0:
                    tl.store(signs + at, sign, mask=inside)
            tile = tl.load(
                inverse + i[:, None] * n + j[None, :], mask=(i < q)[:, None] & (j < n)[None, :], other=0.0
            )
            value = tl.dot(excess, tile, value, input_precision=PRECISION)
        if STRICT:  # False for NaN
            fits = tl.where(mask, tl.where(tl.abs(value) <= top, 1, 0), 1)
            good = good & (tl.min(fits, 1) == 1)
        tl.store(y + samples[:, None] * n + j[None, :], value.to(y.dtype.element_ty), mask=mask)
    tl.store(replaced + samples, tl.where(good, 0, 1).to(tl.int8), mask=live)
    tl.store(worst_of + samples, tl.full((SAMPLES,), -1, tl.int32), mask=live)
    tl.store(h_of + samples, tl.zeros((SAMPLES,), tl.float32), mask=live)


@triton.jit(do_not_specialize=["batch"])
def _backward(
    v, rows, inverse, pulls, signs, back, kept_of, batch, n, q,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    INWARD: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    for first in range(0, q, ROWS):
        i = first + tl.arange(0, ROWS)
        at = samples[:, None] * q + i[None, :]
        inside = live[:, None] & (i < q)[None, :]
        product = _product(v, inverse, samples, live, i, n, q, SAMPLES, TERMS, ROWS, "ieee")
        sign = tl.load(signs + at, mask=inside, other=0)
        tl.store(kept_of + at, tl.where(sign == 0, 0.0, product), mask=inside)
    tl.debug_barrier()
    for start in range(0, n, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        mask = live[:, None] & (j < n)[None, :]
        value = tl.load(v + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        for first in range(0, q, ROWS):
            i = first + tl.arange(0, ROWS)
            at = samples[:, None] * q + i[None, :]
            inside = live[:, None] & (i < q)[None, :]
            both = (i < q)[:, None] & (j < n)[None, :]
            kept = tl.load(kept_of + at, mask=inside, other=0.0)
            tile = tl.load(rows + i[:, None] * n + j[None, :], mask=both, other=0.0)
            value = tl.dot(kept, tile, value, input_precision="ieee")
            if INWARD:
                sign = tl.load(signs + at, mask=inside, other=0).to(tl.float32)
                pull = tl.load(pulls + i, mask=i < q, other=0.0)[None, :]
                pull *= sign * tl.minimum(sign * kept, 0.0)
                tile = tl.load(inverse + i[:, None] * n + j[None, :], mask=both, other=0.0)
                value = tl.dot(pull, tile, value, input_precision="ieee")
        tl.store(back + samples[:, None] * n + j[None, :], value.to(back.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["batch"])
def _onto_hull(
    x, hull, offsets, only, y, largest, levels_of, batch, n, q,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    OFFSETS: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    live = live & (tl.load(only + samples, mask=live, other=0) != 0)
    if tl.max(live.to(tl.int32), 0) == 0:  # nearly always
        return
    for first in range(0, q, ROWS):
        i = first + tl.arange(0, ROWS)
        at = samples[:, None] * q + i[None, :]
        inside = live[:, None] & (i < q)[None, :]
        levels = _product(x, hull, samples, live, i, n, q, SAMPLES, TERMS, ROWS, "ieee")
        if OFFSETS:
            levels -= tl.load(offsets + i, mask=i < q, other=0.0)[None, :]
        tl.store(levels_of + at, levels, mask=inside)
    if OFFSETS:
        _, top, wild = _squares(x, samples, live, n, SAMPLES, COLUMNS)
        tl.store(largest + samples, tl.where(wild == 0, top, float("inf")), mask=live)
    tl.debug_barrier()
    for start in range(0, n, COLUMNS):
        j = start + tl.arange(0, COLUMNS)
        mask = live[:, None] & (j < n)[None, :]
        value = tl.zeros((SAMPLES, COLUMNS), tl.float32)
        for first in range(0, q, ROWS):
            i = first + tl.arange(0, ROWS)
            at = samples[:, None] * q + i[None, :]
            levels = tl.load(levels_of + at, mask=live[:, None] & (i < q)[None, :], other=0.0)
            tile = tl.load(
                hull + i[:, None] * n + j[None, :], mask=(i < q)[:, None] & (j < n)[None, :], other=0.0
            )
            value = tl.dot(levels, tile, value, input_precision="ieee")
        part = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        tl.store(y + samples[:, None] * n + j[None, :], (part - value).to(y.dtype.element_ty), mask=mask)


def forward(
    tensors: Sequence[Tensor], numbers: Sequence[Any], flags: dict[str, bool], precision: str
) -> None:
    """`_forward` of `half_spaces.py`, with its arguments."""
    x, (batch, _, q, *_) = tensors[0], numbers
    samples, options = _tiles(batch, q, x.device)
    levels = x.new_empty(batch, q, dtype=torch.float32)
    _forward[(triton.cdiv(batch, samples),)](
        *tensors, levels, *numbers, **flags, **options, PRECISION=precision
    )


def backward(tensors: Sequence[Tensor], batch: int, n: int, q: int, inward: bool) -> None:
    """`_backward` of `half_spaces.py`, with its arguments."""
    v = tensors[0]
    samples, options = _tiles(batch, q, v.device)
    kept = v.new_empty(batch, q, dtype=torch.float32)
    _backward[(triton.cdiv(batch, samples),)](*tensors, kept, batch, n, q, **options, INWARD=inward)


def onto_hull(x: Tensor, hull: Tensor, offsets: Tensor, only: Tensor) -> tuple[Tensor, Tensor]:
    """Of samples marked: `x - Q^T (Q x - f)` in float32, the largest |x_j|, infinity for NaN."""
    y, largest = x.new_empty(x.shape, dtype=torch.float32), x.new_empty(len(x), dtype=torch.float32)
    _launch_hull(x, hull, offsets, only, y, largest)
    return y, largest


def along_hull(v: Tensor, hull: Tensor, only: Tensor) -> None:
    """`v - Q^T Q v` in the place of v, of samples that are marked."""
    _launch_hull(v, hull, None, only, v, only)


def _launch_hull(
    x: Tensor, hull: Tensor, offsets: Tensor | None, only: Tensor, y: Tensor, largest: Tensor
) -> None:
    (batch, n), q = x.shape, len(hull)
    samples, options = _tiles(batch, q, x.device)
    _onto_hull[(triton.cdiv(batch, samples),)](
        x, hull.contiguous(), hull if offsets is None else offsets, only, y, largest,
        x.new_empty(batch, q, dtype=torch.float32), batch, n, q, **options, OFFSETS=offsets is not None,
    )  # fmt: skip


def _tiles(batch: int, q: int, device: torch.device) -> tuple[int, dict[str, int]]:
    """How many samples a program takes, and the constants that follow."""
    rows = power_of_two(q, 16, 32)
    samples = block(batch, 64, device)
    options = {"SAMPLES": samples, "TERMS": TERMS, "ROWS": rows, "COLUMNS": COLUMNS}
    return samples, options | {"num_warps": warps(samples, 64)}
