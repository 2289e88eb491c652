# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""`refined` in one kernel, where rows are few: the pull and the move with samples held whole in between.

What a training step needs besides is made by the two kernels of `refined.py` and `move.py`.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from .._choice import MOST_LEVELS
from ._level import power_of_two, relu, sizes
from ._steps import multipliers
from ._whole import products, whole, worst_of_tile
from .move import raised, update


@triton.jit(do_not_specialize=["batch"])
def _forward(
    x, normals, normal_bias, start, factor, gram, inverse_depths, rows, bias, target, anchor, y, mu_of,
    batch, n, m, q, steps, keep, slope, offset, gain, top_served, top_stored, root,
    SAMPLES: tl.constexpr, FEATURES: tl.constexpr, ROWS: tl.constexpr, SHIFTING: tl.constexpr,
    STRICT: tl.constexpr,
):  # fmt: skip
    samples = (tl.program_id(0) * SAMPLES + tl.arange(0, SAMPLES)).to(tl.int64)
    live = samples < batch
    i = tl.arange(0, ROWS)
    j = tl.max_contiguous(tl.arange(0, FEATURES), 4)
    at = samples[:, None] * n + j[None, :]
    mask = live[:, None] & (j < n)[None, :]
    part = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
    aim = tl.load(target + j, mask=j < n, other=0.0)
    good, finite = live, live
    if STRICT:
        _, largest, wild, extent = sizes(part, aim)
        largest = tl.where(wild == 0, largest, float("inf"))
    levels = products(part, normals, j, n, m, SAMPLES, ROWS)
    levels += tl.load(normal_bias + i, mask=i < m, other=0.0)[None, :]
    away = aim[None, :] if SHIFTING else tl.where(mask, part - aim[None, :], 0.0)
    squares = tl.sum(away * away, 1) + tl.zeros((SAMPLES,), tl.float32)
    mu = multipliers(
        levels, squares, start, factor, gram, inverse_depths, m, steps, keep, ROWS, SHIFTING, "ieee"
    )
    # Through memory, row by row: else the points would be laid out as the products of the steps are.
    tl.store(mu_of + samples[:, None] * m + i[None, :], mu, mask=live[:, None] & (i < m)[None, :])
    tl.debug_barrier()
    for k in range(m):
        weight = tl.load(mu_of + samples * m + k, mask=live, other=0.0)
        part -= weight[:, None] * tl.load(normals + k * n + j, mask=j < n, other=0.0)[None, :]
    level, worst = worst_of_tile(part, rows, bias, j, n, q, SAMPLES)
    if STRICT:
        squares, top, wild, extent = sizes(part, aim)
        h, good, finite = raised(
            level, squares, top, wild, extent, largest, slope, offset, gain, top_served, top_stored, root,
            SHIFTING, True,
        )  # fmt: skip
    else:
        h = relu(level)
    t = h * gain
    s = tl.div_rn(tl.full((SAMPLES,), 1.0, tl.float32), 1.0 + t)
    value = update(part, j, target, anchor, n, t, s, good, finite, SHIFTING, STRICT)
    tl.store(y + at, value.to(y.dtype.element_ty), mask=mask)


def forward(
    x: Tensor,
    constants: Sequence[Tensor],
    rows: Tensor,
    bias: Tensor,
    target: Tensor,
    anchor: Tensor | None,
    margin: Sequence[float],
    steps: int,
    keep: float,
    shifting: bool,
    store: torch.dtype,
) -> Tensor | None:
    """See `kernels/pull_and_move.py`; None where the sizes are not those of this kernel."""
    x, (batch, n), (normals, *others) = x.contiguous(), x.shape, constants
    m, q = normals.shape[1], rows.shape[1]
    found = whole(n, max(m, q), 3)
    if not found:
        return None
    y = x.new_empty(x.shape, dtype=store)
    if not batch:
        return y
    samples, features, count = found
    _forward[(triton.cdiv(batch, samples),)](
        x, normals.mT.contiguous(), *others, rows.mT.contiguous(), bias, target,
        target if anchor is None else anchor, y, x.new_empty(batch, m, dtype=torch.float32),
        batch, n, m, q, steps, keep,
        *(margin or (0.0, 0.0, 1.0, 0.0, 0.0)), float(n**0.5),
        SAMPLES=samples, FEATURES=features, ROWS=power_of_two(m, 16, MOST_LEVELS), SHIFTING=shifting,
        STRICT=anchor is not None, num_warps=count,
    )  # fmt: skip
    return y
