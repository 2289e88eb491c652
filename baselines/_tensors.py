"""What the closed forms share: the numbers of a set in the dtype and on the device of each call."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from ._base import Status, unseen


class Constants:
    """Arrays of a set as tensors, converted once for each dtype and device."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self._arrays = arrays
        self._known: dict[tuple[torch.dtype | None, torch.device], tuple[Tensor, ...]] = {}

    def like(self, y: Tensor) -> tuple[Tensor, ...]:
        """The tensors, in the dtype and on the device of `y`."""
        return self._placed(y.dtype, y.device)

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The tensors on a device, in their own dtypes."""
        return self._placed(None, device)

    def _placed(self, dtype: torch.dtype | None, device: torch.device) -> tuple[Tensor, ...]:
        key = dtype, device
        if key not in self._known:
            arrays = (torch.from_numpy(np.array(array)) for array in self._arrays)
            self._known[key] = tuple(array.to(device, dtype or array.dtype) for array in arrays)
        return self._known[key]


def by_kernel(y: Tensor) -> bool:
    """Whether the kernels of `triton_` serve these points."""
    return unseen(y) and _triton()


@cache
def _triton() -> bool:
    return find_spec("triton") is not None


def widened(y: Tensor) -> Tensor:
    """`y` in float32 at least: sums of many features lose their digits in half precision."""
    return y if y.dtype in (torch.float32, torch.float64) else y.float()


def all_solved(y: Tensor) -> list[Status]:
    """A formula answers every row."""
    return [Status.SOLVED] * len(y)


def none_solved(y: Tensor) -> tuple[Tensor, list[Status]]:
    """The answer for an empty set."""
    return torch.full_like(y, torch.nan), [Status.INFEASIBLE] * len(y)
