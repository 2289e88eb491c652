# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""What kernels over tiles share: the level of a block of samples, and the choice of tiles.

A thread that makes 4 x 4 sums reads 8 numbers from shared memory for 16 operations; with 2 x 2, reading is
the limit. Hence tiles of samples times rows with 16 sums for each thread, as many warps as that makes.

Rounding: with input_precision="ieee" a product of float32 tiles is a chain of fused multiply-adds of IEEE
754, one rounding a term, so every entry of `x A^T` is its n products summed in some order: assumption 2 of
docs/strict.md. `div_rn` and `sqrt_rn` round to nearest, which `/` and `sqrt` of Triton do not promise.
"""

import torch
import triton
import triton.language as tl

TERMS = 32
"""Terms of a product of tiles that are held at once; each is unrolled, so more only spends registers."""


@triton.jit
def relu(h):
    """`max(h, 0)`, NaN for NaN."""
    return tl.where(h > 0, h, tl.where(h == h, 0.0, h))


@triton.jit
def sizes(part, aim):
    """Of each sample |x|^2, the largest finite |x_j|, 1 where some x_j is not; the largest |target_j|."""
    size = tl.abs(part)
    finite = size < float("inf")
    top = tl.max(tl.where(finite, size, 0.0), 1)
    wild = tl.max(tl.where(finite, 0, 1), 1)
    return tl.sum(part * part, 1), top, wild, tl.max(tl.abs(aim), 0)


@triton.jit
def worst_row(
    x, rows, bias, target, samples, live, n, q,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, PRECISION: tl.constexpr,
    STRICT: tl.constexpr,
):  # fmt: skip
    """Of each sample: the level, the first row that has it, and, if strict, its `sizes`."""
    best = tl.full((SAMPLES,), -float("inf"), tl.float32)
    worst = tl.zeros((SAMPLES,), tl.int32)
    broken = tl.zeros((SAMPLES,), tl.int32)
    squares = tl.zeros((SAMPLES,), tl.float32)
    top = tl.zeros((SAMPLES,), tl.float32)
    wild = tl.zeros((SAMPLES,), tl.int32)
    extent = 0.0
    for first in range(0, q, ROWS):
        i = first + tl.arange(0, ROWS)
        levels = tl.zeros((SAMPLES, ROWS), tl.float32)
        for start in range(0, n, TERMS):
            j = start + tl.arange(0, TERMS)
            inside = j < n
            part = tl.load(
                x + samples[:, None] * n + j[None, :], mask=live[:, None] & inside[None, :], other=0.0
            ).to(tl.float32)
            tile = tl.load(
                rows + i[None, :] * n + j[:, None], mask=inside[:, None] & (i < q)[None, :], other=0.0
            )
            levels = tl.dot(part, tile, levels, input_precision=PRECISION)
            if STRICT:
                if first == 0:
                    more, highest, some, reach = sizes(part, tl.load(target + j, mask=inside, other=0.0))
                    squares += more
                    top = tl.maximum(top, highest)
                    wild = tl.maximum(wild, some)
                    extent = tl.maximum(extent, reach)
        levels += tl.load(bias + i, mask=i < q, other=0.0)[None, :]
        # Maxima of Triton do not keep NaN; columns past the last row are -inf whatever x holds.
        known = (levels == levels) & (i < q)[None, :]
        broken = tl.maximum(broken, tl.max(tl.where((levels != levels) & (i < q)[None, :], 1, 0), 1))
        value, index = tl.max(tl.where(known, levels, -float("inf")), 1, return_indices=True)
        worst = tl.where(value > best, first + index, worst)
        best = tl.maximum(best, value)
    return tl.where(broken > 0, float("nan"), best), worst, squares, top, wild, extent


@triton.jit
def lerp(x, target, s):
    """`target + s (x - target)` from the nearer end, as torch evaluates it; exactly x where s = 1."""
    away = x - target
    return tl.where(s < 0.5, target + s * away, x - away * (1.0 - s))


def power_of_two(count: int, least: int, most: int) -> int:
    """The next power of two, between two bounds."""
    return max(least, min(most, triton.next_power_of_2(max(count, 1))))


def block(batch: int, rows: int, device: torch.device) -> int:
    """How many samples a program takes: few while that leaves processors idle, else many, to reuse rows."""
    most = max(16, min(128, 2048 // rows))
    while most > 16 and batch < most * _processors(device):
        most //= 2
    return most


def warps(samples: int, rows: int) -> int:
    """16 sums a thread, 4 by 4: each number that it reads from shared memory is used four times."""
    return max(1, min(8, samples * rows // 512))


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
