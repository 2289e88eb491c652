"""From raw rows to tidy tables: `results/tables/<machine>/*.csv`, with the machine beside them.

One table, one run: the newest run file of a kind and machine; the training comparison, task by task.
Ratios are taken only between rows of one interleaved pass. Nothing is edited by hand; the same raw files
give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from constrained.errors import InvalidInputError

from ._tables_io import MACHINE, write_table
from .cuda_limits import limits_table
from .experiments.learning.tables import learning_tables, newest_by_task
from .experiments.vae.tables import vae_tables
from .machine import identity, machine_folder, machine_name
from .robustness import robustness_table
from .rows import RESULTS, Run, read_runs, write_atomic
from .schema import SCHEMA, TABLES
from .timing import is_stable, ratio_interval

Row = dict[str, Any]
LEARNING = "learning"
KINDS = ("inference", "mnist_projection", "robustness", LEARNING, "vae", "limits")
ACCURATE = 1e-6
"""A projection counts as the best one of a cell only if it came this near the true projection."""

DEFAULTS = {"calls": 1, "threads": None, "cache": "warm"}
"""Of the fields that a timing row may leave out."""
TIMING = ("inference", "training_step", "compiled", "planning", "accuracy")
"""The tables of the timing grid."""


def build_tables(raw: Path, tables: Path, machine: str | None = None) -> list[Path]:
    """Write the tables of every machine that has runs in `raw`; returns the files written.

    Args:
        raw: the folder of run files.
        tables: gets a folder for each machine, see `machine_folder`.
        machine: only the runs of the machine of this name.

    Raises:
        InvalidInputError: no run is of that machine; two machines would share a folder; a row does not
            have the declared columns.
    """
    newest: dict[str, dict[str, Run]] = {}
    found = [run for run in read_runs(raw, KINDS) if run.rows]
    for run in found:
        if machine is None or run.header["machine"]["name"] == machine:
            newest.setdefault(machine_folder(run.header["machine"]), {})[_kind(run)] = run
    if machine is not None and not newest:
        names = sorted({run.header["machine"]["name"] or "(without a name)" for run in found})
        raise InvalidInputError(
            f"no run in {raw} is of the machine {machine!r}; found: {', '.join(names) or 'no runs'}"
        )
    for folder, runs in newest.items():
        _check_one_machine(folder, list(runs.values()))
    return [path for folder, runs in sorted(newest.items()) for path in _write_folder(tables / folder, runs)]


def _kind(run: Run) -> str:
    """What of a machine the newest one counts of: the kind; of the training comparison also the tasks."""
    kind = run.header["kind"]
    return kind if kind != LEARNING else f"{kind}: {', '.join(run.header['settings']['tasks'])}"


def _check_one_machine(folder: str, runs: Sequence[Run]) -> None:
    """Raise `InvalidInputError` if runs of different machines would be mixed in one folder."""
    first = runs[0]
    for run in runs[1:]:
        one, other = identity(first.header["machine"]), identity(run.header["machine"])
        keys = [key for key in one if _differ(one[key], other[key])]
        if different := [f"{key} {one[key]!r} and {other[key]!r}" for key in keys]:
            raise InvalidInputError(
                f"{first.path} and {run.path} were measured on different machines ({', '.join(different)}) "
                f"and would share the folder {folder!r}: measure one of them again with --machine NAME, or "
                "move its file away"
            )


def _differ(one: Any, other: Any) -> bool:
    """Whether two facts contradict each other; older versions noted of a processor the brand alone."""
    if isinstance(one, str) and isinstance(other, str):
        short, long = sorted((one, other), key=len)
        return short != long and not (re.fullmatch(r" \(\d+(-\d+)*\)", long.removeprefix(short)))
    return one != other


def _write_folder(folder: Path, runs: dict[str, Run]) -> list[Path]:
    found: dict[str, list[Row]] = {}
    if (run := runs.get("inference")) is not None:
        found |= {name: timing_rows(run.rows, name) for name in TIMING}
    if (run := runs.get("mnist_projection")) is not None:
        found |= _experiment_rows(run.rows)
    if learned := [run for kind, run in runs.items() if kind.startswith(LEARNING)]:
        learned.sort(key=lambda run: run.header["started"])
        found |= learning_tables(newest_by_task([run.rows for run in learned]))
    if (run := runs.get("vae")) is not None:
        found |= vae_tables(run.rows, run.header["settings"])
    if (run := runs.get("robustness")) is not None:
        found["robustness"] = robustness_table(run.rows).to_dict("records")
    if (run := runs.get("limits")) is not None:
        found["limits"] = limits_table(run.rows)
    written = []
    for name, rows in found.items():
        if rows:
            written.append(folder / f"{name}.csv")
            write_table(written[-1], rows, TABLES[name])
    written.append(folder / MACHINE)
    write_atomic(written[-1], json.dumps(_machine(runs), indent=1) + "\n")
    return written


def _machine(runs: dict[str, Run]) -> Row:
    """What stands beside the tables: the machine as the timing grid found it, and each table's run."""
    latest = runs.get("inference") or max(runs.values(), key=lambda run: run.header["started"])
    provenance = {kind: _provenance(run) for kind, run in sorted(runs.items())}
    return {"schema": SCHEMA} | latest.header["machine"] | {"runs": provenance}


