"""Geometric means of the ratios over the problems, and over which problems each mean is."""

from __future__ import annotations

import math

from .._cells import distinct, geometric_mean, ok, plain_maps, where
from .._tables_io import Row

RATIOS = ("speedup_osqp", "speedup_best", "ratio_linear", "ratio_floor")


def means(rows: list[Row]) -> list[Row]:
    """A row for each method, dtype and batch: the mean of each ratio and what it is over.

    `<ratio>_problems` counts the problems in the mean; `answered` those with a time of the `problems`
    that the method was run on; `left_out` names the problems of that batch and dtype without a time.
    """
    cells = {(row["method"], row["dtype"], row["batch"]): None for row in plain_maps(rows)}
    return [_mean(rows, *cell) for cell in cells]


def _mean(rows: list[Row], method: str, dtype: str, batch: int) -> Row:
    everywhere = distinct(where(rows, dtype=dtype, batch=batch), "problem")
    mine = where(rows, method=method, dtype=dtype, batch=batch)
    answered = ok(mine)
    line: Row = {"method": method, "role": mine[0]["role"], "dtype": dtype, "batch": batch}
    line |= {"answered": len(answered), "problems": len(everywhere)}
    line["left_out"] = [name for name in everywhere if name not in distinct(answered, "problem")]
    for ratio in RATIOS:
        known = [row[ratio] for row in answered if 0 < row[ratio] < math.inf]
        line |= {ratio: geometric_mean(known), f"{ratio}_problems": len(known)}
    return line
