# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""What kernels share that hold their samples whole, in registers, while rows pass by.

A sample is read once and written once whatever the caches do. With tiles it is read twice, and since all
programs are somewhere between their two passes, the second one finds its points in the cache of the device
(50 MB for an H100) only where n is small. Four samples share each number of a row that is read from the
first-level cache; a sum over a warp is 5 exchanges a sample and row; there is no barrier and no shared memory
where one warp holds the samples. On paper, for 784 features (1024 with padding) and 16 rows: 200 instructions
of a warp for 4 samples and a row, 58 us for 65 536 samples on 132 processors at 1.7 GHz, which overlap with
the 123 us of the points in float32, or 61 us in bfloat16, where both limits are near.

All tensors along the features have to keep the layout of the points, or each row is laid out anew for every
sample: what was made by a product of tiles, or read as a tile, comes back through memory, row by row.

Left out: tensor cores for bfloat16 points, with rows as sums of three bfloat16 numbers. They cut sums off
instead of rounding them, so strict mode could not use them, and their tiles are 16 samples high at least,
which no warp can hold whole.
"""

from functools import cache

import triton
import triton.language as tl

from .._choice import held_whole


@cache
def whole(n: int, q: int, products: int) -> tuple[int, int, int] | None:
    """(samples, features, warps) of a program that holds its samples whole; None where tiles are better."""
    if not held_whole(n, q, products):
        return None
    features = triton.next_power_of_2(n)
    return (4 if features >= 512 else 8), features, max(1, features // 1024)


@triton.jit
def worst_of_tile(part, rows, bias, j, n, q, SAMPLES: tl.constexpr):
    """Level and worst row of samples held whole, row after row; the terms of one are summed as a tree."""
    best = tl.full((SAMPLES,), -float("inf"), tl.float32)
    worst = tl.zeros((SAMPLES,), tl.int32)
    broken = tl.zeros((SAMPLES,), tl.int32)
    for i in range(q):
        row = tl.load(rows + i * n + j, mask=j < n, other=0.0)
        level = tl.sum(part * row[None, :], 1) + tl.load(bias + i)
        broken = tl.where(level == level, broken, 1)
        worst = tl.where(level > best, i, worst)
        best = tl.where(level > best, level, best)
    return tl.where(broken > 0, float("nan"), best), worst


@triton.jit
def products(part, rows, j, n, q, SAMPLES: tl.constexpr, ROWS: tl.constexpr):
    """`part rows^T`, (SAMPLES, ROWS), for rows (q, n); 0 past the last of them."""
    i = tl.arange(0, ROWS)
    found = tl.zeros((SAMPLES, ROWS), tl.float32)
    for k in range(q):
        row = tl.load(rows + k * n + j, mask=j < n, other=0.0)
        found = tl.where((i == k)[None, :], tl.sum(part * row[None, :], 1)[:, None], found)
    return found


@triton.jit
def add_products(part, weights, rows, j, n, q, ROWS: tl.constexpr):
    """`part + weights rows`, for weights (SAMPLES, ROWS)."""
    i = tl.arange(0, ROWS)
    for k in range(q):
        weight = tl.sum(tl.where((i == k)[None, :], weights, 0.0), 1)
        row = tl.load(rows + k * n + j, mask=j < n, other=0.0)
        part += weight[:, None] * row[None, :]
    return part
