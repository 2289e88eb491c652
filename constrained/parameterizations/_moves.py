"""The two ways to bring a point into a set: along a direction, or towards a centre.

With rows scaled to `a_i e = -1` (direction e) or `a_i c - b_i = -1` (centre c) and the level
`h >= max_i (a_i x - b_i, 0)`:

    Shifting   x + h e                      a_i (x + h e) - b_i = (a_i x - b_i) - h <= 0
    Scaling    c + (x - c) / (1 + h)        a_i x' - b_i = ((a_i x - b_i) - h) / (1 + h) <= 0
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from ..rounding import Dtypes, Margin, Sizes, gauge_margin, shift_margin
from ._per_sample import product


class AbstractMove(ABC):
    """One of the two ways; has no state."""

    @staticmethod
    @abstractmethod
    def depths(G: np.ndarray, h: np.ndarray, target: np.ndarray) -> np.ndarray:  # (q, n), (q,), (n,)
        """By how much the target satisfies each row, to divide it by: positive for an interior target."""

    @staticmethod
    @abstractmethod
    def sample_depths(rows: Tensor, bias: Tensor, target: Tensor) -> Tensor:
        """The same for rows of each sample, `bias` being `-b`."""

    @staticmethod
    @abstractmethod
    def margin(sizes: Sizes, dtypes: Dtypes) -> Margin:
        """The margin of strict mode."""

    @staticmethod
    @abstractmethod
    def fold(
        margin: Margin, rows: np.ndarray, bias: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The constants with the offset and the gain of a margin in them."""

    @staticmethod
    @abstractmethod
    def step(x: Tensor, h: Tensor, target: Tensor) -> Tensor:  # (batch, n), (batch, 1), (n,) -> (batch, n)
        """The moved point; exactly `x` where `h = 0`."""

    @staticmethod
    @abstractmethod
    def inward(x: Tensor, h: Tensor, target: Tensor) -> Tensor:  # as `step`, -> (batch, n) or (n,)
        """What to add to `x` to lower its level by 1 without moving the moved point; see `_gradient.py`."""

    @staticmethod
    @abstractmethod
    def distance(x: Tensor, h: Tensor, target: Tensor) -> Tensor:  # as `step`, -> (batch, 1)
        """How far the step moves the point."""

    @staticmethod
    @abstractmethod
    def reach(size: Tensor, h: Tensor, target: Tensor) -> Tensor:  # (batch, 1), (batch, 1), (n,)
        """A bound on the largest entry of the moved point, `size` being that of `x`."""


class Shifting(AbstractMove):
    """Along an interior direction of the recession cone."""

    @staticmethod
    def depths(G: np.ndarray, h: np.ndarray, target: np.ndarray) -> np.ndarray:
        """`-a_i e`."""
        return -(G @ target)

    @staticmethod
    def sample_depths(rows: Tensor, bias: Tensor, target: Tensor) -> Tensor:
        """`-a_i e`."""
        return -product(rows, target)

    margin = staticmethod(shift_margin)

    @staticmethod
    def fold(
        margin: Margin, rows: np.ndarray, bias: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gain lengthens the direction."""
        return rows, bias + margin.offset, target * margin.gain

    @staticmethod
    def step(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`x + h e`."""
        return torch.addcmul(x, h, target)

    @staticmethod
    def inward(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`e`."""
        return target

    @staticmethod
    def distance(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`h ||e||`."""
        return h * torch.linalg.vector_norm(target)

    @staticmethod
    def reach(size: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`|x| + h |e|`."""
        return size + h * target.abs().amax(-1, keepdim=True)


class Scaling(AbstractMove):
    """Towards a point of the interior."""

    @staticmethod
    def depths(G: np.ndarray, h: np.ndarray, target: np.ndarray) -> np.ndarray:
        """`b_i - a_i c`."""
        return h - G @ target

    @staticmethod
    def sample_depths(rows: Tensor, bias: Tensor, target: Tensor) -> Tensor:
        """`b_i - a_i c`."""
        return -(product(rows, target) + bias)

    margin = staticmethod(gauge_margin)

    @staticmethod
    def fold(
        margin: Margin, rows: np.ndarray, bias: np.ndarray, target: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The gain multiplies the level, so it goes into rows and bias."""
        return rows * margin.gain, (bias + margin.offset) * margin.gain, target

    @staticmethod
    def step(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`c + (x - c) / (1 + h)`, exact at both ends as torch evaluates it."""
        return torch.lerp(target, x, (1 + h).reciprocal())

    @staticmethod
    def inward(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`(c - x) / (1 + h)`."""
        return (target - x) / (1 + h.to(x.dtype))

    @staticmethod
    def distance(x: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """`||x - c|| h / (1 + h)`."""
        return torch.linalg.vector_norm(x - target, dim=-1, keepdim=True) * (h / (1 + h))

    @staticmethod
    def reach(size: Tensor, h: Tensor, target: Tensor) -> Tensor:
        """The moved point lies between the point and the centre."""
        return torch.maximum(size, target.abs().amax(-1, keepdim=True).expand_as(size))
