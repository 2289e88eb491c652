"""Break-even: after how many samples the set-up of an embedded map has paid for itself.

    setup + N time <= setup' + N time'

for every N from the break-even on, against `osqp` and against the fastest projection of the cell, whose
own set-up counts too. 0: ahead from the first call; infinite: the map takes longer a sample, so that it
never gets ahead for good.
"""

from __future__ import annotations

import math

from .._cells import main_batch, ok, plain_maps, where
from .._tables_io import Row


def break_even(rows: list[Row]) -> list[Row]:
    """A row for each embedded map and cell of the main batch; `after_osqp` and `after_best` are samples."""
    rows = where(ok(plain_maps(rows)), batch=main_batch(rows))
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        cells.setdefault((row["problem"], row["dtype"]), {})[row["method"]] = row
    return [
        _line(row, cells[row["problem"], row["dtype"]])
        for row in where(rows, role="embedded")
        if math.isfinite(row["setup_ms"])
    ]


def _line(row: Row, cell: dict[str, Row]) -> Row:
    names = ("problem", "family", "n", "m", "method", "dtype", "batch", "setup_ms", "us_per_sample")
    return {name: row[name] for name in names} | {
        "after_osqp": samples(row, cell.get("osqp")),
        "best_projection": row["best_projection"],
        "after_best": samples(row, cell.get(row["best_projection"])),
    }


def samples(row: Row, other: Row | None) -> float:
    """The number of samples from which on `row` has taken less time in all than `other`; NaN without one."""
    if other is None or not math.isfinite(other["setup_ms"]):
        return math.nan
    saved = other["us_per_sample"] - row["us_per_sample"]
    if saved <= 0:
        return math.inf
    return float(max(0, math.ceil((row["setup_ms"] - other["setup_ms"]) * 1e3 / saved)))
