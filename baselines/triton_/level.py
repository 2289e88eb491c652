# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false
"""Into the coordinates of the rows and back, each point read once each way; for CUDA.

    e = A y - h, |y|    in float64, from points of any dtype
    x = y - A^T u       in float64 for float64, in float32 otherwise, rounded to the dtype of y at the end

A program takes a block of samples, so that what it reads of A serves all of them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

SAMPLES, TERMS, FEATURES = 16, 32, 64
"""Of a tile: the fewest that a product of tiles takes; terms of a sum at once; features of a result."""


@triton.jit
def rounded(value, dtype: tl.constexpr):
    """In the dtype of a result; to narrow ones by way of float32, which rounds as torch does."""
    if dtype != tl.float64:
        value = value.to(tl.float32)
    return value.to(dtype)


@triton.jit
def _levels(
    y, rows, bounds, e, norms, batch, n, m,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    level = tl.zeros((SAMPLES, ROWS), tl.float64)
    squares = tl.zeros((SAMPLES,), tl.float64)
    for start in range(0, n, TERMS):
        j = start + tl.arange(0, TERMS)
        inside = j < n
        part = tl.load(
            y + samples[:, None] * n + j[None, :], mask=live[:, None] & inside[None, :], other=0.0
        ).to(tl.float64)
        tile = tl.load(rows + i[None, :] * n + j[:, None], mask=inside[:, None] & (i < m)[None, :], other=0.0)
        level = tl.dot(part, tile, level, out_dtype=tl.float64)
        squares += tl.sum(part * part, 1)
    level -= tl.load(bounds + i, mask=i < m, other=0.0)[None, :]
    tl.store(e + samples[:, None] * m + i[None, :], level, mask=live[:, None] & (i < m)[None, :])
    tl.store(norms + samples, tl.sqrt(squares), mask=live)


@triton.jit
def _points(
    y, u, rows, x, batch, n, m,
    SAMPLES: tl.constexpr, FEATURES: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    wide = rows.dtype.element_ty
    part = tl.load(u + samples[:, None] * m + i[None, :], mask=live[:, None] & (i < m)[None, :], other=0.0)
    part = part.to(wide)
    j = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    inside = live[:, None] & (j < n)[None, :]
    at = samples[:, None] * n + j[None, :]
    tile = tl.load(rows + i[:, None] * n + j[None, :], mask=(i < m)[:, None] & (j < n)[None, :], other=0.0)
    value = tl.load(y + at, mask=inside, other=0.0).to(wide)
    value -= tl.dot(part, tile, out_dtype=wide, input_precision="ieee")
    tl.store(x + at, rounded(value, x.dtype.element_ty), mask=inside)


def levels(y: Tensor, rows: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """(q, n), (m, n), (m,) -> `A y - h` (q, m) and `|y|` (q,)."""
    # Triton has no product of float64 tiles that were loaded in 16 bits.
    y = y.contiguous() if y.dtype == torch.float64 else y.float().contiguous()
    (q, n), m = y.shape, len(rows)
    e = torch.empty(q, m, dtype=torch.float64, device=y.device)
    norm = torch.empty(q, dtype=torch.float64, device=y.device)
    if q:
        _levels[(triton.cdiv(q, SAMPLES),)](
            y, rows, bounds, e, norm, q, n, m, SAMPLES=SAMPLES, TERMS=TERMS, ROWS=tile(m)
        )  # fmt: skip
    return e, norm


def points(y: Tensor, u: Tensor, rows: Tensor) -> Tensor:
    """(q, n), (q, m), (m, n) -> `y - u A` (q, n), computed in the dtype of A."""
    y, (q, n), m = y.contiguous(), y.shape, len(rows)
    x = torch.empty_like(y)
    if q:
        grid = triton.cdiv(q, SAMPLES), triton.cdiv(n, FEATURES)
        width = tile(m)
        _points[grid](
            y, u, rows, x, q, n, m,
            SAMPLES=SAMPLES, FEATURES=FEATURES, ROWS=width, num_warps=4 if width <= 64 else 16,
        )  # fmt: skip
    return x


def tile(m: int) -> int:
    """The rows of a set as the rows of a tile."""
    return max(16, triton.next_power_of_2(m))
