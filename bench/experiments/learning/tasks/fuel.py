"""Fuel economy of cars: miles per gallon as a function of weight that falls and is convex.

    x_k = mpg of the car if its weight were w_k,    w = 1500, 1750, ..., 5250 lb
    2 x_k <= x_{k-1} + x_{k+1},    x_16 <= x_15,    loss = (sum_k c_k x_k - mpg)^2

c: the weights of linear interpolation at the car's own weight; at most two are not 0. The network sees the
other features and not the weight, so what it gives is a function of the weight. A convex sequence falls
everywhere if it falls at its end, so the 15 rows are enough, and none is redundant: a cone of 15 rays and a
line, the constants. mpg is standardised by the training rows, which leaves the cone as it is.
Source: see the class; set and loss are ours.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from constrained.errors import require
from constrained.polyhedron import Polyhedron

from ._base import AbstractTask, Samples
from ._networks import perceptron
from ._tabular import SEED, check_table, split, standardised

KNOTS = np.arange(1500.0, 5251.0, 250.0)
"""Weights in pounds, (16,); the cars weigh 1 613 to 5 140."""
SHAPE = 392, 8
WEIGHT, ORIGIN = 3, 6
OTHERS = [0, 1, 2, 4, 5]
"""Columns: cylinders, displacement, horsepower, acceleration, model year. The last column is a name."""
ORIGINS = [1, 2, 3]
"""America, Europe, Japan."""


class Fuel(AbstractTask):
    """392 cars: 176 for training, 59 for validation, 157 for testing.

    40 epochs: the validation loss of the unconstrained network at its best learning rate is flat between
    10 and 80.

    Args:
        seed: of the split.

    Raises:
        MissingDependencyError: mlxtend is not installed.
        InvalidInputError: it has another table.
    """

    name = "fuel"
    title = "Fuel economy, falling and convex in weight"
    loss_name = "mean squared error, in variances of the training mpg"
    prior = (
        "The energy for a mile grows about linearly with the mass that is rolled and accelerated, so miles "
        "per gallon, its reciprocal, fall convexly in weight, all else equal: physics, up to noise; the data "
        "show one value of each sequence, so the target is not the projection."
    )
    source = "Auto MPG (Quinlan 1993, UCI repository) as shipped in mlxtend; set and loss are ours"
    epochs, batch_size = 40, 16

    def __init__(self, seed: int = SEED) -> None:
        features, mpg = _table()
        parts = split(len(mpg), seed)
        inputs = standardised(features[:, OTHERS], parts.train), features[:, [ORIGIN]] == ORIGINS
        targets = (
            interpolation(features[:, WEIGHT], KNOTS),
            standardised(mpg[:, None], parts.train),
        )
        self.polyhedron = falling_convex(len(KNOTS))
        self.train, self.val, self.test = parts.samples(np.hstack(inputs), np.hstack(targets))
        self.optimum = {}

    def backbone(self) -> tuple[nn.Module, int]:
        """Two hidden layers of 64."""
        return perceptron(self.train.inputs.shape[1])

    def losses(self, x: Tensor, samples: Samples) -> Tensor:  # (N, n) -> (N,)
        """The squared error of the interpolated value; the targets are c, then the standardised mpg."""
        weights, value = samples.targets[:, :-1], samples.targets[:, -1]
        return ((x * weights).sum(1) - value).square()


def falling_convex(n: int) -> Polyhedron:
    """The cone of convex sequences that do not grow, n - 1 rows, n >= 3."""
    end = np.zeros((1, n))
    end[0, -2:] = -1, 1
    return Polyhedron.intersection(Polyhedron.convex_sequence(n), Polyhedron(end))


def interpolation(at: np.ndarray, knots: np.ndarray) -> np.ndarray:  # (N,), (K,) -> (N, K)
    """Weights c with `c @ values` the piecewise linear interpolation, constant beyond the knots."""
    return np.stack([np.interp(at, knots, unit) for unit in np.eye(len(knots))], 1)


def _table() -> tuple[np.ndarray, np.ndarray]:  # (392, 8), (392,)
    require("mlxtend", "bench")
    from mlxtend.data import autompg_data

    features, mpg = autompg_data()
    check_table("mlxtend.data.autompg_data", "mlxtend", features, SHAPE)
    return features, mpg
