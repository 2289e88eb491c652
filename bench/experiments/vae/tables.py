"""From the rows of a run to its three tables.

    vae             a method, the projection at test time once for each projection that it was timed with
    vae_training    the curves: a method after an epoch, at its best learning rate, over the seeds
    vae_images      reconstructions, samples and walks of the first seed

Intervals over seeds are Student's, 95 %; differences are paired: of trainings of the same seed, which saw the
same images in the same order and are judged with the same draws. Speed-ups are ratios of medians of
interleaved rounds, with their bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ...intervals import mean_interval, ratio_interval
from ._experiment import OK, best_row
from ._methods import METHOD_NAMES, PROJECTED, method
from ._model import SIGMA
from ._timing import OSQP

Row = dict[str, Any]

TERMS = [f"{split}_{term}" for split in ("val", "test") for term in ("elbo", "reconstruction", "divergence")]
JUDGED = [
    f"{strict}{what}_{value}"
    for strict in ("", "strict_")
    for what in ("reconstruction", "sample")
    for value in ("violation", "infeasible_share")
]


def vae_tables(rows: Sequence[Row], settings: Row) -> dict[str, list[Row]]:
    """The three tables by name."""
    images = [row for row in rows if row["table"] == "vae_images"]
    return {
        "vae": vae_rows(rows, settings),
        "vae_training": [line for runs in _chosen(rows).values() for line in _curves(rows, runs)],
        "vae_images": [row | {f"p{i}": value for i, value in enumerate(row["pixels"])} for row in images],
    }


def vae_rows(rows: Sequence[Row], settings: Row) -> list[Row]:
    """A row for each method, in the order of METHODS; one that failed says why."""
    chosen = _chosen(rows)
    lines: list[Row] = []
    for name in METHOD_NAMES:
        failed = [row for row in rows if row["table"] == "vae" and row["method"] == name]
        if name in chosen:
            lines += _timed(_learned(name, chosen), rows)
        elif failed:
            lines.append(_described(name) | {"status": failed[-1]["status"], "reason": failed[-1]["reason"]})
    best = next((line["projection"] for line in lines if line["fastest"]), "")
    return [line | _common(settings) | {"best_projection": best} for line in lines]


def _chosen(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """By method the results of all seeds at the learning rate that was best."""
    results = [row for row in rows if row["table"] == "vae" and row["status"] == OK]
    chosen = {}
    for name in METHOD_NAMES:
        mine = [row for row in results if row["method"] == name]
        if (best := best_row(mine)) is not None:
            same = [row for row in mine if row["learning_rate"] == best["learning_rate"]]
            chosen[name] = sorted(same, key=lambda row: row["seed"])
    return chosen


def _described(name: str) -> Row:
    entry = method(name)
    return {
        "method": name,
        "projection": "",
        "judged": entry.judged,
        "role": "projection" if entry.projects else "embedded" if entry.promises else "yardstick",
        "reference": entry.reference,
        "fastest": False,
    }


def _common(settings: Row) -> Row:
    names = ("data", "epochs", "batch_size", "latent", "hidden", "samples")
    return {name: settings.get(name) for name in names} | {"sigma": SIGMA}


def _learned(name: str, chosen: dict[str, list[Row]]) -> Row:
    """Means over the seeds, and the differences to the method that this one is compared with."""
    runs, entry = chosen[name], method(name)
    others = {row["seed"]: row for row in chosen.get(entry.reference, [])}
    pairs = [(run, others[run["seed"]]) for run in runs if run["seed"] in others]
    line = _described(name) | {
        "status": OK,
        "reason": "",
        "seeds": len(runs),
        "learning_rate": runs[0]["learning_rate"],
        "parameters": runs[0]["parameters"],
        **mean_interval((run["train_seconds"] for run in runs), "train_seconds"),
    }
    for term in TERMS:
        line |= mean_interval((run[term] for run in runs), term)
    for split in ("val", "test"):
        term = f"{split}_elbo"
        line |= mean_interval((run[term] - other[term] for run, other in pairs), f"{split}_difference")
    for column in JUDGED:
        known = [run[column] for run in runs if run.get(column) is not None]
        over = max if column.endswith("violation") else np.mean
        line[column] = float(over(known)) if known else None
    return line


def _timed(line: Row, rows: Sequence[Row]) -> list[Row]:
    """The line with its times; a projection at test time is a line for each projection."""
    timings = [row for row in rows if row["table"] == "vae_timing"]
    osqp = _found(timings, PROJECTED, OSQP)
    projected = [row for row in timings if row["method"] == PROJECTED]
    best = min(projected, key=lambda row: float(np.median(row["seconds"])), default=None)
    mine = [row for row in timings if row["method"] == line["method"] and not row["strict"]]
    strict = [row for row in timings if row["method"] == line["method"] and row["strict"]]
    lines = []
    for timing in mine or [None]:
        times = _times(timing, "") | _times(strict[0] if strict else None, "strict_")
        times |= _speedup("speedup_osqp", osqp, timing) | _speedup("speedup_best", best, timing)
        solver = "" if timing is None else timing["projection"]
        fastest = timing is not None and timing is best
        # The violations of the images that OSQP projected are not those of another projection.
        judged = dict.fromkeys(JUDGED) if solver not in ("", OSQP) else {}
        lines.append(line | judged | times | {"projection": solver, "fastest": fastest})
    return lines


def _found(timings: Sequence[Row], name: str, solver: str) -> Row | None:
    return next((row for row in timings if (row["method"], row["projection"]) == (name, solver)), None)


def _times(timing: Row | None, prefix: str) -> Row:
    names = [f"{prefix}seconds_10k", f"{prefix}seconds_10k_q25", f"{prefix}seconds_10k_q75"]
    if timing is None:
        return dict.fromkeys(names)
    low, median, high = np.quantile(timing["seconds"], [0.25, 0.5, 0.75]) * 10_000 / timing["samples"]
    return dict(zip(names, (float(median), float(low), float(high)), strict=True))


def _speedup(name: str, slow: Row | None, fast: Row | None) -> Row:
    if slow is None or fast is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    values = ratio_interval(slow["seconds"], fast["seconds"])
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _curves(rows: Sequence[Row], runs: list[Row]) -> Iterable[Row]:
    """A row for each epoch that every seed has come to."""
    seeds = {run["seed"] for run in runs}
    mine = [
        row
        for row in rows
        if row["table"] == "vae_training"
        and (row["method"], row["learning_rate"]) == (runs[0]["method"], runs[0]["learning_rate"])
        and row["seed"] in seeds
    ]
    for epoch in sorted({row["epoch"] for row in mine}):
        at = [row for row in mine if row["epoch"] == epoch]
        line = {"method": runs[0]["method"], "epoch": epoch, "seeds": len(at)}
        line |= {"learning_rate": runs[0]["learning_rate"]}
        for name in ("val_elbo", "val_reconstruction", "val_divergence", "train_elbo", "seconds"):
            known = [row[name] for row in at if row[name] is not None]
            line |= mean_interval(known, name)
        yield line
