"""What a map adds to the inference of a whole network in a CUDA graph, by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from .._cells import distinct, ok, where
from .._tables_io import Row
from ._base import AbstractFigure, add_legend, columns, require_rows
from ._marks import intervals
from ._style import Style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ENDS = ("", "_low", "_high")
LINES = {0.0: "-", 1.0: "--"}
"""Plain and strict."""


class NetworkGraphs(AbstractFigure):
    """A panel for each network."""

    name, table = "network_graphs", "limits"
    caption = (
        "Inference of a network with a map behind it in a CUDA graph, over that of the same network without "
        "one, by batch; dashed: strict. Bars are 95 % intervals."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each network, map and batch."""
        ratios = [f"ratio_unconstrained{end}" for end in ENDS]
        return columns(_shown(rows), "hidden", "map", "strict", "n", "m", "batch", "seconds", *ratios)

    def draw(self, rows: list[Row]) -> Figure:
        """Maps have the same colours in every panel."""
        shown = _shown(rows)
        require_rows(shown, "of a network with a map")
        networks, chosen = distinct(shown, "hidden"), styles(distinct(shown, "map"))
        figure = Figure(figsize=(1.2 + 3.6 * len(networks), 3.6), layout="constrained")
        handles = []
        for axes, hidden in zip(figure.subplots(1, len(networks), squeeze=False)[0], networks, strict=True):
            mine = where(shown, hidden=hidden)
            handles += _panel(axes, mine, chosen)
            axes.set_title(f"{mine[0]['n']} features, hidden layers {hidden}", loc="left")
            axes.set_ylabel("time / time without a map")
        add_legend(figure, f"Networks in a CUDA graph on {shown[0]['device']}", handles)
        return figure


def _shown(rows: list[Row]) -> list[Row]:
    networks = where(ok(rows), what="network")
    return [row for row in networks if row["map"] != "unconstrained" and row["ratio_unconstrained"] > 0]


def _panel(axes: Axes, rows: list[Row], chosen: dict[str, Style]) -> list:
    handles = []
    batches = sorted(distinct(rows, "batch"))
    for method, style in chosen.items():
        for strict, line in LINES.items():
            mine = sorted(where(rows, map=method, strict=strict), key=lambda row: row["batch"])
            middle, low, high = ([row[f"ratio_unconstrained{end}"] for row in mine] for end in ENDS)
            options = style.options() | {"linestyle": line, "elinewidth": 0.9, "capsize": 2}
            options |= {"markerfacecolor": "#FFFFFF" if strict else style.colour, "label": method}
            bars = intervals(middle, low, high)
            drawn = axes.errorbar([row["batch"] for row in mine], middle, yerr=bars, **options)
            handles += [] if strict else [drawn]  # one of each colour
    axes.axhline(1, color="#000000", linewidth=0.9, zorder=1)
    axes.set_xscale("log", base=4)
    axes.xaxis.set_major_locator(FixedLocator(batches))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(batches, [f"{batch:g}" for batch in batches])
    axes.set_xlabel("batch")
    return handles
