"""One run of the digits experiment: train each network from where it stopped, judge it, time all."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from constrained.errors import ConstraintError, EngineError, InvalidInputError, require

from ..data import Digits
from ..problems.checkerboard import project_checkerboard_box
from ..rows import Run
from ._checkpoints import load_checkpoint, save_checkpoint
from ._evaluation import judge, mean_squared_error, outputs, time_interleaved
from ._networks import Task, network
from ._settings import Settings
from ._training import Trainer

PANEL_DIGITS = 8
FAILED = "failed"
"""How `stopped` begins in the row of a network that could not be trained or evaluated."""
RESULT_COLUMNS = (
    "epochs", "stopped", "train_seconds", "projection", "feasible", "val_mse", "test_mse",
    "violation", "cone_violation", "box_violation", "infeasible_share", "inference_seconds",
)  # fmt: skip


class Experiment:
    """What `measure` does, step by step: `train`, then `network_rows` and `digit_rows`.

    Args:
        settings, digits: what to measure.
        run: where rows go; the rows of training are added as they are made.
        checkpoints: folder of the checkpoints that belong to this run.
    """

    def __init__(self, settings: Settings, digits: Digits, run: Run, checkpoints: Path) -> None:
        require("tqdm", "bench")
        self.settings, self.digits, self.run, self.checkpoints = settings, digits, run, checkpoints
        self.task, self.device = Task.digits(settings.projection), torch.device(settings.device)
        self.train_images, self.val_images, self.test_images = (
            images.to(self.device) for images in (digits.train, digits.val, digits.test)
        )
        self.optimum_val = mean_squared_error(_project(digits.val), digits.val)
        self.optimum_test = mean_squared_error(_project(digits.test), digits.test)
        self.trained: dict[str, Trainer] = {}
        self.results: dict[str, dict[str, Any]] = {}

    def train(self) -> None:
        """Train and judge every network; one that fails leaves its reason in `results`."""
        for name in self.settings.networks:
            try:
                trainer = self._train(name)
                self.results[name] = self._judge(trainer)
                self.trained[name] = trainer
            except ConstraintError as error:
                self.results[name] = {"stopped": f"{FAILED}: {error}"}
                print(f"{name} failed: {error}", file=sys.stderr)

    def _train(self, name: str) -> Trainer:
        """Train one network to its end, from its checkpoint if it has one."""
        from tqdm import tqdm

        trainer, epochs = self._resume(name), self.settings.epochs
        with tqdm(desc=name, total=epochs, initial=len(trainer.rows), unit="epoch", disable=None) as bar:
            while trainer.stop_reason(epochs, self.settings.projection_budget) is None:
                row = trainer.advance()
                save_checkpoint(self._checkpoint(name), trainer.state())
                self.run.add(row)
                bar.set_postfix(val_mse=f"{row['val_mse']:.4f}", optimum=f"{self.optimum_val:.4f}")
                bar.update()
        return trainer

    def _resume(self, name: str) -> Trainer:
        """A trainer at the last checkpoint, and the rows of the run brought in line with it.

        A checkpoint is written before its row is added, so it is never behind; one that is lost or
        damaged takes its rows with it.
        """
        trainer, path = self._start(name), self._checkpoint(name)
        if path.exists():
            try:
                trainer.restore(load_checkpoint(path))
            except (InvalidInputError, RuntimeError, KeyError, ValueError, TypeError) as error:
                print(f"{error}; {name} is trained from the start", file=sys.stderr)
                trainer = self._start(name)
        rows = self.run.rows
        rows[:] = [row for row in rows if (row["table"], row["network"]) != ("training", name)]
        self.run.add(*trainer.rows)
        return trainer

    def _start(self, name: str) -> Trainer:
        """A network at its seeded start; the global generator of torch is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            module = network(name, self.task)
        module = module.to(self.device)
        return Trainer(module, self.train_images, self.val_images, self.optimum_val, self.settings.seed)

    def _checkpoint(self, name: str) -> Path:
        return self.checkpoints / f"{name}.pt"

    def _judge(self, trainer: Trainer) -> dict[str, Any]:
        """What a trained network reached, from its outputs."""
        settings = self.settings
        val, test = (outputs(trainer.network, y) for y in (self.val_images, self.test_images))
        results = {
            "epochs": len(trainer.rows),
            "stopped": trainer.stop_reason(settings.epochs, settings.projection_budget),
            "train_seconds": trainer.seconds,
            "projection": settings.projection if trainer.network.projects else "",
            "feasible": trainer.network.feasible,
            "val_mse": mean_squared_error(val, self.val_images),
            "test_mse": mean_squared_error(test, self.test_images),
            **judge(self.task, test),
        }
        if not math.isfinite(results["val_mse"] + results["test_mse"]):
            raise EngineError(
                f"some outputs are not finite: validation error {results['val_mse']}, "
                f"test error {results['test_mse']}; try another projection"
            )
        return results

    def network_rows(self) -> list[dict[str, Any]]:
        """One row a network with the inference times, taken together; `None` for what a failed one lacks."""
        modules = {name: trainer.network for name, trainer in self.trained.items()}
        seconds = time_interleaved(modules, self.test_images)
        return [
            {
                "table": "networks",
                "network": name,
                "data": self.digits.name,
                "train_samples": len(self.digits.train),
                "val_samples": len(self.digits.val),
                "test_samples": len(self.digits.test),
                "epochs_planned": self.settings.epochs,
                "optimum_val_mse": self.optimum_val,
                "optimum_test_mse": self.optimum_test,
                "inference_samples": len(self.digits.test),
                **dict.fromkeys(RESULT_COLUMNS),
                **results,
                "inference_seconds": seconds.get(name),
            }
            for name, results in self.results.items()
        ]

    def digit_rows(self) -> list[dict[str, Any]]:
        """Test digits of different labels: as they are, projected, and as each network makes them."""
        labels = self.digits.test_labels.tolist()
        chosen = [labels.index(label) for label in sorted(set(labels))[:PANEL_DIGITS]]
        y = self.digits.test[chosen]
        panels = {"input": y, "projection": _project(y)}
        panels |= {
            name: outputs(trainer.network, y.to(self.device)) for name, trainer in self.trained.items()
        }
        return [
            {
                "table": "digits",
                "panel": panel,
                "index": index,
                "label": labels[index],
                "pixels": [round(pixel, 3) for pixel in pixels.tolist()],
            }
            for panel, images in panels.items()
            for index, pixels in zip(chosen, images, strict=True)
        ]


def _project(y: Tensor) -> Tensor:  # (N, 784) -> (N, 784) float64
    return torch.from_numpy(project_checkerboard_box(y.double().numpy()))
