"""Tables of real data as tasks: a seeded split, and features standardised by the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch

from constrained.errors import InvalidInputError

from ._base import Samples

SEED = 0
"""Of the split. Seeds of a training run draw weights and batches, so intervals over them are of one split."""
TRAIN, VAL = 0.45, 0.15
"""Shares of the rows; the rest, 40 %, is the test split: few test rows could not tell methods apart."""


@dataclass(frozen=True)
class Split:
    """The indices of the rows of a table, each in one of `train`, `val` and `test`, int64."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def samples(self, inputs: np.ndarray, targets: np.ndarray) -> tuple[Samples, ...]:
        """Training, validation and test samples of a table, (N, d) and (N, t), float32."""
        parts = [getattr(self, field.name) for field in fields(self)]
        return tuple(as_samples(inputs[rows], targets[rows]) for rows in parts)


def split(rows: int, seed: int = SEED) -> Split:
    """A shuffled split of so many rows: the same arguments give the same bytes."""
    order = np.random.default_rng(seed).permutation(rows)
    first, second = round(TRAIN * rows), round((TRAIN + VAL) * rows)
    return Split(order[:first], order[first:second], order[second:])


def standardised(values: np.ndarray, train: np.ndarray) -> np.ndarray:  # (N, c), (a,) -> (N, c)
    """The columns less their mean, over their standard deviation, both of the rows `train` alone."""
    return (values - values[train].mean(0)) / values[train].std(0)


def as_samples(inputs: np.ndarray, targets: np.ndarray) -> Samples:
    """Copies in float32."""
    return Samples(torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32))


def check_table(name: str, package: str, values: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise `InvalidInputError` unless the table that `name` gave has this shape."""
    if values.shape != shape:
        raise InvalidInputError(
            f"{name} gave features of shape {values.shape}, expected {shape}; "
            f"try the version of {package} in constraints.txt"
        )
