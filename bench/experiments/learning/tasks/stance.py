"""A humanoid on two feet: the wrench that each foot takes, so that together they give the one asked for.

    x = (w_1, w_2) in K x K,    loss = ||G x - w||^2 + ALPHA ||x||^2

K: the contact wrench cone of a foot (`bench/problems/contact_wrench.py`); w: the net wrench asked for; G
(6, 12): turns and moves the wrenches to the frame between the feet, and adds them. Forces are in units of
the robot's weight, lengths in half-lengths of a foot, so all terms are plain numbers. There are no labels:
the loss itself is learned, on seeded random draws.

The best allocation of a sample is a quadratic program. With the 32 rays R of K x K, x = c R and c >= 0, it
is a non-negative least-squares problem, which an active-set method solves exactly:

    min_{c >= 0} ||[G R^T; sqrt(ALPHA) R^T] c - [w; 0]||^2

Source: the cone: Caron, Pham and Nakamura, ICRA 2015; draws and cost are ours; Lawson and Hanson, Solving
least squares problems, 1974, ch. 23.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from constrained.polyhedron import Polyhedron

from ....problems.contact_wrench import MU, X, Y, contact_wrench_cone, contact_wrench_rays
from ._base import AbstractTask, Samples
from ._networks import perceptron
from ._tabular import SEED, as_samples

ALPHA = 0.01
"""Small, so that the wrench asked for comes first: where it can be given, it is missed by half a percent."""
SIZES = {"train": 2000, "val": 500, "test": 1000}
FEET, WRENCH, PLACE = 2, 6, 3
STRIDE, SPREAD, ANGLE = (-1.5, 1.5), (0.75, 1.5), (-0.4, 0.4)
"""Ranges of where the left foot stands, forwards and sideways, and of the angle of each foot, in radians."""
FORCE, PRESSURE, YAW = 0.15, 0.5, 0.3
"""Standard deviations: of the force, of the centre of pressure around the line of the feet, of the yaw."""


class Stance(AbstractTask):
    """2 000 draws for training, 500 for validation, 1 000 for testing.

    Args:
        seed: of the draws.
    """

    name = "stance"
    title = "Contact wrenches of a humanoid in double support"
    loss_name = "mean cost of the allocation, in squares of the robot's weight"
    prior = (
        "A foot pushes and never pulls, and outside of its cone it slips or tilts: mechanics, with Coulomb's "
        "law by a pyramid; the cost couples the feet, so the best allocation is not the projection of the "
        "best one without constraints."
    )
    source = "cone: Caron, Pham and Nakamura, ICRA 2015; draws and cost are ours"
    epochs, batch_size = 60, 50

    def __init__(self, seed: int = SEED) -> None:
        self.polyhedron = Polyhedron.product(*[contact_wrench_cone(MU, X, Y)] * FEET)
        draws = [_draw(size, np.random.default_rng([seed, i])) for i, size in enumerate(SIZES.values())]
        mean, std = draws[0].mean(0), draws[0].std(0)
        made = [as_samples((values - mean) / std, _targets(values)) for values in draws]
        self.train, self.val, self.test = made
        self.optimum = {
            name: self.losses(best_allocations(samples), samples).mean().item()
            for name, samples in (("val", self.val), ("test", self.test))
        }

    def backbone(self) -> tuple[nn.Module, int]:
        """Two hidden layers of 64."""
        return perceptron(self.train.inputs.shape[1])

    def losses(self, x: Tensor, samples: Samples) -> Tensor:  # (N, n) -> (N,)
        """The squared error of the net wrench, plus ALPHA times the squared norm of the wrenches."""
        G, wrench = net_map(samples)
        error = (G.to(x) @ x[..., None])[..., 0] - wrench.to(x)
        return error.square().sum(1) + ALPHA * x.square().sum(1)


def net_map(samples: Samples) -> tuple[Tensor, Tensor]:  # (N, 6, 12), (N, 6)
    """`G` and the wrench asked for, which are the targets."""
    G, wrench = samples.targets.split([WRENCH * FEET * WRENCH, WRENCH], dim=1)
    return G.unflatten(1, (WRENCH, FEET * WRENCH)), wrench


def best_allocations(samples: Samples) -> Tensor:  # (N, 12) float64
    """The feasible wrenches of least loss, one non-negative least-squares problem a sample."""
    rays = np.kron(np.eye(FEET), contact_wrench_rays(MU, X, Y))  # (32, 12)
    matrices, wrenches = (part.double().numpy() for part in net_map(samples))
    ridge, zero = ALPHA**0.5 * rays.T, np.zeros(FEET * WRENCH)
    best = [
        nnls(np.concatenate([G @ rays.T, ridge]), np.concatenate([wrench, zero]))[0] @ rays
        for G, wrench in zip(matrices, wrenches, strict=True)
    ]
    return torch.from_numpy(np.array(best))


def _draw(size: int, rng: np.random.Generator) -> np.ndarray:  # (size, 12)
    """The net wrench (6), then x, y and angle of the left and of the right foot, opposite each other.

    The force is about the weight. The centre of pressure is anywhere between the feet, or a bit outside.
    """
    left = np.stack([rng.uniform(*STRIDE, size), rng.uniform(*SPREAD, size)], 1)
    angles = rng.uniform(*ANGLE, (size, FEET, 1))
    force = [0, 0, 1] + FORCE * rng.standard_normal((size, 3))
    pressure = rng.uniform(-1.1, 1.1, (size, 1)) * left
    pressure[:, 0] += PRESSURE * rng.standard_normal(size)
    torque = np.cross(np.pad(pressure, ((0, 0), (0, 1))), force)
    torque[:, 2] += YAW * rng.standard_normal(size)
    return np.hstack([force, torque, left, angles[:, 0], -left, angles[:, 1]])


def _targets(draws: np.ndarray) -> np.ndarray:  # (N, 12) -> (N, 78)
    """The entries of `G`, row by row, then the net wrench."""
    wrench, left, right = np.split(draws, [WRENCH, WRENCH + PLACE], axis=1)
    G = np.concatenate([_transport(*left.T), _transport(*right.T)], 2)
    return np.hstack([G.reshape(len(draws), -1), wrench])


def _transport(x: np.ndarray, y: np.ndarray, angle: np.ndarray) -> np.ndarray:  # (N,) each -> (N, 6, 6)
    """From a wrench about the centre of a foot, in its own frame, to one in the frame between the feet.

    f' = R f,    t' = R t + p x R f,    p = (x, y, 0),    R: a turn by `angle` about the vertical
    """
    turn, arm = np.zeros((2, len(x), 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 1, 0] = np.sin(angle)
    turn[:, 0, 1] = -turn[:, 1, 0]
    turn[:, 2, 2] = 1
    arm[:, 0, 2], arm[:, 1, 2], arm[:, 2, 0], arm[:, 2, 1] = y, -x, -y, x
    return np.block([[turn, np.zeros_like(turn)], [arm @ turn, turn]])
