"""The paper's experiment: networks learn to map digits onto the checkerboard cone with the box.

    minimize  mean ||network(y) - y||^2 / n     over digits y, network(y) in {A x <= 0, |x| <= 1}

The least possible value, the optimum of the tables, is that of the true projection, known in closed
form. Networks that promise nothing (`feasible` false) are trained and judged beside the others.
Rows: "training" (one an epoch), "networks" (one a network, after training), "digits" (images).
Source: arXiv 1902.01785, sec. 4.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from constrained.errors import ConstraintError, InvalidInputError

from ..data import load
from ..machine import device_name
from ..rows import Run
from ._experiment import FAILED, Experiment
from ._settings import Settings, parse

KIND = "mnist_projection"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment from the command line; see `--help`.

    Returns:
        0 when every network was measured, 1 when one failed (its row has the reason), 2 for bad
        input, 130 when interrupted: a rerun with the same settings continues.
    """
    settings, results, fresh = parse(argv)
    try:
        run = measure(settings, results, fresh)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted: every finished epoch is kept under {results.parent}; "
            "run the same command again to continue from there",
            file=sys.stderr,
        )
        return 130
    except (ConstraintError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary(run))
    return int(any(row["stopped"].startswith(FAILED) for row in _network_rows(run)))


def measure(settings: Settings, results: Path, fresh: bool = False) -> Run:
    """Train, judge and time the networks of `settings`, or continue where an earlier call stopped.

    Args:
        settings: what to measure.
        results: folder of the run file; the checkpoints go to `checkpoints/` beside it.
        fresh: start anew even if there is an unfinished run of the same settings.

    Returns:
        The finished run.

    Raises:
        ConstraintError: the digits or the run files cannot be read, or there is no CUDA device. A network
            that fails does not raise; its row says why.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("there is no CUDA device here; try --device cpu")
    digits, device = load(settings.data), device_name(torch.device(settings.device))
    run = Run.open(results, KIND, settings.as_json(digits), fresh=fresh, device=device)
    # An earlier call that was cut off after its last rows has them measured again, not twice.
    run.rows[:] = [row for row in run.rows if row["table"] == "training"]
    run.add()  # the file exists from here on, so that even an interrupted first epoch belongs to it
    experiment = Experiment(settings, digits, run, results.parent / "checkpoints" / run.path.stem)
    experiment.train()
    run.add(*experiment.network_rows(), *experiment.digit_rows())
    run.finish()
    return run


def summary(run: Run) -> str:
    """The networks of a run as a table for the terminal."""
    lines = [f"{'network':<22}{'epochs':>7}{'test MSE':>10}{'optimum':>10}{'us/sample':>11}{'violation':>11}"]
    for row in _network_rows(run):
        if row["stopped"].startswith(FAILED):
            lines.append(f"{row['network']:<22} {row['stopped']}")
            continue
        micro = 1e6 * median(row["inference_seconds"]) / row["inference_samples"]
        lines.append(
            f"{row['network']:<22}{row['epochs']:>7}{row['test_mse']:>10.4f}{row['optimum_test_mse']:>10.4f}"
            f"{micro:>11.2f}{row['violation']:>11.1e}"
        )
    return "\n".join([*lines, f"rows: {run.path}"])


def _network_rows(run: Run) -> list[dict]:
    return [row for row in run.rows if row["table"] == "networks"]
