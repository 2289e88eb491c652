"""Time against nearness: which methods are not beaten in both at once.

Nearness is the excess: how far a method moves a point, as a multiple of the distance to the exact
projection (median), 1 for projections. A method is non-dominated if no other of the cell is at least as
fast and as near and better in one of the two.
"""

from __future__ import annotations

import math

from .._cells import distinct, main_batch, main_dtype, ok, plain_maps, where
from .._tables_io import Row

FEASIBLE = 1e-3
"""A method that breaks a constraint by more than this in a cell is not placed there."""
DIGITS = 3
"""Excesses that agree to so many decimals count as equal: the rest is rounding and solver tolerance."""


def pareto(rows: list[Row]) -> list[Row]:
    """A row for each method with a time, by problem: `us_per_sample`, `excess`, `violation`, `front`.

    `front` is 1.0 on the front, 0.0 off it, NaN where the excess is unknown (a method that takes no point
    to project) or the answer is infeasible. Yardsticks are left out.
    """
    batch = main_batch(rows)
    shown = where(ok(plain_maps(rows)), batch=batch, dtype=main_dtype(where(rows, batch=batch)))
    shown = [row for row in shown if row["role"] != "yardstick"]
    return [line for problem in main_problems(shown) for line in _cell(where(shown, problem=problem))]


def main_problems(rows: list[Row]) -> list[str]:
    """The problems on which other papers' layers were measured; all of them if that is nowhere."""
    return distinct(where(rows, role="peer"), "problem") or distinct(rows, "problem")


def _cell(cell: list[Row]) -> list[Row]:
    names = ("problem", "method", "role", "batch", "dtype", "us_per_sample", "excess", "violation")
    placed = [row for row in cell if math.isfinite(row["excess"]) and row["violation"] <= FEASIBLE]
    lines = []
    for row in sorted(cell, key=lambda row: row["us_per_sample"]):
        front = float(not any(_dominates(other, row) for other in placed)) if row in placed else math.nan
        lines.append({name: row[name] for name in names} | {"front": front})
    return lines


def _dominates(other: Row, row: Row) -> bool:
    a, b = _place(other), _place(row)
    return a != b and a[0] <= b[0] and a[1] <= b[1]


def _place(row: Row) -> tuple[float, float]:
    return row["us_per_sample"], round(row["excess"], DIGITS)
