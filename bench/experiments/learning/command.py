"""The command `python -m bench run learning`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from constrained.errors import ConstraintError, InvalidInputError

from ...machine import device_name
from ...rows import Run
from ._experiment import OK, Experiment
from ._settings import Settings, parse
from .tables import learned_rows

KIND = "learning"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison from the command line; see `--help`.

    Returns:
        0 when it was measured, a method that failed being a row with its reason; 2 for bad input; 130 when
        interrupted: a rerun with the same settings continues.
    """
    settings, results, fresh = parse(argv)
    try:
        run = measure(settings, results, fresh)
    except KeyboardInterrupt:
        print("\ninterrupted: every finished run is kept; the same command continues", file=sys.stderr)
        return 130
    except (ConstraintError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary(run))
    return 0


def measure(settings: Settings, results: Path, fresh: bool = False) -> Run:
    """Train everything that `settings` ask for, or what an earlier call left undone.

    Args:
        settings: what to measure.
        results: folder of the run file.
        fresh: start anew even if there is an unfinished run of the same settings.

    Raises:
        ConstraintError: the data or the run files cannot be read, or there is no CUDA device.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("there is no CUDA device here; try --device cpu")
    device = device_name(torch.device(settings.device))
    run = Run.open(results, KIND, settings.as_json(), fresh=fresh, device=device)
    run.add()  # the file exists from here on
    Experiment(settings, run).measure()
    run.finish()
    return run


def summary(run: Run) -> str:
    """The methods of a run as a table for the terminal."""
    lines = [
        f"{'task':<20}{'method':<24}{'rate':>8}{'val loss':>11}{'test loss':>11}"
        f"{'s/epoch':>9}{'violation':>11}"
    ]
    for row in learned_rows(run.rows):
        name = f"{row['task']:<20}{row['method']:<24}"
        if row["status"] != OK:
            lines.append(f"{name} {row['status']}: {row['reason'][:90]}")
            continue
        lines.append(
            f"{name}{row['learning_rate']:>8g}{row['val_loss']:>11.5f}{row['test_loss']:>11.5f}"
            f"{row['seconds_per_epoch']:>9.3f}{row['violation']:>11.1e}"
        )
    return "\n".join([*lines, f"rows: {run.path}"])
