"""Validation loss of every method on every task, against epochs and against seconds, over seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from .._cells import distinct, where
from .._tables_io import Row
from ._base import AbstractFigure, add_legend, columns, require_rows
from ._style import Style
from ._tasks import compared, excess_of, loss_label, task_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 6
"""About this many markers along a curve."""


class LearningCurves(AbstractFigure):
    """Two panels a task; a band is the interval over seeds."""

    name, table = "learning_curves", "learning"
    caption = (
        "Validation loss of the feasible output while training, mean of the seeds, 95 % interval, each "
        "method at its best learning rate: against epochs (left) and seconds of training (right). What is "
        "not feasible by itself is projected before its loss is taken."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each task, method and epoch."""
        names = ("task", "method", "role", "epoch", "seconds", "val_loss", "val_loss_low", "val_loss_high")
        return columns(compared(rows), *names, "optimum_val")

    def draw(self, rows: list[Row]) -> Figure:
        """Epoch 0 is left out: it is before training."""
        chosen = task_styles(rows)
        known = [row for row in compared(rows) if row["epoch"] > 0 and math.isfinite(row["val_loss"])]
        require_rows(known, "after a first epoch")
        tasks = distinct(known, "task")
        figure = Figure(figsize=(9.5, 0.9 + 2.5 * len(tasks)), layout="constrained")
        panels = figure.subplots(len(tasks), 2, sharey="row", squeeze=False)
        handles = []
        for (left, right), task in zip(panels, tasks, strict=True):
            mine = where(known, task=task)
            handles += _curves(left, mine, chosen, "epoch")
            _curves(right, mine, chosen, "seconds")
            left.set_title(task, loc="left")
            left.set_ylabel(f"validation {loss_label(mine, 'optimum_val')}")
            left.set_yscale("log")
            right.set_xscale("log")
            right.xaxis.set_minor_formatter(NullFormatter())
        panels[-1][0].set_xlabel("epoch")
        panels[-1][1].set_xlabel("seconds of training")
        add_legend(figure, "Learning curves", handles)
        return figure


def _curves(axes: Axes, rows: list[Row], chosen: dict[str, Style], against: str) -> list:
    handles = []
    for i, (name, style) in enumerate(chosen.items()):
        mine = sorted(where(rows, method=name), key=lambda row: row["epoch"])
        if not mine:
            continue
        step = max(1, len(mine) // MARKS)
        x = [row[against] for row in mine]
        middle, low, high = (
            [excess_of(row, f"val_loss{end}", "optimum_val") for row in mine] for end in ("", "_low", "_high")
        )
        options = style.options() | {"markevery": (i % step, step), "label": name, "markersize": 4}
        handles += axes.plot(x, middle, **options)
        if all(math.isfinite(v) for v in low):
            floor = [max(value, 0.3 * centre) for value, centre in zip(low, middle, strict=True)]
            axes.fill_between(x, floor, high, color=style.colour, alpha=0.15, linewidth=0)
    return handles
