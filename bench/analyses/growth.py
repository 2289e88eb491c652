"""Scaling exponents: time as a power of the batch, of n and of m.

    log time = exponent log size + constant, by least squares

along every line of cells that differ in the one size only and has at least three points: seconds of a
call against the batch, seconds a sample against n or m.
"""

from __future__ import annotations

import math

import numpy as np

from .._cells import distinct, ok, plain_maps, where
from .._tables_io import Row

SIZES = {"batch": ("problem",), "n": ("family", "m", "batch"), "m": ("family", "n", "batch")}
"""What grows, and what stays on a line besides method and dtype."""
POINTS = 3


def growth(rows: list[Row]) -> list[Row]:
    """A row for each line and method: `exponent`, its standard `error`, `r2`, the `sizes` that were used."""
    rows = ok(plain_maps(rows))
    return [line for along, fixed in SIZES.items() for line in _lines(rows, along, (*fixed, "dtype"))]


def _lines(rows: list[Row], along: str, fixed: tuple[str, ...]) -> list[Row]:
    found = []
    for values in dict.fromkeys(tuple(row[name] for name in fixed) for row in rows):
        place = dict(zip(fixed, values, strict=True))
        line = where(rows, **place)
        for method in distinct(line, "method"):
            mine = sorted(where(line, method=method), key=lambda row: row[along])
            if len(distinct(mine, along)) >= POINTS:
                start = {"along": along, "line": _named(place), "dtype": place["dtype"], "method": method}
                found.append(start | {"role": mine[0]["role"]} | _fit(mine, along))
    return found


def _named(place: Row) -> str:
    start = [place[name] for name in ("problem", "family") if name in place]
    return ", ".join(start + [f"{name} = {place[name]}" for name in ("n", "m", "batch") if name in place])


def _fit(rows: list[Row], along: str) -> Row:
    """Least squares on logarithms; the standard error is that of the residuals, k - 2 degrees of freedom."""
    sizes = [row[along] for row in rows]
    times = [row["us_per_sample"] * (row["batch"] if along == "batch" else 1) for row in rows]
    x, y = np.log(sizes), np.log(times)
    x, y = x - x.mean(), y - y.mean()
    exponent = float(x @ y / (x @ x))
    residual, total = float(np.sum((y - exponent * x) ** 2)), float(y @ y)
    error = math.sqrt(residual / (len(x) - 2) / float(x @ x))
    r2 = 1 - residual / total if total > 0 else math.nan
    return {"exponent": exponent, "error": error, "r2": r2, "sizes": sizes, "times": times}
