"""The backbone of the tasks on vectors."""

from __future__ import annotations

from torch import nn

WIDTH = 64


def perceptron(features: int, width: int = WIDTH) -> tuple[nn.Module, int]:
    """Two hidden layers of `width` rectified units, weights as torch draws them, and the width."""
    layers = (nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    return nn.Sequential(*layers), width
