"""Scaling exponents of time against the batch, n and m, with their standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from .._cells import fewer_projections, plain_maps, where
from .._tables_io import Row
from ..analyses import growth
from ..analyses.growth import SIZES
from ._base import AbstractFigure, method_styles, require_rows
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = 2
"""So many lines of each size are shown, those with the most points; the table has all."""


class Growth(AbstractFigure):
    """A panel a line of cells, a dot a method with a bar of one standard error on either side."""

    name, table = "growth", "inference"
    caption = (
        "Exponents of time as a power of the size, by least squares on logarithms along the longest lines "
        "of cells that differ in one size alone: time of a call against the batch, time a sample against n "
        "and m; bars are standard errors. At small sizes the overhead of a call hides the growth."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each line and method, with the sizes and times that were fitted."""
        lines = growth(fewer_projections(plain_maps(rows)))
        shown = [name for along in SIZES for name in _longest(where(lines, along=along))]
        return [row for row in lines if (row["along"], row["line"], row["dtype"]) in shown]

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom, the same in every panel."""
        lines = self.data(rows)
        require_rows(lines, "on a line of three sizes")
        chosen = {m: s for m, s in method_styles(rows).items() if where(lines, method=m)}
        panels = list(dict.fromkeys((row["along"], row["line"], row["dtype"]) for row in lines))
        figure = Figure(figsize=(1.6 + 2.1 * len(panels), 1.3 + 0.26 * len(chosen)), layout="constrained")
        found = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (along, line, dtype) in zip(found, panels, strict=True):
            _panel(axes, where(lines, along=along, line=line, dtype=dtype), chosen)
            axes.set_title(line.replace(", ", "\n", 1), fontsize=8)
            axes.set_xlabel(f"exponent of {along}")
        figure.suptitle("Growth: time as a power of a size", x=0.01, ha="left", fontsize=10)
        return figure


def _longest(lines: list[Row]) -> list[tuple[str, str, str]]:
    sizes = {(row["along"], row["line"], row["dtype"]): len(row["sizes"]) for row in lines}
    return sorted(sizes, key=lambda name: -sizes[name])[:LINES]


def _panel(axes: Axes, lines: list[Row], chosen: dict[str, Style]) -> None:
    for i, (method, style) in enumerate(chosen.items()):
        for row in where(lines, method=method):
            options = style.options() | {"linestyle": "none", "elinewidth": 1, "capsize": 2}
            axes.errorbar(row["exponent"], i, xerr=row["error"], **options)
    for value in (0, 1):
        axes.axvline(value, color="#555555", linewidth=0.8, zorder=1)
    axes.set_xlim(min(-0.2, axes.get_xlim()[0]), max(1.3, axes.get_xlim()[1]))
    axes.set_yticks(range(len(chosen)), list(chosen))
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.label_outer()
