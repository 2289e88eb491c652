# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""All steps of `refined` in one kernel each way; formulas in `kernels/refined.py`.

A program takes a block of samples and holds v of all their rows in registers, so at most 128 rows; the factor
of the steps stays in shared memory. Backward, the steps are made again, since what they need of each other is
only the signs of v: 2 bits, as v may be 0, for each row, sample and step, 16 steps to a word. The program
writes the words and reads them back, m / 4 bytes a step each way; keeping v would be 4 m.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from ._level import TERMS, block, power_of_two, relu
from ._steps import multipliers

PACKED = 16
"""Signs in a word."""


@triton.jit(do_not_specialize=["batch"])
def _forward(
    x, normals, bias, start, factor, gram, inverse_depths, target, y, batch, n, m, steps, keep,
    SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, SHIFTING: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    real = i < m
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
    mu = multipliers(
        q, squares, start, factor, gram, inverse_depths, m, steps, keep, ROWS, SHIFTING, PRECISION
    )
    for first in range(0, n, TERMS):
        j = first + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        tile = tl.load(
            normals + j[None, :] * m + i[:, None], mask=real[:, None] & (j < n)[None, :], other=0.0
        )
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(y + at, part - tl.dot(mu, tile, input_precision=PRECISION), mask=mask)


@triton.jit(do_not_specialize=["batch"])
def _backward(
    g, x, normals, bias, start, factor, gram, inverse_depths, target, back, signs_of, batch, n, m, steps,
    keep, SAMPLES: tl.constexpr, TERMS: tl.constexpr, ROWS: tl.constexpr, SHIFTING: tl.constexpr,
    PACKED: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    real = i < m
    kept = live[:, None] & real[None, :]
    both = real[:, None] & real[None, :]
    square = i[:, None] * m + i[None, :]
    across = i[None, :] * m + i[:, None]
    q = tl.zeros((SAMPLES, ROWS), tl.float32)
    along = tl.zeros((SAMPLES, ROWS), tl.float32)
    squares = tl.zeros((SAMPLES,), tl.float32)
    for first in range(0, n, TERMS):
        j = first + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        tile = tl.load(
            normals + j[:, None] * m + i[None, :], mask=(j < n)[:, None] & real[None, :], other=0.0
        )
        q = tl.dot(part, tile, q, input_precision="ieee")
        along = tl.dot(
            tl.load(g + at, mask=mask, other=0.0).to(tl.float32), tile, along, input_precision="ieee"
        )
        aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
        away = tl.where(mask, aim if SHIFTING else part - aim, 0.0)
        squares += tl.sum(away * away, 1)
    q = tl.where(kept, q + tl.load(bias + i, mask=real, other=0.0)[None, :], 0.0)
    along = tl.where(kept, -along, 0.0)
    s = tl.dot(q, tl.load(start + square, mask=both, other=0.0), input_precision="ieee")
    s = tl.where(kept, s, 0.0)
    v = s
    again = tl.load(factor + square, mask=both, other=0.0)
    last, all_samples = steps - 1, tl.cast(batch, tl.int64)
    for word in range(tl.cdiv(last, PACKED)):
        signs = tl.zeros((SAMPLES, ROWS), tl.int32)
        for k in range(word * PACKED, tl.minimum(word * PACKED + PACKED, last)):
            signs |= tl.where(v > 0, 1, tl.where(v < 0, 2, 0)) << (2 * (k - word * PACKED))
            v = tl.dot(tl.abs(v), again, s + keep * v, input_precision="ieee")
            v = tl.where(kept, v, 0.0)
        at = (word * all_samples + samples)[:, None] * m + i[None, :]
        tl.store(signs_of + at, signs, mask=kept)
    tl.debug_barrier()
    # The shortened move: x - t A^T mu, t = min(1, farthest / sqrt(mu G mu)).
    mu = relu(v)
    reached = tl.dot(mu, tl.load(gram + square, mask=both, other=0.0), input_precision="ieee")
    reached = tl.where(kept, reached, 0.0)
    squared = tl.sum(mu * reached, 1)
    depths = tl.load(inverse_depths + i, mask=real, other=0.0)[None, :]
    scaled = tl.where(real[None, :], q * depths, -float("inf"))
    top = tl.max(scaled, 1)
    level = relu(top)
    size = tl.sqrt_rn(squares)
    farthest = level * size if SHIFTING else size * tl.div_rn(level, 1.0 + level)
    too_far = squared > farthest * farthest
    squared = tl.where(too_far, squared, 1.0)
    length = tl.sqrt_rn(squared)
    t = tl.where(too_far, tl.div_rn(farthest, length), 1.0)
    far_back = tl.where(too_far, tl.div_rn(tl.sum(along * mu, 1), length), 0.0)
    gv = t[:, None] * along - tl.div_rn(far_back * farthest, squared)[:, None] * reached
    gv = tl.where(v > 0, gv, 0.0)
    if SHIFTING:
        outward = tl.zeros((SAMPLES,), tl.float32)
        level_back = far_back * size
    else:
        outward = far_back * tl.div_rn(tl.div_rn(level, 1.0 + level), tl.where(size > 0, size, 1.0))
        level_back = tl.div_rn(far_back * size, (1.0 + level) * (1.0 + level))
    worst = tl.where(scaled == top[:, None], 1.0, 0.0)
    level_back = tl.div_rn(tl.where(top > 0, level_back, 0.0), tl.sum(worst, 1))
    # The steps, from the last to the first.
    gs = gv
    again = tl.load(factor + across, mask=both, other=0.0)
    for turn in range(tl.cdiv(last, PACKED)):
        word = tl.cdiv(last, PACKED) - 1 - turn
        at = (word * all_samples + samples)[:, None] * m + i[None, :]
        signs = tl.load(signs_of + at, mask=kept, other=0)
        count = tl.minimum(last - word * PACKED, PACKED)
        for k in range(count):
            code = (signs >> (2 * (count - 1 - k))) & 3
            product = tl.dot(gv, again, input_precision="ieee")
            gv = keep * gv + tl.where(code == 1, product, tl.where(code == 2, -product, 0.0))
            gs += gv
    gq = tl.dot(gs, tl.load(start + across, mask=both, other=0.0), input_precision="ieee")
    gq += level_back[:, None] * worst * depths
    for first in range(0, n, TERMS):
        j = first + tl.arange(0, TERMS)
        mask = live[:, None] & (j < n)[None, :]
        at = samples[:, None] * n + j[None, :]
        tile = tl.load(
            normals + j[None, :] * m + i[:, None], mask=real[:, None] & (j < n)[None, :], other=0.0
        )
        value = tl.load(g + at, mask=mask, other=0.0).to(tl.float32)
        if not SHIFTING:
            aim = tl.load(target + j, mask=j < n, other=0.0)[None, :]
            value += outward[:, None] * (tl.load(x + at, mask=mask, other=0.0).to(tl.float32) - aim)
        value += tl.dot(gq, tile, input_precision="ieee")
        tl.store(back + at, value.to(back.dtype.element_ty), mask=mask)


def forward(
    x: Tensor,
    constants: Sequence[Tensor],
    steps: int,
    keep: float,
    shifting: bool,
    reduced: bool,
) -> Tensor:
    """See `kernels/refined.py`."""
    x, (batch, n), m = x.contiguous(), x.shape, constants[0].shape[1]
    y = torch.empty_like(x, dtype=torch.float32)
    if not batch:
        return y
    samples, options = _tiles(batch, m, x.device)
    _forward[(triton.cdiv(batch, samples),)](
        x, *(v.contiguous() for v in constants), y, batch, n, m, steps, keep,
        **options, SHIFTING=shifting, PRECISION="tf32" if reduced else "ieee",
    )  # fmt: skip
    return y


def backward(
    g: Tensor,
    x: Tensor,
    constants: Sequence[Tensor],
    steps: int,
    keep: float,
    shifting: bool,
) -> Tensor:
    """See `kernels/refined.py`."""
    g, x, (batch, n), m = g.contiguous(), x.contiguous(), x.shape, constants[0].shape[1]
    back = torch.empty_like(x)
    if not batch:
        return back
    samples, options = _tiles(batch, m, x.device)
    signs = x.new_empty(triton.cdiv(steps - 1, PACKED), batch, m, dtype=torch.int32)
    _backward[(triton.cdiv(batch, samples),)](
        g, x, *(v.contiguous() for v in constants), back, signs, batch, n, m, steps, keep,
        **options, SHIFTING=shifting, PACKED=PACKED,
    )  # fmt: skip
    return back


def _tiles(batch: int, m: int, device: torch.device) -> tuple[int, dict[str, int]]:
    """How many samples a program takes, and the constants that follow."""
    width = power_of_two(m, 16, 128)
    samples = min(block(batch, width, device), max(16, 1024 // width))
    return samples, {"SAMPLES": samples, "TERMS": TERMS, "ROWS": width, "num_warps": max(4, width // 8)}
