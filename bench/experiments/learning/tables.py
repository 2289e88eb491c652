"""From the runs of the training comparison to its three tables.

    learning          the curves: a row for each task, method and epoch, at the best learning rate
    learned           what was reached: a row for each task and method
    learning_rates    every learning rate and weight that was tried, with the first seed

Intervals are Student's, 95 %, over seeds. Differences are paired: of runs of the same seed, which have the
same data in the same order. Equal wall-clock: the validation loss of a run at the time at which that of the
reference with the same seed ended, on the line between the epochs before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...intervals import mean_interval
from ._experiment import OK, best_run, final_loss
from ._training import CURVES
from .methods import REFERENCE
from .tasks import TASKS

Row = dict[str, Any]
MEANS = ("seconds", "train_loss", "raw_val_loss", "infeasible_share", "active_share", "gradient_norm")
WORST = ("violation", "gradient_norm_max")


def newest_by_task(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Of runs from the oldest to the newest the rows of each task from the newest run that has it."""
    newest: dict[str, list[Row]] = {}
    for rows in runs:
        newest |= {task: [r for r in rows if r["task"] == task] for task in {r["task"] for r in rows}}
    order = [entry.name for entry in TASKS]
    return [row for task in sorted(newest, key=order.index) for row in newest[task]]


def learning_tables(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The three tables by name."""
    return {
        "learning": [line for runs in _chosen(rows) for line in _curves(runs)],
        "learned": learned_rows(rows),
        "learning_rates": [_rate(row) for row in rows if row["seed"] == 0 and row["status"] == OK],
    }


def learned_rows(rows: Sequence[Row]) -> list[Row]:
    """A row for each task and method, in the order of measurement; one without a run says why."""
    chosen = {(runs[0]["task"], runs[0]["method"]): runs for runs in _chosen(rows)}
    lines = []
    for task, method in dict.fromkeys((row["task"], row["method"]) for row in rows):
        runs = chosen.get((task, method))
        if runs is None:
            lines.append(next(row for row in rows if (row["task"], row["method"]) == (task, method)))
        else:
            lines.append(_learned(runs, chosen.get((task, REFERENCE))))
    return lines


def _chosen(rows: Sequence[Row]) -> list[list[Row]]:
    """For each task and method the runs of all seeds at the learning rate and weight that were best."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["method"]), []).append(row)
    chosen = []
    for group in groups.values():
        best = best_run([row for row in group if row["seed"] == 0])
        if best is not None:
            same = [row for row in group if _rate_key(row) == _rate_key(best) and row["status"] == OK]
            chosen.append(sorted(same, key=lambda row: row["seed"]))
    return chosen


def _rate_key(row: Row) -> tuple:
    return row["learning_rate"], row["weight"]


def _curves(runs: list[Row]) -> Iterable[Row]:
    """A row for each epoch that every seed has come to."""
    for epoch in range(min(len(run["curves"]["seconds"]) for run in runs)):
        at = {name: [run["curves"][name][epoch] for run in runs] for name in CURVES}
        yield {
            "task": runs[0]["task"],
            "method": runs[0]["method"],
            "role": runs[0]["role"],
            "changes": runs[0]["changes"],
            "epoch": epoch,
            "optimum_val": runs[0]["optimum_val"],
            **mean_interval(at["val_loss"], "val_loss"),
            **{name: _over(np.mean, at[name]) for name in MEANS},
            **{name: _over(np.max, at[name]) for name in WORST},
        }


def _over(function: Any, values: list) -> float | None:
    known = [value for value in values if value is not None]
    return float(function(known)) if known else None


def _learned(runs: list[Row], reference: list[Row] | None) -> Row:
    first, others = runs[0], {run["seed"]: run for run in reference or []}
    pairs = [(run, others[run["seed"]]) for run in runs if run["seed"] in others]
    curves = [run["curves"] for run in runs]
    steps = [np.median(np.diff(curve["seconds"])) for curve in curves]
    return {
        **first,
        "seeds": len(runs),
        "epochs": min(len(curve["seconds"]) - 1 for curve in curves),
        **mean_interval((final_loss(run) for run in runs), "val_loss"),
        **mean_interval((run["test_loss"] for run in runs), "test_loss"),
        **mean_interval((run["test_loss"] - other["test_loss"] for run, other in pairs), "test_difference"),
        **mean_interval((_at_time(run, other) for run, other in pairs), "val_loss_at_time"),
        **mean_interval(
            (_at_time(run, other) - final_loss(other) for run, other in pairs), "difference_at_time"
        ),
        "raw_test_loss": float(np.mean([run["test_raw_loss"] for run in runs])),
        "violation": max(max(curve["violation"]) for curve in curves),
        "test_violation": max(run["test_violation"] for run in runs),
        "test_infeasible_share": float(np.mean([run["test_infeasible_share"] for run in runs])),
        "train_seconds": float(np.median([curve["seconds"][-1] for curve in curves])),
        "seconds_per_epoch": float(np.median(steps)),
        "relative_time": _relative_time(pairs),
        "gradient_norm": float(np.median([v for curve in curves for v in curve["gradient_norm"][1:]])),
        "gradient_norm_max": max(v for curve in curves for v in curve["gradient_norm_max"][1:]),
        "active_share": float(np.mean([curve["active_share"][-1] for curve in curves])),
    }


def _at_time(run: Row, reference: Row) -> float:
    """The validation loss of the run when the reference ended, on the line between two epochs."""
    curves = run["curves"]
    return float(np.interp(reference["curves"]["seconds"][-1], curves["seconds"], curves["val_loss"]))


def _relative_time(pairs: list[tuple[Row, Row]]) -> float | None:
    """An epoch's time over one of the reference, the median over seeds."""
    ratios = [_epoch_seconds(run) / _epoch_seconds(other) for run, other in pairs]
    return float(np.median(ratios)) if ratios else None


def _epoch_seconds(run: Row) -> float:
    return float(np.median(np.diff(run["curves"]["seconds"])))


def _rate(row: Row) -> Row:
    return row | {"val_loss": final_loss(row), "epochs": len(row["curves"]["seconds"]) - 1}
