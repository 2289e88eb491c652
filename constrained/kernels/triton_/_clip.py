# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""What both kernels of `half_spaces` share: the excess of levels over their bounds."""

import triton
import triton.language as tl

from ._level import relu


@triton.jit
def clipped(levels, upper, lower, tight, i, q, tightened, inside, UPPER: tl.constexpr, LOWER: tl.constexpr):
    """The signed excess of rows i, and 1 above, -1 below, else 0; rows from `tightened` on have no margin."""
    margin = tl.where((i < tightened)[None, :], tight[:, None], 0.0)
    over = levels + margin
    if UPPER:
        over -= tl.load(upper + i, mask=i < q, other=0.0)[None, :]
    excess = relu(over)
    sign = tl.where(over > 0, 1, 0)
    if LOWER:
        under = tl.load(lower + i, mask=i < q, other=0.0)[None, :] - (levels - margin)
        excess -= relu(under)
        sign = tl.where(over > 0, 1, tl.where(under > 0, -1, 0))
    return tl.where(inside, excess, 0.0), sign.to(tl.int8)
