"""Every fused kernel once, forward and backward: `compute-sanitizer python -m bench.cuda_limits.sanitize`.

At sizes that no block divides and batches of one point and many, plain and strict, in each dtype; values are
compared with the plain path, so that it means something without the sanitizer, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from constrained import UnsupportedSetError, constrain, kernels

from ..problems.random_cone import random_cone
from ._cells import DTYPES
from ._maps import MAPS

SIZES, BATCHES = ((8, 3), (100, 37), (784, 16)), (1, 257)
TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2}
"""Relative to the largest value; products are summed in another order."""

Case = tuple[str, bool, tuple[int, int], int, str]


def cases() -> Iterator[Case]:
    """(map, strict, size, batch, dtype)."""
    yield from product(MAPS, (False, True), SIZES, BATCHES, DTYPES)


def difference(case: Case, device: torch.device) -> float | None:
    """How far the paths are apart, relative to the largest value; None for a set too thin for the dtype."""
    name, strict, size, batch, dtype = case
    try:
        layer = constrain(random_cone(*size), method=name, strict=strict).to(device)
    except UnsupportedSetError:
        return None
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(batch, size[0], generator=generator).to(device, getattr(torch, dtype)).requires_grad_()

    def run(fused: bool) -> Tensor:
        with kernels.fused(fused, always=fused):
            x = layer(z)
            # Run, not compared: it jumps where another row becomes the largest.
            torch.autograd.grad(x.float().square().sum(), z)
        return x.detach().float()

    fused, plain = run(True), run(False)
    return float((fused - plain).abs().max() / plain.abs().max().clamp_min(1.0))


def main(device: torch.device) -> int:
    """1 if the paths of a case are farther apart than rounding allows."""
    found = {case: difference(case, device) for case in cases()}
    apart = {case: by for case, by in found.items() if by is not None and not by <= TOLERANCE[case[-1]]}
    for case, by in apart.items():
        print(f"{case}: the paths differ by {by:.1e}", file=sys.stderr)
    print(f"{len(found) - len(apart)} of {len(found)} cases as they should be on {device}")
    return 1 if apart else 0


if __name__ == "__main__":
    if not torch.cuda.is_available():
        sys.exit("sanitize: no CUDA device here (torch.cuda.is_available() is False)")
    sys.exit(main(torch.device("cuda")))