def _provenance(run: Run) -> Row:
    header = run.header
    return {
        "file": run.path.name,
        "settings": header["settings"],
        "seeds": _seeds(run),
        "command": header["command"],
        "started": header["started"],
        "finished": header["finished"],
        "load": header["load"],
        "threads": header["machine"]["threads"],
        "commit": header["machine"]["commit"],
        "dirty": header["machine"]["dirty"],
    }


def _seeds(run: Run) -> list[int]:
    """Those of the problems, in each row, and that of training, in the settings."""
    settings = run.header["settings"]
    return sorted({row["seed"] for row in [settings, *run.rows] if "seed" in row})


def timing_rows(rows: Sequence[Row], table: str) -> list[Row]:
    """One table row for each raw row of a table, in the order of measurement, with its ratios.

    Of a row that was measured twice (a run that continued one of fewer methods) the later one counts.
    """
    passes: dict[tuple, list[Row]] = {}
    for row in rows:
        if row["table"] == table:
            row = DEFAULTS | row
            passes.setdefault((row["pass"], row["threads"], row["cache"]), []).append(row)
    lines = {_key(row): line for rows in passes.values() for row, line in _pass_rows(rows)}
    return list(lines.values())


def _key(row: Row) -> tuple:
    return tuple(row[name] for name in ("cell", "dtype", "method", "threads", "cache"))


def _pass_rows(rows: list[Row]) -> Iterable[tuple[Row, Row]]:
    timed = {row["method"]: row for row in rows if row["status"] == "ok"}
    best = best_projection(rows)
    for row in rows:
        line = dict.fromkeys(TABLES["inference"].all) | row
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


def _experiment_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    def of(table: str) -> list[Row]:
        return [row for row in rows if row["table"] == table]

    digits = [row | {f"p{i}": value for i, value in enumerate(row["pixels"])} for row in of("digits")]
    networks = [_network_row(row) for row in of("networks")]
    return {"training": of("training"), "networks": networks, "digits": digits}


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


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m bench tables`: of every machine, or of the one that --machine names."""
    parser = argparse.ArgumentParser(prog="python -m bench tables", description="Tables from raw rows.")
    parser.add_argument("--raw", type=Path, default=RESULTS / "raw", help="folder of run files")
    parser.add_argument("--tables", type=Path, default=RESULTS / "tables", help="folder for the tables")
    options = parser.parse_args(argv)
    for path in build_tables(options.raw, options.tables, machine_name() or None):
        print(path)
    return 0
