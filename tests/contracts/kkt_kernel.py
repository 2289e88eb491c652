# Triton's language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""The certificate of the active-set kernel by itself, for multipliers that it would not find."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from baselines._dual import Dual
from baselines.triton_ import active_set


@triton.jit
def _run(s, u, width, bounds, size, out, m, ROWS: tl.constexpr, TWO_SIDED: tl.constexpr):
    sample, i = tl.program_id(0), tl.arange(0, ROWS)
    there, extent = i < m, tl.load(size + tl.program_id(0))
    residual = tl.load(s + sample * m + i, mask=there, other=-1.0)
    multiplier = tl.load(u + sample * m + i, mask=there, other=0.0)
    room = tl.load(width + i, mask=there, other=float("inf"))
    wide = extent + tl.load(bounds + i, mask=there, other=0.0)
    tl.store(out + sample, active_set._kkt(residual, multiplier, room, wide, extent, TWO_SIDED))


def residuals(dual: Dual, e: Tensor, u: Tensor, size: Tensor) -> Tensor:  # (q, m), (q, m), (q, 1) -> (q,)
    """As `kkt_residual`."""
    s, out = e - u @ dual.gram[:-1, :-1], torch.empty_like(size[:, 0])
    rows = max(16, triton.next_power_of_2(len(dual.h)))
    constants = dual.width, dual.bounds, size.contiguous()
    _run[(len(e),)](s, u, *constants, out, len(dual.h), ROWS=rows, TWO_SIDED=not dual.one_sided)
    return out
