# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""Combinations of few entries, forward and back by the same kernel; formulas in `kernels/combine.py`.

A program takes a block of samples and a block of features, and sums the entries of all of them side by side.
Neighbouring features mostly read neighbouring numbers, so reads are whole lines of the cache; what several
blocks read, such as a ray's coefficient, comes from the cache. Blocks of one group of samples are neighbours
in the launch for the same reason. UNROLLED reads of a lane are under way at once: a long column waits for the
memory once for as many.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..combine import LANES

SAMPLES, UNROLLED = 16, 8


@triton.jit
def _combine(
    x, index, feature, value, starts, counts, z, y, batch, width, height, blocks, bent,
    SAMPLES: tl.constexpr, LANES: tl.constexpr, UNROLLED: tl.constexpr, RELU: tl.constexpr,
    BACK: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0) % blocks
    samples = (tl.program_id(0) // blocks * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = (samples < batch)[:, None]
    lane = tl.arange(0, LANES)
    start = tl.load(starts + block)
    count = tl.load(counts + block)
    j = tl.load(feature + start + lane)
    real = j >= 0
    total = tl.zeros((SAMPLES, LANES), tl.float32)
    for first in range(0, count, UNROLLED):
        for e in tl.static_range(UNROLLED):
            there = real & (first + e < count)
            at = start + (first + e) * LANES + lane
            i = tl.load(index + at, mask=there, other=-1)
            weight = tl.load(value + at, mask=there, other=0.0)
            c = tl.load(
                x + samples[:, None] * width + i[None, :], mask=live & (i >= 0)[None, :], other=0.0
            ).to(tl.float32)
            if not BACK:
                positive = tl.where(c > 0, c, tl.where(c == c, 0.0 if RELU else -c, c))
                c = tl.where((i < bent)[None, :], positive, c)
            total += weight[None, :] * c
    out = samples[:, None] * height + j[None, :]
    if BACK:
        given = tl.load(z + out, mask=live & real[None, :], other=0.0).to(tl.float32)
        below = 0.0 if RELU else -total
        bent_total = tl.where(given > 0, total, tl.where(given < 0, below, given * total))
        total = tl.where((j < bent)[None, :], bent_total, total)
    tl.store(y + out, total, mask=live & real[None, :])


def forward(z: Tensor, entries: Sequence[Tensor], y: Tensor, bent: int, relu: bool) -> Tensor:
    """See `kernels/combine.py`; `y` is filled."""
    return _run(z.contiguous(), entries, y, y, bent, relu, False)


def backward(v: Tensor, z: Tensor, back: Sequence[Tensor], bent: int, relu: bool) -> Tensor:
    """See `kernels/combine.py`."""
    z = z.contiguous()
    return _run(v.contiguous(), back, z, torch.empty_like(z), bent, relu, True)


def _run(
    x: Tensor, entries: Sequence[Tensor], z: Tensor, y: Tensor, bent: int, relu: bool, back: bool
) -> Tensor:
    index, feature, value, starts, counts = entries
    groups = triton.cdiv(len(y), SAMPLES)
    if groups:
        _combine[(groups * len(starts),)](
            x, index, feature, value, starts, counts, z, y, len(y), x.shape[1], y.shape[1], len(starts), bent,
            SAMPLES=SAMPLES, LANES=LANES, UNROLLED=UNROLLED, RELU=relu, BACK=back,
        )  # fmt: skip
    return y
