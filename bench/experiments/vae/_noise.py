"""Randomness without a state: every number depends on (seed, purpose, epoch, place in the table) alone.

So a run that was stopped goes on to the same numbers, and so do two processes that share the images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

WEIGHTS, ORDER, POSTERIOR, EVALUATION, PRIOR = range(5)
"""The purposes; streams of different ones are independent."""

JUDGED = 0
"""The seed of all draws that judge or show a network: the same for all methods, seeds and epochs."""


def stream_seed(*key: int) -> int:
    """A seed for `torch.Generator` that mixes all numbers of `key`."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def normal(size: int, width: int, *key: int) -> Tensor:  # (size, width)
    """Standard normal numbers, row i for image i."""
    return torch.randn(size, width, generator=torch.Generator().manual_seed(stream_seed(*key)))


def batches(size: int, batch: int, seed: int, epoch: int, device: torch.device | None = None) -> list[Tensor]:
    """The indices 0 .. size - 1 in the order of this epoch, cut into batches; the last may be smaller.

    Drawn on the host, so that they are the same everywhere, and moved to the device once.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, ORDER, epoch))
    return list(torch.randperm(size, generator=generator).to(device or "cpu").split(batch))
