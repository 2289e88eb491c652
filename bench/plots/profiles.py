"""Performance profiles: on which share of the problems a method is within a factor of the fastest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from .._cells import distinct, main_batch, where
from .._tables_io import Row
from ..analyses import profiles
from ..analyses.profiles import NEAR, SETS
from ._base import AbstractFigure, add_legend, add_notes, method_styles, require_rows
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES = {"feasible": "any answer", "near": f"answers that move at most {NEAR:g} times as far"}
FARTHEST = 1e4
"""The largest factor that is shown."""


class Profiles(AbstractFigure):
    """Staircases after Dolan and More: all answers to the left, the near ones to the right."""

    name, table = "profiles", "inference"
    caption = (
        "Performance profiles after Dolan and More: the share of the problems on which a method takes at "
        "most so many times the time of the fastest there; the left end is the share on which it is the "
        "fastest, the right end the share that it answers. What failed, timed out or was refused is "
        "unsolved. Left: every answer counts. Right: those alone that move a point at most "
        f"{NEAR:g} times as far as the exact projection, projections included."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each set, method and problem with the ratio to the fastest, inf where unsolved."""
        return profiles(rows)

    def draw(self, rows: list[Row]) -> Figure:
        """A panel for each set of answers."""
        lines = profiles(rows)
        require_rows([row for row in lines if row["ratio"] < math.inf], "that is ok")
        chosen = method_styles(rows)
        figure = Figure(figsize=(9.5, 4.9), layout="constrained")
        handles = []
        for axes, name in zip(figure.subplots(1, len(SETS), sharey=True), SETS, strict=True):
            handles += _panel(axes, where(lines, set=name), chosen)
            axes.set_title(TITLES[name])
        count = len(distinct(lines, "problem"))
        add_legend(figure, f"Performance profiles over {count} problems, batch {main_batch(rows)}", handles)
        add_notes(figure, _notes(lines))
        return figure


def _panel(axes: Axes, lines: list[Row], chosen: dict[str, Style]) -> list:
    handles = []
    for i, method in enumerate(distinct(lines, "method")):
        ratios = sorted(row["ratio"] for row in where(lines, method=method))
        solved = [ratio for ratio in ratios if ratio < math.inf]
        if not solved:
            continue
        x = [1.0, *solved, FARTHEST]
        y = [0.0, *((k + 1) / len(ratios) for k in range(len(solved))), len(solved) / len(ratios)]
        options = chosen[method].options() | {"markevery": (1 + i % 2, max(1, len(x) // 5)), "label": method}
        handles += axes.step(x, y, where="post", **options | {"drawstyle": "steps-post", "markersize": 4})
    axes.set_xscale("log")
    axes.set_xlim(1, FARTHEST)
    axes.set_ylim(-0.02, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time / that of the fastest")
    axes.set_ylabel("share of the problems")
    axes.label_outer()
    return handles


def _notes(lines: list[Row]) -> list[str]:
    unsolved = {
        name: [m for m in distinct(mine, "method") if not _solves(where(mine, method=m))]
        for name in SETS
        if (mine := where(lines, set=name))
    }
    return [
        f"without a line ({TITLES[name]}): {', '.join(names)}" for name, names in unsolved.items() if names
    ]


def _solves(rows: list[Row]) -> bool:
    return any(row["ratio"] < math.inf for row in rows)
