"""How good, how feasible and how fast a trained network is, judged from its outputs alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..timing import timed
from ._networks import AbstractNetwork, Task

BATCH = 256
MIN_ROUNDS, MAX_ROUNDS, ROUNDS_SECONDS = 3, 25, 3.0
"""A network is timed until it has had ROUNDS_SECONDS, within these numbers of rounds."""


def outputs(network: AbstractNetwork, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
    """The outputs in evaluation mode, computed in batches."""
    network.eval()
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in y.split(BATCH)])


def mean_squared_error(x: Tensor, y: Tensor) -> float:
    """Over all images and pixels, in float64."""
    return (x.double() - y.double()).square().mean().item()


def judge(task: Task, x: Tensor) -> dict[str, float]:  # x: (N, n)
    """How far the images `x` are outside the target, in float64, from the numbers themselves.

    `cone_violation` is the largest `A x`, `box_violation` the largest `|x| - 1`, `violation` the
    larger one, each 0 where nothing is violated; `infeasible_share` is the share of the images with
    any violation at all, rounding included.
    """
    x = x.double()
    violation = torch.as_tensor(task.target.violation(x))
    return {
        "violation": violation.max().item(),
        "cone_violation": torch.as_tensor(task.cone.violation(x)).max().item(),
        "box_violation": (x.abs() - 1).clamp_min(0).max().item(),
        "infeasible_share": (violation > 0).double().mean().item(),
    }


def time_interleaved(networks: Mapping[str, AbstractNetwork], y: Tensor) -> dict[str, list[float]]:
    """Seconds that each network takes for all of `y`, in rounds in which each has its turn.

    So slow drifts of the machine reach all of them alike. Slow networks drop out early.
    """
    for network in networks.values():
        outputs(network, y[:BATCH])  # warm-up
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(MAX_ROUNDS):
        for name, network in networks.items():
            if turn < MIN_ROUNDS or sum(seconds[name]) < ROUNDS_SECONDS:
                seconds[name].append(timed(lambda network=network: outputs(network, y), y.device))
    return seconds
