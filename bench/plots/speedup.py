"""Speed-up over projection, along a line of problems that differ in one number only.

Left: over `osqp`, the usual baseline. Right: over the fastest projection that reached 1e-6 in each
cell, named in the note. Bars are 95 % intervals. Below 1, in the shaded part, projection wins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from .._cells import (
    best_projection,
    distinct,
    fewer_projections,
    geometric_mean,
    main_batch,
    main_dtype,
    ok,
    plain_maps,
    sweep,
    where,
)
from .._tables_io import Row
from ._base import (
    AbstractFigure,
    add_legend,
    add_notes,
    columns,
    failure_notes,
    method_styles,
    require_rows,
)
from ._marks import intervals
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEANING = {"n": "dimension n", "m": "number of constraints m"}
ENDS = ("", "_low", "_high")


class Speedup(AbstractFigure):
    """Speed-up against `along` ("n" or "m") while `fixed` (the other) stays.

    The family and the fixed value are those with the longest line in the table.
    """

    table = "inference"

    def __init__(self, name: str, along: str, fixed: str) -> None:
        self.name, self.along, self.fixed = name, along, fixed
        self.caption = (
            f"How many times faster than projection, against the {MEANING[along]}: over `osqp` (left) "
            "and over the fastest projection that reached 1e-6 (right)."
        )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each method and problem of the line, those without a time included."""
        ratios = [ratio + end for ratio in ("speedup_osqp", "speedup_best") for end in ENDS]
        names = ("problem", "family", "n", "m", "method", "role", "dtype", "batch", "status")
        return columns(self._line(rows), *names, "best_projection", *ratios)

    def draw(self, rows: list[Row]) -> Figure:
        """Two panels with a shared legend, strict variants aside."""
        line = self._line(rows)
        rows = fewer_projections(plain_maps(rows))
        batch, dtype = main_batch(rows), main_dtype(rows)
        require_rows(ok(line), f"that is ok at batch {batch} in {dtype}")
        chosen = method_styles(rows)
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        others = [row for row in line if row["method"] != "osqp"]
        maps = [row for row in line if row["role"] != "projection"]
        handles = self._panel(left, others, chosen, "speedup_osqp", "OSQP")
        handles += self._panel(right, maps, chosen, "speedup_best", "the projection")
        for axes in (left, right):
            self._axis(axes, distinct(line, self.along))
        left.set_ylabel("times faster than osqp")
        right.set_ylabel("times faster than the fastest projection")
        where_ = f"{line[0]['family']}, {self.fixed} = {line[0][self.fixed]}, batch {batch}, {dtype}"
        add_legend(figure, f"Speed-up against the {MEANING[self.along]} ({where_})", handles)
        add_notes(figure, self._winners(line) + failure_notes(line, rows))
        return figure

    def _line(self, rows: list[Row]) -> list[Row]:
        rows = fewer_projections(plain_maps(rows))
        return sweep(where(rows, batch=main_batch(rows), dtype=main_dtype(rows)), self.along, self.fixed)

    def _panel(self, axes: Axes, line: list[Row], chosen: dict[str, Style], column: str, other: str) -> list:
        handles, lowest, highest = [], 1.0, 1.0
        for method in distinct(line, "method"):
            mine = [row for row in ok(where(line, method=method)) if math.isfinite(row[column])]
            sizes = distinct(mine, self.along)
            if not sizes:
                continue
            cells = [where(mine, **{self.along: size}) for size in sizes]
            middle, low, high = (
                [geometric_mean(row[column + end] for row in cell) for cell in cells] for end in ENDS
            )
            bars = intervals(middle, low, high)
            options = chosen[method].options() | {"label": method}
            handles.append(axes.errorbar(sizes, middle, yerr=bars, elinewidth=0.9, capsize=2, **options))
            ends = [value for value in (*middle, *low, *high) if 0 < value < math.inf]
            lowest, highest = min(lowest, *ends), max(highest, *ends)
        axes.set_yscale("log")
        axes.set_ylim(min(0.25, lowest / 2), max(4.0, highest * 2))
        _mark_one(axes, other)
        return handles

    def _winners(self, line: list[Row]) -> list[str]:
        """Which projection is the fastest at which sizes."""
        sizes: dict[str, list[str]] = {}
        for size in distinct(line, self.along):
            name = best_projection(where(line, **{self.along: size})) or "none reached 1e-6"
            sizes.setdefault(name, []).append(str(size))
        named = [f"{name} at {self.along} = {', '.join(values)}" for name, values in sizes.items()]
        return [f"fastest projection: {'; '.join(named)}"]

    def _axis(self, axes: Axes, sizes: list[int]) -> None:
        """Ticks at the measured sizes."""
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlabel(MEANING[self.along])
        axes.margins(x=0.08)


def _mark_one(axes: Axes, other: str) -> None:
    """The line at 1 and the side of it where the other one is faster."""
    bottom = axes.get_ylim()[0]
    axes.axhspan(bottom, 1, color="#E8E8E8", zorder=0, linewidth=0)
    axes.axhline(1, color="#000000", linewidth=1)
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.text(
        0.99, 0.02, f"below 1: {other} is faster", transform=axes.transAxes, ha="right", fontsize=8,
        color="#333333",
    )  # fmt: skip
