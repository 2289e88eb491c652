# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false
"""Pooling adjacent violators as a kernel for CUDA, a sample a thread, in float64; see `isotonic_.py`.

The pools of a sample are a stack in memory, of sums and numbers of features. The next feature is a pool of
its own, which takes in the last one as long as their means are out of order. Points are transposed, so that
the threads of a program read and write next to each other. Cost: O(n) a point; two transpositions.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .level import rounded

LANES = 32
"""Samples of a program: one for each thread of a warp, so that a thread reads what it wrote itself."""


@triton.jit
def _pool(y, x, sums, counts, batch, n, LANES: tl.constexpr):
    lane = (tl.program_id(0) * LANES + tl.arange(0, LANES)).to(tl.int64)
    live = lane < batch
    depth, place = lane * 0, lane
    for _ in range(n):
        total = tl.load(y + place, mask=live, other=0.0).to(tl.float64)
        count = total * 0.0 + 1.0
        joins = live & (depth > 0)
        while tl.max(joins.to(tl.int32), 0) > 0:
            last = (depth - 1) * batch + lane
            before = tl.load(sums + last, mask=joins, other=0.0)
            several = tl.load(counts + last, mask=joins, other=1.0)
            joins = joins & (before * count > total * several)
            total = tl.where(joins, total + before, total)
            count = tl.where(joins, count + several, count)
            depth = tl.where(joins, depth - 1, depth)
            joins = joins & (depth > 0)
        tl.store(sums + depth * batch + lane, total, mask=live)
        tl.store(counts + depth * batch + lane, count, mask=live)
        depth += 1
        place += batch
    left, mean = lane * 0.0, lane * 0.0
    left, mean = left.to(tl.float64), mean.to(tl.float64)
    for _ in range(n):
        place -= batch
        opens = live & (left <= 0.0)
        depth = tl.where(opens, depth - 1, depth)
        at = depth * batch + lane
        count = tl.load(counts + at, mask=opens, other=1.0)
        mean = tl.where(opens, tl.load(sums + at, mask=opens, other=0.0) / count, mean)
        left = tl.where(opens, count, left) - 1.0
        tl.store(x + place, rounded(mean, x.dtype.element_ty), mask=live)


def nearest(y: Tensor) -> Tensor:
    """The nearest non-decreasing sequences of (q, n)."""
    q, n = y.shape
    turned = y.mT.contiguous()
    x = torch.empty_like(turned)
    if q:
        sums = torch.empty(n, q, dtype=torch.float64, device=y.device)
        _pool[(triton.cdiv(q, LANES),)](
            turned, x, sums, torch.empty_like(sums), q, n, LANES=LANES, num_warps=1
        )  # fmt: skip
    return x.mT.contiguous()
