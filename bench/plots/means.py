"""Geometric means of the speed-ups over the problems, with the number of problems beside each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from .._cells import main_batch, main_dtype, where
from .._numbers import times
from .._tables_io import Row
from ..analyses import means
from ._base import AbstractFigure, method_styles, require_rows
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"speedup_osqp": "osqp", "speedup_best": "the fastest projection"}
SHOWN = ("embedded", "peer")


class Means(AbstractFigure):
    """A dot a method in two panels: over `osqp`, and over the fastest projection of each cell."""

    name, table = "means", "inference"
    caption = (
        "Geometric means of the speed-ups over the problems that a method answered, how many of them there "
        "are beside each; means over different problems must not be compared with one another."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each map and peer with its means and the problems that are left out of them."""
        mine = where(means(rows), batch=main_batch(rows), dtype=main_dtype(rows))
        return [row for row in mine if row["role"] in SHOWN]

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom in the table's order."""
        lines = [row for row in self.data(rows) if any(math.isfinite(row[ratio]) for ratio in PANELS)]
        require_rows(lines, "with a speed-up")
        chosen = method_styles(rows)
        figure = Figure(figsize=(9, 1.4 + 0.3 * len(lines)), layout="constrained")
        for axes, (ratio, other) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
            _panel(axes, lines, chosen, ratio)
            axes.set_xlabel(f"times faster than {other}")
        figure.suptitle(
            f"Geometric means over the answered problems, batch {lines[0]['batch']}, {lines[0]['dtype']}",
            x=0.01, ha="left", fontsize=10,
        )  # fmt: skip
        return figure


def _panel(axes: Axes, lines: list[Row], chosen: dict[str, Style], ratio: str) -> None:
    for i, row in enumerate(lines):
        value = row[ratio]
        if not math.isfinite(value):
            continue
        axes.plot(value, i, **chosen[row["method"]].options() | {"linestyle": "none", "markersize": 6})
        text = f"{times(value)}x, {row[f'{ratio}_problems']} of {row['problems']}"
        axes.annotate(text, (value, i), (7, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xscale("log")
    known = [row[ratio] for row in lines if math.isfinite(row[ratio])]
    axes.set_xlim(min(known, default=1) / 2, max(known, default=1) * 12)
    axes.axvline(1, color="#000000", linewidth=1)
    axes.axvspan(axes.get_xlim()[0], 1, color="#E8E8E8", zorder=0, linewidth=0)
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(lines)), [row["method"] for row in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
