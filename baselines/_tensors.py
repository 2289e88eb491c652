"""What the closed forms share: the numbers of a set in the dtype and on the device of each call."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ._base import Status


class Constants:
    """Arrays of a set as tensors, converted once for each dtype and device."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self._arrays = arrays
        self._known: dict[tuple[torch.dtype, torch.device], tuple[Tensor, ...]] = {}

    def like(self, y: Tensor) -> tuple[Tensor, ...]:
        """The tensors, in the dtype and on the device of `y`."""
        key = y.dtype, y.device
        if key not in self._known:
            self._known[key] = tuple(torch.from_numpy(np.array(array)).to(y) for array in self._arrays)
        return self._known[key]


def widened(y: Tensor) -> Tensor:
    """`y` in float32 at least: sums of many features lose their digits in half precision."""
    return y if y.dtype in (torch.float32, torch.float64) else y.float()


def all_solved(y: Tensor) -> list[Status]:
    """A formula answers every row."""
    return [Status.SOLVED] * len(y)


def none_solved(y: Tensor) -> tuple[Tensor, list[Status]]:
    """The answer for an empty set."""
    return torch.full_like(y, torch.nan), [Status.INFEASIBLE] * len(y)
