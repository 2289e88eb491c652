"""What a source of digits gives: three splits of 28x28 images, scaled to [-1, 1], with labels."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from constrained.errors import InvalidInputError

PIXELS = 784


@dataclass(frozen=True)
class Digits:
    """Images of shape (N, 784), float32 in [-1, 1], and their labels (N,), int64, by split."""

    name: str
    train: Tensor
    train_labels: Tensor
    val: Tensor
    val_labels: Tensor
    test: Tensor
    test_labels: Tensor

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any pixel, label or split."""
        digest = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            digest.update(np.array(split.shape, dtype="<i8").tobytes() + split.numpy().tobytes())
        for labels in (self.train_labels, self.val_labels, self.test_labels):
            digest.update(labels.numpy().tobytes())
        return digest.hexdigest()[:12]


class AbstractSource(ABC):
    """A place that digits come from; a new one is a file beside this one and a line in SOURCES."""

    name: ClassVar[str]
    usage: ClassVar[str]
    """How the source is written in `load`."""

    @abstractmethod
    def load(self, argument: str) -> Digits:
        """The digits; `argument` is what follows the colon of "name:argument", or empty."""


def split(
    name: str,
    training: tuple[np.ndarray, np.ndarray],  # (N, 784) in 0..255, (N,)
    test: tuple[np.ndarray, np.ndarray],
    validation: int | None = None,
) -> Digits:
    """The last `validation` of the training images become the validation split.

    Default: one in 60, as in the paper (59 000 and 1 000 of 60 000), at least one.
    """
    size = len(training[0])
    held = max(1, size // 60) if validation is None else validation
    if size - held < 2 or not len(test[0]):
        raise InvalidInputError(
            f"{name} has {size} training and {len(test[0])} test images; at least 3 and 1 are needed"
        )
    images, labels = _scale(training[0]), torch.as_tensor(np.array(training[1], dtype=np.int64))
    return Digits(
        name,
        images[:-held], labels[:-held],
        images[-held:], labels[-held:],
        _scale(test[0]), torch.as_tensor(np.array(test[1], dtype=np.int64)),
    )  # fmt: skip


def _scale(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(2 * pixels.astype(np.float32) / 255 - 1)
