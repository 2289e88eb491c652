# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""All steps of `refined` in one kernel; formulas in `kernels/refined.py`.

A program takes a block of samples and holds v of all their rows in registers, so at most 128 rows; each step
reads the factor from cache.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._level import TERMS, block, power_of_two, relu


@triton.jit
def _forward(
    x, normals, bias, start, factor, gram, inverse_depths, target, y, batch, n, m, steps, keep,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, SHIFTING: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    real = i < m
    square = i[:, None] * m + i[None, :]
    both = real[:, None] & real[None, :]
    q = tl.zeros((SAMPLES, ROWS), tl.float32)
    squares = tl.zeros((SAMPLES,), tl.float32)
    for first in range(0, n, TERMS):
        j = first + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        part = tl.load(x + samples[:, None] * n + j[None, :], mask=mask, other=0.0).to(tl.float32)
        tile = tl.load(
            normals + j[:, None] * m + i[None, :], mask=(j < n)[:, None] & real[None, :], other=0.0
        )
        q = tl.dot(part, tile, q, input_precision=PRECISION)
        aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
        away = tl.where(mask, aim if SHIFTING else part - aim, 0.0)
        squares += tl.sum(away * away, 1)
    # Rows past the last one are 0 even where x is not finite.
    q = tl.where(real[None, :], q + tl.load(bias + i, mask=real, other=0.0)[None, :], 0.0)
    s = tl.dot(q, tl.load(start + square, mask=both, other=0.0), input_precision=PRECISION)
    s = tl.where(real[None, :], s, 0.0)
    v = s
    again = tl.load(factor + square, mask=both, other=0.0)
    for _ in range(1, steps):
        v = tl.dot(tl.abs(v), again, s + keep * v, input_precision=PRECISION)
        v = tl.where(real[None, :], v, 0.0)
    mu = relu(v)
    products = tl.dot(mu, tl.load(gram + square, mask=both, other=0.0), input_precision=PRECISION)
    squared = tl.sum(mu * products, 1)
    depths = tl.load(inverse_depths + i, mask=real, other=0.0)[None, :]
    level = relu(tl.max(tl.where(real[None, :], q * depths, -float("inf")), 1))
    size = tl.sqrt_rn(squares)
    farthest = level * size if SHIFTING else size * tl.div_rn(level, 1.0 + level)
    too_far = squared > farthest * farthest
    t = tl.where(too_far, tl.div_rn(farthest, tl.sqrt_rn(tl.where(too_far, squared, 1.0))), 1.0)
    mu = t[:, None] * mu
    for first in range(0, n, TERMS):
        j = first + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        tile = tl.load(
            normals + j[None, :] * m + i[:, None], mask=real[:, None] & (j < n)[None, :], other=0.0
        )
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(y + at, part - tl.dot(mu, tile, input_precision=PRECISION), mask=mask)


def forward(
    x: Tensor,
    normals: Tensor,
    bias: Tensor,
    start: Tensor,
    factor: Tensor,
    gram: Tensor,
    inverse_depths: Tensor,
    target: Tensor,
    steps: int,
    keep: float,
    shifting: bool,
    reduced: bool,
) -> Tensor:
    """See `kernels/refined.py`."""
    x, (batch, n), m = x.contiguous(), x.shape, normals.shape[1]
    y = torch.empty_like(x, dtype=torch.float32)
    if not batch:
        return y
    width = power_of_two(m, 16, 128)
    samples = block(batch, width, x.device) if width < 64 else 16
    constants = (normals, bias, start, factor, gram, inverse_depths, target)
    _forward[(triton.cdiv(batch, samples),)](
        x, *(v.contiguous() for v in constants), y, batch, n, m, steps, keep,
        SAMPLES=samples, TERMS=TERMS, ROWS=width, num_warps=max(4, width // 8), SHIFTING=shifting,
        PRECISION="tf32" if reduced else "ieee",
    )  # fmt: skip
    return y
