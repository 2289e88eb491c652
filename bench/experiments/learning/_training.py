"""One training run of the comparison: a task, a method, a learning rate, a weight and a seed.

Adam, batches in an order drawn from (seed, epoch), the learning rate halved when the validation loss stalls,
as in the paper. Epoch 0 is before training. Validation is of the feasible output, the projection of what
the network says where it is not feasible by itself, and does not count as training time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines import AbstractProjection
from constrained.errors import EngineError
from constrained.polyhedron import Polyhedron

from ...memory import with_peak
from ...metrics import stacked_rows, violations
from .._training import PLATEAU, batch_indices
from .methods import AbstractHead, Method, best_projection
from .tasks import AbstractTask, Samples

CURVES = (
    "seconds", "train_loss", "val_loss", "raw_val_loss", "violation", "infeasible_share", "active_share",
    "gradient_norm", "gradient_norm_max", "learning_rate",
)  # fmt: skip
"""What is kept of every epoch, in lists that begin with epoch 0."""
DIGITS = 6
"""Significant digits kept of the curves."""
ACTIVE = 1e-3
"""A row is active if its slack is at most this share of `|a| |x| + |b|`; strict margins are smaller."""
EVALUATED = 1024
"""Samples that are evaluated at a time."""


@dataclass(frozen=True)
class Setting:
    """What tells one run from another, beside the task."""

    method: Method
    learning_rate: float
    weight: float
    seed: int
    epochs: int
    budget: float
    """Seconds of training after which a run ends with the epoch that it is in."""

    def key(self) -> dict[str, Any]:
        """The columns that say which run a row is."""
        return {
            "method": self.method.name,
            "learning_rate": self.learning_rate,
            "weight": self.weight,
            "seed": self.seed,
        }


class Learner:
    """A network in training: `run` makes all epochs and returns what became of it.

    Args:
        task: the data, the set and the loss.
        setting: how it is trained.
        device: where.

    Raises:
        ConstraintError: the method cannot serve the set; the text says why.
    """

    def __init__(self, task: AbstractTask, setting: Setting, device: torch.device | None = None) -> None:
        self.task, self.setting, self.device = task, setting, device or torch.device("cpu")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setting.seed)
            backbone, width = task.backbone()
            self.head: AbstractHead = setting.method.build(task, width, setting.weight)
        self.network = nn.Sequential(backbone, self.head).to(self.device)
        self.nearest = None if self.head.feasible else best_projection(task.polyhedron)
        self.train, self.val, self.test = (
            Samples(split.inputs.to(self.device), split.targets.to(self.device))
            for split in (task.train, task.val, task.test)
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), setting.learning_rate)
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, **PLATEAU)
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}

    def run(self) -> dict[str, Any]:
        """The row of the run.

        Raises:
            EngineError: a loss is no longer finite, or a strict map broke a row.
        """
        self._note(0.0, {"train_loss": math.nan, "gradient_norm": math.nan, "gradient_norm_max": math.nan})
        peak = None
        while self.stopped is None:
            epoch = len(self.curves["seconds"])
            self.head.set_epoch(epoch)
            start = perf_counter()
            if epoch == 1:
                learned, peak = with_peak(lambda: self._learn(1), self.device)
            else:
                learned = self._learn(epoch)
            self._note(self.seconds + perf_counter() - start, learned)
            self.scheduler.step(self.curves["val_loss"][-1])
        return {
            "role": self.setting.method.role,
            "strict": self.head.strict,
            "feasible": self.head.feasible,
            "stopped": self.stopped,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "peak_mb": peak,
            **{f"test_{name}": value for name, value in self._judge(self.test).items()},
            "curves": {name: [_short(v) for v in values] for name, values in self.curves.items()},
        }

    @property
    def seconds(self) -> float:
        """Seconds of training so far."""
        return self.curves["seconds"][-1]

    @property
    def stopped(self) -> str | None:
        """Why training is over, or None."""
        done = len(self.curves["seconds"]) - 1
        if done >= self.setting.epochs:
            return "all epochs"
        if done and self.seconds >= self.setting.budget:
            return f"time budget {self.setting.budget:g} s"
        return None

    def _learn(self, epoch: int) -> dict[str, float]:
        """One pass over the training samples."""
        self.network.train()
        losses, norms, count = 0.0, [], len(self.train.inputs)
        for index in batch_indices(count, self.setting.seed, epoch, self.task.batch_size, self.device):
            loss, norm = self._step(index)
            norms.append(norm)
            losses += loss * (len(index) / count)
        norm = torch.stack(norms)  # here the host waits, once an epoch
        return {
            "train_loss": float(losses),
            "gradient_norm": norm.median().item(),
            "gradient_norm_max": norm.max().item(),
        }

    def _step(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of a batch before its step, and the norm of its gradient."""
        samples = Samples(self.train.inputs[index], self.train.targets[index])
        x = self.network(samples.inputs)
        loss = self.task.losses(x, samples).mean()
        self.optimizer.zero_grad()
        (loss + self.head.penalty(x)).backward()
        norm = self._gradient_norm()
        self.optimizer.step()
        return loss.detach(), norm

    def _gradient_norm(self) -> Tensor:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))

    def _note(self, seconds: float, learned: dict[str, float]) -> None:
        rate = self.optimizer.param_groups[0]["lr"]
        judged = self._judge(self.val)
        found = {"seconds": seconds, "learning_rate": rate, **learned, **judged}
        found |= {"val_loss": judged["loss"], "raw_val_loss": judged["raw_loss"]}
        for name in CURVES:
            self.curves[name].append(found[name])
        epoch = len(self.curves["seconds"]) - 1
        name = self.setting.method.name
        if not math.isfinite(found["val_loss"]) or (epoch and not math.isfinite(found["train_loss"])):
            raise EngineError(
                f"{name}: epoch {epoch} ended with training loss {found['train_loss']} and validation loss "
                f"{found['val_loss']}; try a smaller learning rate than {self.setting.learning_rate:g}"
            )
        if self.head.strict and found["violation"] > 0:
            raise EngineError(
                f"{name}: a row is broken by {found['violation']:.1e} in epoch {epoch}, in strict mode"
            )

    def _judge(self, samples: Samples) -> dict[str, float]:
        """Losses in float64, and how feasible the outputs are before any projection."""
        raw = self._outputs(samples.inputs)
        x = raw if self.nearest is None else self._project(raw, self.nearest)
        broken = violations(self.task.polyhedron, raw.double().cpu().numpy())
        return {
            "loss": self._loss(x, samples),
            "raw_loss": self._loss(raw, samples),
            "violation": float(broken.max()),
            "infeasible_share": float((broken > 0).mean()),
            "active_share": active_share(self.task.polyhedron, x.double().cpu().numpy()),
        }

    def _outputs(self, inputs: Tensor) -> Tensor:
        self.network.eval()
        with torch.no_grad():
            return torch.cat([self.network(part) for part in inputs.split(EVALUATED)])

    @staticmethod
    def _project(x: Tensor, nearest: AbstractProjection) -> Tensor:
        return torch.cat([nearest(part).x for part in x.split(EVALUATED)])

    def _loss(self, x: Tensor, samples: Samples) -> float:
        double = replace(samples, inputs=samples.inputs.double(), targets=samples.targets.double())
        return self.task.losses(x.double(), double).mean().item()


def active_share(polyhedron: Polyhedron, x: np.ndarray) -> float:  # (N, n)
    """The share of the points at which some inequality holds with equality, up to `ACTIVE`."""
    G, h = stacked_rows(Polyhedron(polyhedron.A, polyhedron.b, lower=polyhedron.lower))
    single = np.count_nonzero(G, axis=1) == 1  # bounds of features, without a product
    features, entries = np.abs(G[single]).argmax(1), G[single].sum(1)
    value = np.concatenate([x @ G[~single].T, x[:, features] * entries], axis=1)
    size = np.concatenate([np.abs(x) @ np.abs(G[~single]).T, np.abs(x[:, features] * entries)], axis=1)
    h = np.concatenate([h[~single], h[single]])
    return float((h - value <= ACTIVE * (size + np.abs(h))).any(1).mean())


def _short(value: float) -> float | None:
    """Rounded; None where there is no number, for which JSON has no word."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
