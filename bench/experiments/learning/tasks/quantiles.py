"""Quantile regression without crossing: many quantiles of one distribution, in their order.

    x_k = quantile of level q_k,    q = 0.05, 0.10, ..., 0.95,    x_1 <= ... <= x_19
    loss = mean_k max(q_k (t - x_k), (q_k - 1) (t - x_k))

The pinball loss of a level is least, in expectation, at the quantile of that level. Quantiles that are
learned apart can cross, and then are those of no distribution.
Source: Koenker and Bassett, Regression quantiles, Econometrica 1978; on crossing: Chernozhukov,
Fernandez-Val and Galichon, Quantile and probability curves without crossing, Econometrica 2010: sorting
crossed quantiles does not raise their loss. Nor does projecting them, the limit of means of two neighbours.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from constrained.errors import require
from constrained.polyhedron import Polyhedron

from ._base import AbstractTask, Samples
from ._networks import perceptron
from ._tabular import SEED, check_table, split, standardised

LEVELS = np.arange(1, 20) / 20
SHAPE = 442, 10


class Quantiles(AbstractTask):
    """442 patients: 199 for training, 66 for validation, 177 for testing.

    40 epochs: there the validation loss of the unconstrained network at its best learning rate is least.

    Args:
        seed: of the split.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
        InvalidInputError: it has another table.
    """

    name = "quantiles"
    title = "Quantiles of the progression of diabetes, in order"
    loss_name = "mean pinball loss, in standard deviations of the training target"
    prior = (
        "Quantiles of one distribution never fall as the level grows: logic, whatever the data; the target "
        "is one draw from the distribution, so it is not the projection."
    )
    source = (
        "diabetes data (Efron, Hastie, Johnstone and Tibshirani, Least angle regression, 2004) as shipped in "
        "scikit-learn; loss: Koenker and Bassett, Regression quantiles, 1978"
    )
    epochs, batch_size = 40, 16

    def __init__(self, seed: int = SEED) -> None:
        features, progression = _table()
        parts = split(len(progression), seed)
        self.polyhedron = Polyhedron.monotone(len(LEVELS))
        self.train, self.val, self.test = parts.samples(
            standardised(features, parts.train), standardised(progression[:, None], parts.train)
        )
        self.optimum = {}

    def backbone(self) -> tuple[nn.Module, int]:
        """Two hidden layers of 64."""
        return perceptron(self.train.inputs.shape[1])

    def losses(self, x: Tensor, samples: Samples) -> Tensor:  # (N, n) -> (N,)
        """The pinball loss, the mean over the levels."""
        levels = _levels(x.dtype, x.device)
        below = samples.targets - x
        return torch.maximum(levels * below, (levels - 1) * below).mean(1)


@cache
def _levels(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The levels, copied to a device once and not in every step."""
    return torch.as_tensor(LEVELS, dtype=dtype, device=device)


def _table() -> tuple[np.ndarray, np.ndarray]:  # (442, 10), (442,)
    require("sklearn", "bench")
    from sklearn.datasets import load_diabetes

    features, progression = map(np.asarray, load_diabetes(return_X_y=True, scaled=False))
    check_table("sklearn.datasets.load_diabetes", "scikit-learn", features, SHAPE)
    return features, progression
