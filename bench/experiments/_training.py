"""The training loop of the digits experiment, one epoch at a time, with everything it takes to go on.

Recipe of arXiv 1902.01785 and its published code: mean squared error against the input itself, Adam
at 1e-4, batches of 256 in a new order each epoch, the learning rate halved when the validation
error stalls. A network's `penalty` is added to what is minimised, and to no error that is reported.
Epochs count from 0, and epoch 0 only measures: no optimizer step is made in it.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from constrained.errors import EngineError

from ._evaluation import mean_squared_error, outputs
from ._networks import AbstractNetwork

BATCH = 256
LEARNING_RATE = 1e-4
PLATEAU = {"factor": 0.5, "patience": 5, "cooldown": 5}


class Trainer:
    """A network in training: `advance` makes one epoch, `state` and `restore` carry it over a restart.

    Args:
        network: its weights are trained in place.
        train: (N, n) images, on the device of the network.
        val: (M, n) images, likewise.
        optimum_val_mse: the error of the true projection on `val`, noted in each row.
        seed: of the order of the batches, drawn anew from (seed, epoch), so that there is no state
            of a generator to keep and every network sees the same batches.
    """

    def __init__(
        self, network: AbstractNetwork, train: Tensor, val: Tensor, optimum_val_mse: float, seed: int
    ) -> None:
        self.network, self.train, self.val = network, train, val
        self.optimum_val_mse, self.seed = optimum_val_mse, seed
        self.optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, **PLATEAU)
        self.rows: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """Seconds spent in training so far; validation is not counted, as in the paper."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def stop_reason(self, epochs: int, budget: float | None) -> str | None:
        """Why there is no next epoch, or `None`. A budget always leaves one epoch with steps."""
        if len(self.rows) >= epochs:
            return "all epochs"
        if budget is not None and self.network.on_budget and len(self.rows) > 1 and self.seconds >= budget:
            return f"time budget {budget:g} s"
        return None

    def advance(self) -> dict[str, Any]:
        """Train one epoch and measure it; the row is also appended to `rows`.

        Raises:
            EngineError: an error is no longer a finite number.
        """
        epoch = len(self.rows)
        box_scaling = self.network.set_epoch(epoch)
        learning_rate = self.optimizer.param_groups[0]["lr"]
        start = perf_counter()
        train_mse = self._learn(epoch)
        seconds = self.seconds + perf_counter() - start
        val_mse = mean_squared_error(outputs(self.network, self.val), self.val)
        if not math.isfinite(train_mse + val_mse):
            raise EngineError(
                f"{self.network.name}: epoch {epoch} ended with training error {train_mse} and validation "
                f"error {val_mse}; a projection that fails gives NaN: try another one"
            )
        self.scheduler.step(val_mse)
        self.rows.append(
            {
                "table": "training",
                "network": self.network.name,
                "epoch": epoch,
                "seconds": seconds,
                "train_mse": train_mse,
                "val_mse": val_mse,
                "optimum_val_mse": self.optimum_val_mse,
                "box_scaling": box_scaling,
                "learning_rate": learning_rate,
            }
        )
        return self.rows[-1]

    def _learn(self, epoch: int) -> float:
        """One pass over the training images; the mean of the errors seen on the way."""
        self.network.train()
        # The host waits once an epoch, for the sum.
        total = torch.zeros((), dtype=torch.float64, device=self.train.device)
        for batch in batch_indices(len(self.train), self.seed, epoch, device=self.train.device):
            total += self._step(batch, learn=epoch > 0)
        return total.item() / len(self.train)

    def _step(self, batch: Tensor, learn: bool) -> Tensor:
        """The sum of the errors of a batch, before its step."""
        y = self.train[batch]
        x = self.network(y)
        error = F.mse_loss(x, y)
        if learn:
            self.optimizer.zero_grad()
            (error + self.network.penalty(x)).backward()
            self.optimizer.step()
        return error.detach().double() * len(batch)

    def state(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries only."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "rows": self.rows,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`; raises what torch raises if it belongs to another network."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.rows = list(state["rows"])


def batch_indices(
    size: int, seed: int, epoch: int, batch_size: int = BATCH, device: torch.device | None = None
) -> list[Tensor]:
    """The indices 0 .. size - 1 in the order of this epoch, in batches; drawn on the host, moved once."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    batches = list(torch.randperm(size, generator=generator).to(device or "cpu").split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:  # BatchNorm cannot train on a single image
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
