"""Training of one network, one epoch at a time, with everything it takes to go on.

Adam on the negative ELBO of each batch, divided by its images; the learning rate rises over the first tenth
of the steps and falls along a cosine to 0, so that the last epoch is the one that counts. Epoch 0 measures
alone. Batches and noise depend on (seed, epoch, image) only: a run that goes on, or that shares its batches
among processes, makes the same steps up to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from constrained.errors import EngineError

from ._evaluation import Elbo, elbo
from ._methods import Method
from ._model import Vae
from ._noise import POSTERIOR, WEIGHTS, batches, normal, stream_seed
from ._world import World

WARM_UP = 0.1


@dataclass(frozen=True)
class Job:
    """One training: a method with a seed and a learning rate."""

    method: Method
    seed: int
    learning_rate: float

    def key(self) -> dict[str, Any]:
        """The columns that tell it from the others."""
        return {"method": self.method.name, "seed": self.seed, "learning_rate": self.learning_rate}

    def __str__(self) -> str:
        return f"{self.method.name}-{self.learning_rate:g}-{self.seed}"


@dataclass(frozen=True)
class Recipe:
    """What all trainings have in common."""

    epochs: int
    batch_size: int
    latent: int
    hidden: int


class Trainer:
    """A network in training: `advance` makes one epoch, `state` and `restore` carry it over a restart.

    Args:
        job, recipe: what to train.
        train, val: (N, n) and (M, n) images, on the device of `world`.
        world: the processes that share each batch.
    """

    def __init__(self, job: Job, recipe: Recipe, train: Tensor, val: Tensor, world: World) -> None:
        self.job, self.recipe, self.train, self.val, self.world = job, recipe, train, val, world
        self.network = self._build().to(world.device)
        self.parallel: nn.Module = self.network
        if world.size > 1:
            self.parallel = DistributedDataParallel(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=job.learning_rate)
        self.steps = math.ceil(len(train) / recipe.batch_size)
        self.rows: list[dict[str, Any]] = []

    def _build(self) -> Vae:
        """The same weights for every process; the global generator of torch is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(self.job.seed, WEIGHTS))
            return Vae(self.job.method, self.recipe.latent, self.recipe.hidden)

    @property
    def done(self) -> bool:
        """Whether every epoch is trained."""
        return len(self.rows) > self.recipe.epochs

    @property
    def seconds(self) -> float:
        """Seconds spent in training so far; validation is not counted."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def advance(self) -> dict[str, Any]:
        """Train one epoch and measure it; the row is also appended to `rows`.

        Raises:
            EngineError: an ELBO is no longer a finite number.
        """
        epoch, start = len(self.rows), perf_counter()
        train = self._learn(epoch) if epoch else None
        seconds = self.seconds + (perf_counter() - start if epoch else 0.0)
        val = elbo(self.network, self.val, samples=1)
        if not math.isfinite(val.elbo + (0.0 if train is None else train.elbo)):
            raise EngineError(
                f"{self.job.method.name}: epoch {epoch} ended with validation ELBO {val.elbo}; try a smaller "
                f"learning rate than {self.job.learning_rate:g}"
            )
        row = {"table": "vae_training", **self.job.key(), "epoch": epoch, "seconds": seconds}
        row |= {"train_elbo": None if train is None else train.elbo, **val.columns("val")}
        self.rows.append(row)
        return row

    def _learn(self, epoch: int) -> Elbo:
        """One pass over the training images; the means seen on the way."""
        device, images = self.world.device, len(self.train)
        noise = normal(images, self.recipe.latent, self.job.seed, POSTERIOR, epoch).to(device)
        total = torch.zeros(2, dtype=torch.float64, device=device)
        self.network.train()
        for step, batch in enumerate(batches(images, self.recipe.batch_size, self.job.seed, epoch, device)):
            own = self.world.share(batch)
            total += self._step((epoch - 1) * self.steps + step, own, len(batch), noise)
        reconstruction, divergence = (self.world.sum(total) / images).tolist()  # the host waits here alone
        return Elbo(reconstruction, divergence)

    def _step(self, step: int, own: Tensor, size: int, noise: Tensor) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = self.job.learning_rate * schedule(step / (self.steps * self.recipe.epochs))
        reconstruction, divergence = self.parallel(self.train[own], noise[own])
        # Gradients are averaged over the processes, so each one's sum counts `world.size` times: the mean
        # over the whole batch, however uneven the parts are.
        loss = (divergence - reconstruction).sum() * (self.world.size / size)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return torch.stack([reconstruction.detach().sum(), divergence.detach().sum()]).double()

    def state(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries only."""
        return {
            "weights": self.network.weights(),
            "optimizer": self.optimizer.state_dict(),
            "rows": self.rows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; raises what torch raises if it belongs to another network."""
        self.network.load_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rows = list(state["rows"])


def schedule(progress: float) -> float:
    """The factor of the learning rate at a share 0 <= progress < 1 of the steps."""
    if progress < WARM_UP:
        return 0.1 + 0.9 * progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
