"""Test loss that each method reached on each task, with intervals over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from .._cells import distinct, ok, where
from .._tables_io import Row
from ..experiments.learning.methods import REFERENCE
from ._base import AbstractFigure, columns, require_rows
from ._style import Style
from ._tasks import compared, task_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 4.0
"""A value farther from the reference than this many times the nearer half of them is drawn at the edge."""


class Learned(AbstractFigure):
    """A panel a task, a line a method."""

    name, table = "learned", "learned"
    caption = (
        "Test loss of the feasible output after training, mean of the seeds, 95 % interval; the dashed "
        "line is the unconstrained network projected at test time, the gray one the least loss of any "
        "feasible output where it is known. An arrow: farther than the panel shows."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each task and method."""
        names = ("task", "method", "role", "test_loss", "test_loss_low", "test_loss_high", "optimum_test")
        return columns(ok(compared(rows)), *names)

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom in the table's order."""
        known = [row for row in ok(compared(rows)) if math.isfinite(row["test_loss"])]
        require_rows(known, "with a test loss")
        chosen, tasks = task_styles(rows), distinct(known, "task")
        heights = [len(where(known, task=task)) + 2 for task in tasks]
        figure = Figure(figsize=(8, 0.26 * sum(heights)), layout="constrained")
        panels = figure.subplots(len(tasks), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, task in zip(panels, tasks, strict=True):
            mine = where(known, task=task)
            _panel(axes, mine, chosen)
            axes.set_title(task, loc="left")
        panels[-1].set_xlabel("test loss of the feasible output")
        return figure


def _panel(axes: Axes, rows: list[Row], chosen: dict[str, Style]) -> None:
    left, right = _limits(rows)
    for i, row in enumerate(rows):
        style, value = chosen[row["method"]], row["test_loss"]
        if value > right:
            axes.annotate("→", (right, i), ha="right", va="center", color=style.colour)
            continue
        ends = row["test_loss_low"], row["test_loss_high"]
        if all(math.isfinite(end) for end in ends):
            axes.plot(ends, (i, i), color=style.colour, linewidth=1.5, solid_capstyle="butt")
        options: dict[str, Any] = style.options() | {"linestyle": "none"}
        axes.plot(value, i, **options)
        if row["method"] == REFERENCE:
            axes.axvline(value, color="#000000", linewidth=0.9, linestyle="--", zorder=0)
    optimum = rows[0]["optimum_test"]
    if math.isfinite(optimum):
        axes.axvline(optimum, color="#999999", linewidth=2, zorder=0)
    axes.set_xlim(left, right)
    axes.set_yticks(range(len(rows)), [row["method"] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _limits(rows: list[Row]) -> tuple[float, float]:
    """Wide enough for the better half of the methods and what is not much worse."""
    values = sorted(row["test_loss"] for row in rows)
    least = min([values[0], *(row["optimum_test"] for row in rows if math.isfinite(row["optimum_test"]))])
    middle = values[(len(values) - 1) // 2]
    span = WIDEST * max(middle - least, 1e-3 * abs(middle), 1e-12)
    highest = min(values[-1], least + span)
    margin = 0.06 * max(highest - least, 1e-12)
    return least - margin, highest + margin
