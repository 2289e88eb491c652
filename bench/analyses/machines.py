"""The same cells on several machines: ratios side by side, since absolute times do not carry over."""

from __future__ import annotations

import math

from .._cells import geometric_mean, ok, plain_maps, where
from .._tables_io import Row, Tables

RATIOS = ("speedup_osqp", "speedup_best")
KEY = ("method", "problem", "batch", "dtype")


def comparison(machines: list[Tables]) -> list[Row]:
    """A row for each embedded map and cell that every machine answered; `<ratio>` has a value a machine.

    Empty with fewer than two machines that have an inference table.
    """
    known = {tables.device: _maps(tables.find("inference")) for tables in machines}
    known = {device: rows for device, rows in known.items() if rows}
    if len(known) < 2:
        return []
    common = [key for key in next(iter(known.values())) if all(key in rows for rows in known.values())]
    return [_line(key, {device: rows[key] for device, rows in known.items()}) for key in common]


def over_problems(lines: list[Row]) -> list[Row]:
    """The geometric means of `comparison` over the common problems, a row for each map, batch and dtype."""
    found = []
    for method, batch, dtype in dict.fromkeys((row["method"], row["batch"], row["dtype"]) for row in lines):
        mine = where(lines, method=method, batch=batch, dtype=dtype)
        found.append(
            {"method": method, "batch": batch, "dtype": dtype, "problems": len(mine)}
            | {
                ratio: {name: geometric_mean(row[ratio][name] for row in mine) for name in mine[0][ratio]}
                for ratio in RATIOS
            }
        )
    return found


def _maps(rows: list[Row]) -> dict[tuple, Row]:
    """The answered rows of plain maps by what is the same on every machine."""
    mine = where(ok(plain_maps(rows)), role="embedded")
    return {
        tuple(row[name] for name in KEY): row
        for row in mine
        if all(math.isfinite(row[ratio]) for ratio in RATIOS)
    }


def _line(key: tuple, rows: dict[str, Row]) -> Row:
    ratios = {ratio: {device: row[ratio] for device, row in rows.items()} for ratio in RATIOS}
    return dict(zip(KEY, key, strict=True)) | ratios
