"""The command `python -m bench run vae`, alone or under `torchrun`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from constrained.errors import ConstraintError

from ...data import load
from ...machine import device_name
from ...rows import Run
from ._board import Board
from ._experiment import FAILED, Experiment
from ._settings import Places, Settings, parse
from ._world import World, world
from .tables import vae_rows

KIND = "vae"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment from the command line; see `--help`.

    Returns:
        0 when every method was measured, 1 when one failed (its row has the reason), 2 for bad input or a
        disk that refuses, 130 when interrupted: a rerun with the same settings continues.
    """
    settings, places = parse(argv)
    try:
        with world(settings.device) as here:
            run = measure(settings, places, here)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: every finished training is kept in {places.results}; run the same command again "
            "to continue from there",
            file=sys.stderr,
        )
        return 130
    except (ConstraintError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if run is None:
        return 0
    print(summary(run))
    return int(any(row.get("status") == FAILED for row in run.rows))


def measure(settings: Settings, places: Places, here: World | None = None) -> Run | None:
    """Train, judge and time the methods of `settings`, or continue where an earlier call stopped.

    Args:
        settings: what to measure.
        places: folder of the run file, the checkpoints going to `checkpoints/` beside it; whether to start
            anew even if there is an unfinished run of the same settings; folder of TensorBoard.
        here: the processes that share the work; one without it.

    Returns:
        The finished run; `None` in all processes but the first.

    Raises:
        ConstraintError: the digits or the run files cannot be read. A method that fails does not raise; its
            row says why.
        OSError: the disk refuses; everything that was written before is intact.
    """
    here = World(settings.device) if here is None else here
    board = Board(places.tensorboard)
    # One after the other, so that a download is made once.
    digits = here.on_main(lambda: load(settings.data))
    run = _open(settings, places, digits.name, settings.as_json(digits), here) if here.main else None
    name = here.on_main(lambda: "" if run is None else run.path.stem)
    folder = places.results.parent / "checkpoints" / name
    Experiment(settings, digits, run, folder, here, board).measure()
    if run is not None:
        run.finish()
    return run


def _open(settings: Settings, places: Places, data: str, values: dict, here: World) -> Run:
    return Run.open(places.results, KIND, values, fresh=places.fresh, device=device_name(here.device))


def summary(run: Run) -> str:
    """The methods of a run as a table for the terminal."""
    lines = [
        f"{'method':<36}{'val ELBO':>10}{'test ELBO':>11}{'minus ref.':>11}{'KL':>7}{'violation':>11}"
        f"{'strict':>9}{'s/10 000':>10}"
    ]
    for row in vae_rows(run.rows, run.header["settings"]):
        name = f"{row['method']} {row['projection']}"
        if row["status"] == FAILED:
            lines.append(f"{name:<36} failed: {row['reason'][:90]}")
            continue
        lines.append(
            f"{name:<36}{row['val_elbo']:>10.1f}{row['test_elbo']:>11.1f}{_cell(row['val_difference']):>11}"
            f"{row['val_divergence']:>7.1f}{_cell(row['sample_violation']):>11}{_cell(row['strict_sample_violation']):>9}"
            f"{_cell(row['seconds_10k']):>10}"
        )
    return "\n".join([*lines, f"rows: {run.path}"])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
