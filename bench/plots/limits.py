"""How near the maps come to a copy, and to a product, by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from .._cells import distinct, ok, where
from .._tables_io import Row
from ._base import AbstractFigure, add_legend, columns, require_rows
from ._style import Style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PATHS = {"fused": "-", "plain": ":"}
SHARES = {"share_of_copy": "of a copy's bandwidth", "share_of_own_product": "of its own product's rate"}


class Limits(AbstractFigure):
    """A column of panels a size; a row a dtype for the copy, the last one for the product."""

    name, table = "limits", "limits"
    caption = (
        "Bytes a second of the maps, each point read once and each value written once, as a share of a "
        "copy's in the same run, by batch; in the last row the time of the float32 product of the same "
        "points and rows, as often as the map makes it, as a share of the map's. In a CUDA graph, on a "
        "warm cache; solid: the fused kernel, dotted: the plain path. Where the cache holds the points, "
        "a map can outrun a copy that is larger than it."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each map, path, size, batch and dtype."""
        names = ("map", "path", "n", "m", "batch", "dtype", "seconds", *SHARES)
        return columns(_shown(rows), *names)

    def draw(self, rows: list[Row]) -> Figure:
        """Maps have the same colours in every panel; strict ones are in the table."""
        shown = _shown(rows)
        require_rows(shown, "of a map in a CUDA graph")
        sizes, dtypes = list(dict.fromkeys((row["n"], row["m"]) for row in shown)), distinct(shown, "dtype")
        lines = [(dtype, "share_of_copy") for dtype in dtypes] + [(dtypes[0], "share_of_own_product")]
        chosen, batches = styles(distinct(shown, "map")), sorted(distinct(shown, "batch"))
        figure = Figure(figsize=(1.2 + 2.2 * len(sizes), 1.1 + 1.9 * len(lines)), layout="constrained")
        panels = figure.subplots(len(lines), len(sizes), squeeze=False, sharex=True, sharey="row")
        for axes_of_line, (dtype, column) in zip(panels, lines, strict=True):
            for axes, (n, m) in zip(axes_of_line, sizes, strict=True):
                _panel(axes, where(shown, n=n, m=m, dtype=dtype), chosen, column)
                axes.xaxis.set_major_locator(FixedLocator(batches))
                axes.set_xticks(batches, [f"{batch:g}" for batch in batches], fontsize=7)
                axes.xaxis.set_minor_locator(NullLocator())
                axes.set_title(f"{n}x{m}, {dtype}", fontsize=8)
            axes_of_line[0].set_ylabel(SHARES[column], fontsize=8)
        for axes in panels[-1]:
            axes.set_xlabel("batch")
        add_legend(figure, f"The maps and the limits of {shown[0]['device']}", _handles(chosen))
        return figure


def _shown(rows: list[Row]) -> list[Row]:
    warm = where(ok(rows), what="map", launch="graph", l2="warm", strict=0.0)
    return [row for row in warm if row["path"] in PATHS]


def _panel(axes: Axes, rows: list[Row], chosen: dict[str, Style], column: str) -> None:
    for method, style in chosen.items():
        for path, line in PATHS.items():
            mine = sorted(where(rows, map=method, path=path), key=lambda row: row["batch"])
            options = style.options() | {"linestyle": line, "markersize": 4}
            if path == "plain":
                options |= {"markerfacecolor": "#FFFFFF"}
            axes.plot([row["batch"] for row in mine], [row[column] for row in mine], **options)
    axes.axhline(1, color="#000000", linewidth=0.9, zorder=1)
    axes.set_xscale("log", base=4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _handles(chosen: dict[str, Style]) -> list[Line2D]:
    looks: dict[str, dict[str, Any]] = {
        name: style.options() | {"linestyle": "-"} for name, style in chosen.items()
    }
    looks |= {path: {"color": "#333333", "linestyle": line} for path, line in PATHS.items()}
    return [Line2D([], [], label=name, **options) for name, options in looks.items()]
