"""Validation error of the networks while they train, against epochs and against seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from .._cells import distinct, where
from .._tables_io import Row
from ._base import AbstractFigure, add_legend, add_notes, columns, require_rows
from ._style import Style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = 8
"""About this many markers along a curve."""


class TrainingCurves(AbstractFigure):
    """One curve a network in two panels, with the error of the true projection as a line."""

    name, table = "training", "training"
    caption = (
        "Validation error of each network against epochs (left) and seconds of training (right); the line "
        "is the error of the true projection, which no feasible output can beat on the same targets."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each network and epoch."""
        return columns(rows, "network", "epoch", "seconds", "val_mse", "optimum_val_mse", "box_scaling")

    def draw(self, rows: list[Row]) -> Figure:
        """Both panels share the error axis."""
        known = [row for row in rows if row["val_mse"] > 0]
        require_rows(known, "with a positive val_mse")
        chosen = styles(distinct(rows, "network"))
        figure = Figure(figsize=(9, 3.9), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        handles = _curves(left, known, chosen, "epoch")
        _curves(right, [row for row in known if row["seconds"] > 0], chosen, "seconds")
        for axes in (left, right):
            handles += _optimum(axes, known)
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
        right.set_xscale("log")
        left.set_xlabel("epoch")
        right.set_xlabel("seconds of training")
        left.set_ylabel("validation MSE")
        add_legend(figure, "Validation error while training", handles)
        silent = [name for name in chosen if not where(known, network=name)]
        add_notes(figure, [f"{name}: no validation error in the table" for name in silent] + _box_notes(rows))
        return figure


def _curves(axes: Axes, rows: list[Row], chosen: dict[str, Style], against: str) -> list:
    handles = []
    for i, (name, style) in enumerate(chosen.items()):
        mine = sorted(where(rows, network=name), key=lambda row: row["epoch"])
        step = max(1, len(mine) // MARKS)
        x, y = [row[against] for row in mine], [row["val_mse"] for row in mine]
        if mine:
            options = style.options() | {"markevery": (i % step, step), "label": name}
            handles += axes.plot(x, y, **options)
    return handles


def _optimum(axes: Axes, rows: list[Row]) -> list:
    """The known optimum; one line for each different value."""
    values = dict.fromkeys(row["optimum_val_mse"] for row in rows if math.isfinite(row["optimum_val_mse"]))
    return [
        axes.axhline(value, color="#777777", linewidth=2.5, zorder=1, label="optimum: the true projection")
        for value in values
    ]


def _box_notes(rows: list[Row]) -> list[str]:
    """When the scaling into the box was switched on, where it was."""
    on = {}
    for row in rows:
        if row["box_scaling"] == 1:
            on[row["network"]] = min(row["epoch"], on.get(row["network"], row["epoch"]))
    return [
        f"scaled into the box from epoch {epoch}: {', '.join(name for name in on if on[name] == epoch)}"
        for epoch in sorted(set(on.values()))
    ]
