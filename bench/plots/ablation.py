"""What each change to the published layer does to the loss it reaches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from .._cells import distinct, ok, where
from .._tables_io import Row
from ._base import AbstractFigure, columns, require_rows
from ._tasks import excess_of, loss_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANCHORS = {
    "paper_layer": "the layer as published",
    "improved_layer": "LayerNorm, one coefficient a line, softplus",
    "half_spaces": "half_spaces, inward gradient",
    "gauge": "gauge, inward gradient",
    "knapsack": "knapsack, inward gradient",
    "test_time_projection": "projection at test time",
}
"""What is compared beside the variants, and how it is called here."""


class Ablation(AbstractFigure):
    """A panel a task, a line a variant, between the published layer and projection at test time."""

    name, table = "ablation", "learned"
    caption = (
        "Validation loss of variants of the published layer above the least feasible one, mean of the seeds "
        "with its 95 % interval, each at its best learning rate."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each task and variant."""
        names = ("task", "method", "changes", "val_loss", "val_loss_low", "val_loss_high", "optimum_val")
        return columns(_shown(rows), *names)

    def draw(self, rows: list[Row]) -> Figure:
        """Variants from top to bottom in the table's order."""
        shown = _shown(rows)
        require_rows(shown, "of a variant")
        tasks = distinct(shown, "task")
        most = max(len(where(shown, task=task)) for task in tasks)
        figure = Figure(figsize=(11, 1 + 0.27 * most), layout="constrained")
        for axes, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
            mine = where(shown, task=task)
            _panel(axes, mine)
            axes.set_title(task, loc="left")
            axes.set_xlabel(f"validation {loss_label(mine, 'optimum_val')}")
        return figure


def _shown(rows: list[Row]) -> list[Row]:
    """Variants and anchors of the tasks that have variants."""
    measured = [row for row in ok(rows) if math.isfinite(row["val_loss"])]
    tasks = {row["task"] for row in measured if row["changes"]}
    return [row for row in measured if row["task"] in tasks and (row["changes"] or row["method"] in ANCHORS)]


def _panel(axes: Axes, rows: list[Row]) -> None:
    for i, row in enumerate(rows):
        colour = "#000000" if row["method"] in ANCHORS else "#0072B2"
        value, low, high = (excess_of(row, f"val_loss{end}", "optimum_val") for end in ("", "_low", "_high"))
        axes.plot(value, i, color=colour, marker="o", linestyle="none")
        if math.isfinite(low):
            axes.plot((max(low, 0.3 * value), high), (i, i), color=colour, linewidth=1.5)
    labels = [row["changes"] or ANCHORS[row["method"]] for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.tick_params(axis="y", length=0)
