"""From raw rows to tidy tables: `results/tables/<device>/*.csv`, with the machine beside them.

One table, one run: the newest run file of a kind and device. Ratios are taken only between rows of
one interleaved pass. Nothing is edited by hand; the same raw files give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .machine import device_slug
from .robustness import robustness_table
from .rows import Run, read_runs, write_atomic
from .timing import is_stable, ratio_interval

Row = dict[str, Any]

KINDS = ("inference", "mnist_projection", "robustness")
ACCURATE = 1e-6
"""A projection counts as the best one of a cell only if it came this near the true projection."""

CELL = "problem family n m method role device dtype batch status reason"
TIMES = "us_per_sample us_q25 us_q75 rounds stable"
INFERENCE = (
    f"{CELL} plain {TIMES} solver_us_per_sample speedup_osqp speedup_osqp_low speedup_osqp_high "
    "best_projection speedup_best speedup_best_low speedup_best_high ratio_linear ratio_linear_low "
    "ratio_linear_high ratio_floor ratio_floor_low ratio_floor_high ratio_plain ratio_plain_low "
    "ratio_plain_high setup_ms peak_mb violation infeasible_share broken_share distance excess "
    "success_1e3 success_1e6 success_1e9"
).split()
TRAINING_STEP = (
    f"{CELL} {TIMES} ratio_linear ratio_linear_low ratio_linear_high setup_ms peak_mb violation "
    "infeasible_share"
).split()
ACCURACY = (
    f"{CELL} {TIMES} solver_us_per_sample speedup_osqp speedup_osqp_low speedup_osqp_high setup_ms violation "
    "distance success_1e3 success_1e6 success_1e9"
).split()
PLANNING = f"{CELL} {TIMES} peak_mb".split()
TRAINING = "network epoch seconds train_mse val_mse optimum_val_mse box_scaling learning_rate".split()
NETWORKS = (
    "network data train_samples val_samples test_samples epochs epochs_planned stopped train_seconds "
    "projection val_mse optimum_val_mse test_mse optimum_test_mse inference_ms inference_ms_q25 "
    "inference_ms_q75 inference_samples us_per_sample violation cone_violation box_violation "
    "infeasible_share feasible"
).split()


def build_tables(raw: Path, tables: Path) -> list[Path]:
    """Write the tables of every device that has runs in `raw`; returns the files written."""
    newest: dict[str, dict[str, Run]] = {}
    for run in read_runs(raw, KINDS):
        if run.rows:
            slug = device_slug(run.header["machine"]["device"])
            newest.setdefault(slug, {})[run.header["kind"]] = run
    return [path for slug, runs in sorted(newest.items()) for path in _device_tables(tables / slug, runs)]


def _device_tables(folder: Path, runs: dict[str, Run]) -> list[Path]:
    frames: dict[str, pd.DataFrame] = {}
    if (run := runs.get("inference")) is not None:
        frames |= _timing_frames(run.rows)
    if (run := runs.get("mnist_projection")) is not None:
        frames |= _experiment_frames(run.rows)
    if (run := runs.get("robustness")) is not None:
        frames["robustness"] = robustness_table(run.rows)
    written = []
    for name, frame in frames.items():
        written.append(folder / f"{name}.csv")
        write_atomic(written[-1], frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    machine = {kind: _provenance(run) for kind, run in sorted(runs.items())}
    latest = max(runs.values(), key=lambda run: run.header["started"])
    written.append(folder / "machine.json")
    write_atomic(written[-1], json.dumps(latest.header["machine"] | {"runs": machine}, indent=1) + "\n")
    return written


def _provenance(run: Run) -> Row:
    header = run.header
    return {
        "file": run.path.name,
        "settings": header["settings"],
        "started": header["started"],
        "finished": header["finished"],
        "commit": header["machine"]["commit"],
        "dirty": header["machine"]["dirty"],
    }


def _timing_frames(rows: Sequence[Row]) -> dict[str, pd.DataFrame]:
    """The tables of the timing grid that have a row."""
    columns = {
        "inference": INFERENCE,
        "training_step": TRAINING_STEP,
        "planning": PLANNING,
        "accuracy": ACCURACY,
    }
    frames = {name: pd.DataFrame(timing_rows(rows, name), columns=columns[name]) for name in columns}
    return {name: frame for name, frame in frames.items() if len(frame)}


def timing_rows(rows: Sequence[Row], table: str) -> list[Row]:
    """One table row for each raw row of a table, in the order of measurement, with its ratios.

    Of a row that was measured twice (a run that continued one of fewer methods) the later one counts.
    """
    passes: dict[str, list[Row]] = {}
    for row in rows:
        if row["table"] == table:
            passes.setdefault(row["pass"], []).append(row)
    lines = {(row["cell"], row["method"]): line for rows in passes.values() for row, line in _pass_rows(rows)}
    return list(lines.values())


def _pass_rows(rows: list[Row]) -> Iterable[tuple[Row, Row]]:
    timed = {row["method"]: row for row in rows if row["status"] == "ok"}
    best = best_projection(rows)
    for row in rows:
        line = dict.fromkeys(INFERENCE) | row
        if row["status"] == "ok":
            line |= _times(row)
            line |= _speedup("speedup_osqp", timed.get("osqp", timed.get("osqp@mid")), row)
            line |= {"best_projection": best} | _speedup("speedup_best", timed.get(best or ""), row)
            for name in ("linear", "floor"):
                line |= _speedup(f"ratio_{name}", row, timed.get(name))
            line |= _speedup("ratio_plain", row, timed.get(row.get("plain") or ""))
        yield row, line


def best_projection(rows: Iterable[Row]) -> str | None:
    """The fastest projection of a pass among those within ACCURATE of the true one."""
    fit = [
        row
        for row in rows
        if row["role"] == "projection"
        and row["status"] == "ok"
        and row.get("distance") is not None
        and row["distance"] <= ACCURATE
    ]
    return min(fit, key=lambda row: float(np.median(row["seconds"])))["method"] if fit else None


def _times(row: Row) -> Row:
    low, median, high = np.quantile(row["seconds"], [0.25, 0.5, 0.75]) * 1e6 / row["batch"]
    solver = row.get("solver_seconds")
    return {
        "us_per_sample": median,
        "us_q25": low,
        "us_q75": high,
        "rounds": len(row["seconds"]),
        "stable": is_stable(row["seconds"]),
        "solver_us_per_sample": np.median(solver) * 1e6 / row["batch"] if solver else None,
        "setup_ms": row["setup_seconds"] * 1e3,
    }


def _speedup(name: str, slow: Row | None, fast: Row | None) -> Row:
    if slow is None or fast is None:
        return {}
    ratio, low, high = ratio_interval(slow["seconds"], fast["seconds"])
    return {name: ratio, f"{name}_low": low, f"{name}_high": high}


def _experiment_frames(rows: Sequence[Row]) -> dict[str, pd.DataFrame]:
    networks = [_network_row(row) for row in rows if row["table"] == "networks"]
    digits = [
        {key: row[key] for key in ("panel", "index", "label")}
        | {f"p{i}": value for i, value in enumerate(row["pixels"])}
        for row in rows
        if row["table"] == "digits"
    ]
    training = [row for row in rows if row["table"] == "training"]
    frames = {"training": pd.DataFrame(training, columns=TRAINING)}
    if networks:
        frames["networks"] = pd.DataFrame(networks, columns=NETWORKS)
    if digits:
        frames["digits"] = pd.DataFrame(digits)
    return frames


def _network_row(row: Row) -> Row:
    """Its times worked out; a network that failed has none."""
    if not row["inference_seconds"]:
        return row
    low, median, high = np.quantile(row["inference_seconds"], [0.25, 0.5, 0.75]) * 1e3
    return row | {
        "inference_ms": median,
        "inference_ms_q25": low,
        "inference_ms_q75": high,
        "us_per_sample": median * 1e3 / row["inference_samples"],
    }
