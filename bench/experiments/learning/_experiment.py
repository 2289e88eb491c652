"""The training comparison, run by run: learning rates with one seed, then every seed at the best one."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import torch

from constrained.errors import ConstraintError, UnsupportedSetError, require

from ...rows import Run
from ._settings import Settings
from ._training import Learner, Setting
from .methods import Method
from .tasks import TASKS, AbstractTask

OK, REFUSED, FAILED = "ok", "refused", "failed"


class Experiment:
    """Adds a row to the run for every training; one that is there already is not repeated.

    Args:
        settings: what to measure.
        run: where rows go.
    """

    def __init__(self, settings: Settings, run: Run) -> None:
        require("tqdm", "bench")
        self.settings, self.run, self.device = settings, run, torch.device(settings.device)

    def measure(self) -> None:
        """Every task in turn. Within a seed methods take turns, so that a drift of the machine meets all."""
        for entry in TASKS:
            if entry.name in self.settings.tasks:
                self._task(entry.create(self.settings.data))

    def _task(self, task: AbstractTask) -> None:
        from tqdm import tqdm

        methods = self.settings.methods_for(task)
        total = len(methods) * (len(self.settings.learning_rates) + self.settings.seeds - 1)
        total += sum((len(m.weights) - 1) * len(self.settings.learning_rates) for m in methods)
        with tqdm(desc=task.name, total=total, unit="run", disable=None) as bar:
            for setting in self._settings(task, methods):
                bar.set_postfix_str(f"{setting.method.name} {setting.learning_rate:g}")
                self._measure(task, setting)
                bar.update()

    def _settings(self, task: AbstractTask, methods: list[Method]) -> Iterator[Setting]:
        """The runs in their order; those of later seeds are known once those of the first are done."""
        common = {"epochs": self.settings.epochs(task), "budget": self.settings.budget}
        for rate in self.settings.learning_rates:
            for method in methods:
                for weight in method.weights:
                    yield Setting(method, rate, weight, 0, **common)
        for seed in range(1, self.settings.seeds):
            for method in methods:
                if (best := self._best(task, method)) is not None:
                    yield Setting(method, best["learning_rate"], best["weight"], seed, **common)

    def _best(self, task: AbstractTask, method: Method) -> dict[str, Any] | None:
        rows = [row for row in self.run.rows if row["task"] == task.name and row["method"] == method.name]
        return best_run([row for row in rows if row["seed"] == 0])

    def _measure(self, task: AbstractTask, setting: Setting) -> None:
        key = {"table": "learning", "task": task.name} | setting.key()
        if any(all(row[name] == value for name, value in key.items()) for row in self.run.rows):
            return
        row = key | {
            "changes": setting.method.changes,
            "role": setting.method.role,
            "loss_name": task.loss_name,
            "optimum_val": task.optimum.get("val"),
            "optimum_test": task.optimum.get("test"),
            "epochs_planned": setting.epochs,
            "batch_size": task.batch_size,
            "train_samples": len(task.train.inputs),
            "val_samples": len(task.val.inputs),
            "test_samples": len(task.test.inputs),
            "features": task.polyhedron.n,
            "rows": task.polyhedron.m + task.polyhedron.p,
        }
        try:
            row |= {"status": OK, "reason": ""} | Learner(task, setting, self.device).run()
        except UnsupportedSetError as error:
            row |= {"status": REFUSED, "reason": str(error)}
        except ConstraintError as error:
            row |= {"status": FAILED, "reason": str(error)}
            print(f"{task.name}: {setting.method.name} failed: {error}", file=sys.stderr)
        self.run.add(row)


def best_run(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Of runs of a method and seed that with the least validation loss in the end, the first of equals."""
    done = [row for row in rows if row["status"] == OK]
    return min(done, key=final_loss, default=None)


def final_loss(row: dict[str, Any]) -> float:
    """The validation loss after the last epoch."""
    value = row["curves"]["val_loss"][-1]
    return math.inf if value is None else value
