"""The gate: are the ratios still what they were, is everything still feasible, is nothing missing?

Compared are ratios of one interleaved pass, of the embedded maps and of our own projection to Linear, to the
floor and to OSQP, with those in `results/reference.csv`; absolute times never. A row that looks slower is
measured again, and fails only if the whole 95 % interval of most of its ratios lies beyond the tolerance in
every pass: of one ratio alone the other side may have become faster, as the floor does from process to
process at small sizes. Feasibility, how far points are moved, and missing rows are not a matter of noise
and fail at once; a strict map fails for a single point outside.

The gate runs on one thread (OMP_NUM_THREADS=1, as `make regress` sets it): two threads that wait for
each other turn a busy neighbour into a slowdown of the embedded side alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from constrained.errors import InvalidInputError

from .grid import Cell, Grid, grid
from .measure import measure_cell
from .methods import ALWAYS, METHODS
from .rows import RESULTS, write_atomic
from .suites import methods_at
from .timing import ratio_interval

Row = dict[str, Any]

RATIOS = {"ratio_linear": "linear", "ratio_floor": "floor", "ratio_osqp": "osqp"}
QUALITY = ("violation", "infeasible_share", "distance", "excess")
COLUMNS = ["cell", "method", "threads", "status", *RATIOS, *QUALITY]
OURS = "batched_active_set"
"""The projection that is ours, and so gated for its time as well."""
GATED = {m.name for m in METHODS if m.role == "embedded"} | {*ALWAYS, "daqp", OURS}
PASSES = 3
TOLERANCE = 0.25
SLACK = 4.0
"""Violation and distance depend on rounding: worse means more than this factor and ABSOLUTE."""
ABSOLUTE = 1e-6
SHARE = 0.1
EXCESS = 0.05
"""How much farther points may be moved, as a share; rounding alone changes less."""


@dataclass(frozen=True)
class Finding:
    """A row that got worse, and how."""

    cell: str
    method: str
    text: str

    def __str__(self) -> str:
        return f"{self.cell} {self.method}: {self.text}"


def compare(
    reference: pd.DataFrame, passes: dict[str, list[list[Row]]], tolerance: float = TOLERANCE
) -> list[Finding]:
    """What is worse than the reference in every pass of its cell.

    Args:
        reference: rows of COLUMNS.
        passes: for each cell the passes measured so far, each a list of raw rows.
        tolerance: how much larger a ratio may be, 0.25 for 25 %.
    """
    findings = []
    for expected in reference.to_dict("records"):
        found = [_row(rows, expected["method"]) for rows in passes.get(expected["cell"], [])]
        if not found or any(row is None for row in found):
            findings.append(Finding(expected["cell"], expected["method"], "the row vanished"))
            continue
        texts = [
            _worse(expected, row, rows, tolerance) for row, rows in _zip(found, passes[expected["cell"]])
        ]
        if all(texts):
            findings.append(Finding(expected["cell"], expected["method"], texts[-1]))
    return findings


def _zip(found: list[Row | None], passes: list[list[Row]]) -> list[tuple[Row, list[Row]]]:
    return [(row, rows) for row, rows in zip(found, passes, strict=True) if row is not None]


def _row(rows: list[Row], method: str) -> Row | None:
    return next((row for row in rows if row["method"] == method), None)


def _worse(expected: Row, row: Row, rows: list[Row], tolerance: float) -> str:
    """Everything that is worse about a row, as text; empty if nothing is."""
    if row["status"] != expected["status"]:
        return f"status was {expected['status']}, is {row['status']}: {row['reason']}"
    if row["status"] != "ok":
        return ""
    texts = [_worse_number(name, expected[name], row.get(name)) for name in ("violation", "distance")]
    texts += [_less_feasible(expected["infeasible_share"], row), _farther(expected["excess"], row)]
    if row["role"] == "embedded" or row["method"] == OURS:
        texts += _slower_than_most(expected, row, rows, tolerance)
    return "; ".join(text for text in texts if text)


def _slower_than_most(expected: Row, row: Row, rows: list[Row], tolerance: float) -> list[str]:
    """A row that got slower did so against every yardstick; against one alone, the yardstick got faster."""
    compared = [name for name in RATIOS if not np.isnan(expected[name])]
    texts = [_slower(name, expected[name], row, _row(rows, RATIOS[name]), tolerance) for name in compared]
    slower = [text for text in texts if text]
    return slower if 2 * len(slower) > len(compared) else []


def _worse_number(name: str, was: float, now: float | None) -> str:
    if np.isnan(was) or (now is not None and now <= SLACK * was + ABSOLUTE):
        return ""
    return f"{name} was {was:.2g}, is {'not finite' if now is None else format(now, '.2g')}"


def _less_feasible(was: float, row: Row) -> str:
    if row.get("plain") and row["broken_share"] > 0:
        return f"a strict map breaks an inequality at {row['broken_share']:.2g} of the points"
    share = row.get("infeasible_share")
    if share is None or share <= was + SHARE:
        return ""
    return f"infeasible share was {was:.2g}, is {share:.2g}"


def _farther(was: float, row: Row) -> str:
    now = row.get("excess")
    if np.isnan(was) or (now is not None and now <= was * (1 + EXCESS)):
        return ""
    return f"excess was {was:.4g}, is {'not finite' if now is None else format(now, '.4g')}"


def _slower(name: str, was: float, row: Row, other: Row | None, tolerance: float) -> str:
    if np.isnan(was) or other is None or other["status"] != "ok":
        return ""
    ratio, low, high = ratio_interval(row["seconds"], other["seconds"])
    if low <= was * (1 + tolerance):
        return ""
    return f"{name} was {was:.4g}, is {ratio:.4g} [{low:.4g}, {high:.4g}], over {tolerance:.0%} slower"


def reference_rows(rows: list[Row]) -> list[Row]:
    """Rows of the reference from one pass; a strict variant that was refused has nothing to lose."""
    lines = []
    for row in rows:
        if row["plain"] and row["status"] == "refused":
            continue
        line = {name: row.get(name) for name in COLUMNS} | {"threads": torch.get_num_threads()}
        for name, reference in RATIOS.items():
            other = _row(rows, reference)
            if row["status"] == "ok" and other is not None and other["status"] == "ok":
                line[name] = ratio_interval(row["seconds"], other["seconds"])[0]
        lines.append(line)
    return lines


def read_reference(path: Path) -> pd.DataFrame:
    """The reference table; `InvalidInputError` if it is missing or not whole."""
    try:
        table = pd.read_csv(path, keep_default_na=True)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path}: {error}; write it with: make reference") from error
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise InvalidInputError(
            f"{path} has no column {', '.join(missing)}: it is damaged, or was measured by an older version; "
            "measure it anew with: make reference"
        )
    if table[["cell", "method", "status"]].isna().to_numpy().any():
        raise InvalidInputError(f"{path} is damaged or cut off; measure it anew with: make reference")
    return table


def check_threads(reference: pd.DataFrame) -> None:
    """Raise `InvalidInputError` unless this process has the threads that the reference was made with."""
    made, here = sorted(set(reference["threads"])), torch.get_num_threads()
    if made != [here]:
        wanted = ", ".join(map(str, made))
        raise InvalidInputError(
            f"the reference was measured on {wanted} thread(s), this process has {here}; "
            f"set OMP_NUM_THREADS={wanted}, or use make regress"
        )


def _measure(cells: Sequence[Cell], chosen: Grid, methods: set[str]) -> dict[str, list[Row]]:
    results = {}
    for cell in cells:
        print(f"measuring {cell}", flush=True)
        picked = [m for m in methods_at("inference", cell) if m.name in methods | set(ALWAYS)]
        results[str(cell)] = measure_cell(cell, chosen, torch.device("cpu"), picked)
    return results


def _update(path: Path, chosen: Grid) -> int:
    passes = [_measure(chosen.cells, chosen, GATED) for _ in range(PASSES)]
    frames = [pd.DataFrame(reference_rows(rows), columns=COLUMNS) for one in passes for rows in one.values()]
    table = pd.concat(frames).groupby(["cell", "method", "threads", "status"], sort=False, dropna=False)
    text = table.median(numeric_only=False).reset_index()[COLUMNS].to_csv(index=False, float_format="%.4g")
    write_atomic(path, text)
    print(f"wrote {path}: medians of {PASSES} passes")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m bench regress`: 0 if nothing is worse, 1 with the rows named."""
    parser = argparse.ArgumentParser(prog="python -m bench regress", description=__doc__)
    parser.add_argument("--reference", type=Path, default=RESULTS / "reference.csv")
    parser.add_argument("--update", action="store_true", help="write the reference instead of comparing")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE)
    options = parser.parse_args(argv)
    chosen = grid("short")
    if options.update:
        return _update(options.reference, chosen)
    reference = read_reference(options.reference)
    check_threads(reference)
    return _gate(reference, chosen, options.tolerance)


def _gate(reference: pd.DataFrame, chosen: Grid, tolerance: float) -> int:
    passes: dict[str, list[list[Row]]] = {str(cell): [] for cell in chosen.cells}
    findings: list[Finding] = []
    for attempt in range(PASSES):
        suspects = {finding.cell for finding in findings} or set(passes)
        cells = [cell for cell in chosen.cells if str(cell) in suspects]
        for name, rows in _measure(cells, chosen, set(reference["method"])).items():
            passes[name].append(rows)
        findings = compare(reference, passes, tolerance)
        if not findings:
            print(f"regression gate: {len(reference)} rows, none worse than the reference")
            return 0
        print(f"pass {attempt + 1}: {len(findings)} suspect row(s)")
    for finding in findings:
        print(f"WORSE {finding}")
    print(f"regression gate failed: {len(findings)} of {len(reference)} rows are worse in {PASSES} passes")
    return 1
