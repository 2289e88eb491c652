"""Time against nearness on the main problems, with the methods that no other beats in both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .._cells import distinct, fewer_projections, where
from .._tables_io import Row
from ..analyses import pareto
from ..analyses.pareto import FEASIBLE
from ._base import AbstractFigure, add_legend, add_notes, method_styles, require_rows
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
RING: dict[str, Any] = {
    "marker": "o", "markersize": 10, "markerfacecolor": "none", "markeredgecolor": "#000000",
}  # fmt: skip
LIMIT = 1.15
"""The lowest upper end of the nearness axis, so that rounding is not spread over a whole panel."""


class Pareto(AbstractFigure):
    """A panel a problem: time a sample to the right, distance moved upwards, the front as a staircase."""

    name, table = "pareto", "inference"
    caption = (
        "Time a sample against the distance moved, as a multiple of that to the exact projection; left and "
        "low is best. Ringed and joined by the staircase: no method is both faster and nearer. What takes "
        "no point to project has no place here."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each method with a time; `front` is 1 on the front, empty where there is no place."""
        lines = pareto(rows)
        kept = distinct(fewer_projections(rows), "method")
        return [row for row in lines if row["role"] != "projection" or row["method"] in kept]

    def draw(self, rows: list[Row]) -> Figure:
        """Panels in rows of three, with a shared legend."""
        lines = self.data(rows)
        placed = [row for row in lines if math.isfinite(row["front"])]
        require_rows(placed, "with a time and an excess")
        problems = distinct(placed, "problem")
        chosen = {m: s for m, s in method_styles(rows).items() if where(placed, method=m)}
        across = min(COLUMNS, len(problems))
        down = math.ceil(len(problems) / across)
        figure = Figure(figsize=(1.0 + 2.9 * across, 1.9 + 2.5 * down), layout="constrained")
        panels = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, problem in zip(panels, problems, strict=False):
            _panel(axes, where(placed, problem=problem), chosen, problem)
        for axes in panels[len(problems) :]:
            axes.set_visible(False)
        figure.supylabel("distance moved / that of the exact projection", fontsize=9)
        ring = Line2D([], [], label="not beaten in both", color="#555555", linewidth=0.8, **RING)
        handles = [Line2D([], [], **_mark(style), label=method) for method, style in chosen.items()]
        batch, dtype = lines[0]["batch"], lines[0]["dtype"]
        add_legend(figure, f"Time a sample against nearness, batch {batch}, {dtype}", [ring, *handles])
        add_notes(figure, _notes(lines))
        return figure


def _panel(axes: Axes, rows: list[Row], chosen: dict[str, Style], problem: str) -> None:
    front = sorted(where(rows, front=1.0), key=lambda row: row["us_per_sample"])
    x, y = [row["us_per_sample"] for row in front], [row["excess"] for row in front]
    right = max(row["us_per_sample"] for row in rows)
    axes.step([*x, right], [*y, y[-1]], where="post", color="#555555", linewidth=0.8, zorder=1)
    axes.plot(x, y, linestyle="none", markeredgewidth=0.8, **RING)
    for row in rows:
        axes.plot(row["us_per_sample"], row["excess"], **_mark(chosen[row["method"]]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    highest = max(LIMIT, *(row["excess"] for row in rows))
    axes.set_ylim(highest**-0.08, highest**1.12)
    axes.set_title(problem)
    axes.set_xlabel("time a sample (µs)")


def _mark(style: Style) -> dict[str, Any]:
    return style.options() | {"linestyle": "none", "markersize": 5}


def _notes(lines: list[Row]) -> list[str]:
    unknown = [row for row in lines if not math.isfinite(row["excess"])]
    broken = [row for row in lines if math.isfinite(row["excess"]) and not math.isfinite(row["front"])]
    notes = []
    if unknown:
        names = ", ".join(distinct(unknown, "method"))
        notes.append(f"no point to project or no finite answer, so no distance: {names}")
    if broken:
        named = ", ".join(f"{row['method']} at {row['problem']}" for row in broken)
        notes.append(f"not placed, since a row is broken by more than {FEASIBLE:g}: {named}")
    return notes
