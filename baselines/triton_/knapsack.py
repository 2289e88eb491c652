# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false
"""A box cut by rows with disjoint supports: variable fixing as a kernel for CUDA; formulas in `_fixing.py`.

A program takes one row of one point and holds its features in registers, in float64. Each round fixes at
least one of them, in practice half; nothing is looked at by the host. Cost: each point read and written once.
"""

import triton
import triton.language as tl
from torch import Tensor

from .level import rounded

ROUNDING = tl.constexpr(1e-15)
"""Of the sums, relative, up to which below and above count as equal."""


@triton.jit
def _total(values, these):
    return tl.sum(tl.where(these, values, 0.0), 0)


@triton.jit
def _nearest(
    y, index, weights, low, high, lower, upper, x, n, rows, slots,
    SLOTS: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0).to(tl.int64)
    sample, row = program // rows, program % rows
    k = tl.arange(0, SLOTS)
    at, there = row * slots + k, k < slots
    feature = sample * n + tl.load(index + at, mask=there, other=0)
    a = tl.load(weights + at, mask=there, other=0.0)
    used, weight, sign = a != 0.0, tl.abs(a), tl.where(a < 0.0, -1.0, 1.0)
    bottom = tl.load(low + at, mask=there, other=0.0)
    top = tl.load(high + at, mask=there, other=0.0)
    v = tl.load(y + feature, mask=used, other=0.0).to(tl.float64) * sign
    total = _total(weight * tl.minimum(tl.maximum(v, bottom), top), used)
    target = tl.minimum(tl.maximum(total, tl.load(lower + row)), tl.load(upper + row))
    raised = total > target
    bound = tl.where(raised, bottom, top)
    beyond = tl.where(raised, bottom - v, v - top)  # from 0 on: on a bound that it will not leave
    free = used & (beyond < 0.0)
    rest = target - _total(weight * bound, used & (beyond >= 0.0))
    lam = total * 0.0
    going = tl.where(total != target, 1, 0)
    while going > 0:
        product, square = _total(weight * v, free), _total(weight * weight, free)
        lam = tl.where(square > 0.0, (product - rest) / square, lam)
        moved = v - lam * weight
        below = _total(weight * tl.maximum(bottom - moved, 0.0), free)
        above = _total(weight * tl.maximum(moved - top, 0.0), free)
        up = below > above
        beyond = tl.where(up, bottom - moved, moved - top)
        leaves = free & (beyond >= 0.0)
        equal = tl.abs(below - above) <= (tl.abs(product) + tl.abs(rest)) * ROUNDING
        going = tl.where(equal, 0, tl.max(leaves.to(tl.int32), 0))
        rest -= _total(weight * tl.where(up, bottom, top), leaves)
        free = free & (beyond < 0.0)
    nearest = tl.minimum(tl.maximum(v - lam * weight, bottom), top) * sign
    tl.store(x + feature, rounded(nearest, x.dtype.element_ty), mask=used)


def nearest(
    y: Tensor,  # (q, n)
    x: Tensor,  # (q, n)
    index: Tensor,  # (R, S)
    slots: tuple[Tensor, ...],
) -> None:
    """Write the features of all rows to `x`; `slots`: a, bounds (R, S) each, bounds of the rows (R,) each."""
    (q, n), (rows, count) = y.shape, index.shape
    if q:
        size = max(16, triton.next_power_of_2(count))
        _nearest[(q * rows,)](
            y.contiguous(), index, *slots, x, n, rows, count,
            SLOTS=size, num_warps=max(1, min(8, size // 128)),
        )  # fmt: skip
