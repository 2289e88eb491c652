"""One dot a method for every problem: time, set-up time, violation, distance; in the main dtype."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .._cells import fewer_projections, main_batch, main_dtype, ok, plain_maps, where
from .._tables_io import Row
from ._base import (
    AbstractFigure,
    add_legend,
    add_notes,
    columns,
    failure_notes,
    method_styles,
    require_rows,
    unstable_note,
)
from ._marks import DECADES, dots, floor_of, label_floor, problem_bands, problem_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LANE = 0.055
"""Inches of height for each method in a problem's band."""


class PerProblem(AbstractFigure):
    """A number of every method but strict variants for all problems at one batch size and dtype.

    On a logarithmic axis. Other dtypes are in the tables, and in the figure `feasibility`.

    Args:
        name, title, caption: what it is called; the title becomes the axis label.
        value, spread: the columns of the dot and of its bar.
        roles: the roles that are shown.
        floor_below: values that are not positive are drawn at a floor labelled "exact 0", below this
            and below every positive value.
        decorate: what else is drawn on each panel.
        table: the table it is drawn from.
    """

    def __init__(
        self,
        name: str,
        title: str,
        caption: str,
        value: str,
        spread: tuple[str, str] | None = None,
        roles: tuple[str, ...] = ("embedded", "projection", "yardstick"),
        floor_below: float = math.inf,
        decorate: Callable[[Axes], None] | None = None,
        table: str = "inference",
    ) -> None:
        self.name, self.table, self.title, self.caption = name, table, title, caption
        self.value, self.spread, self.roles = value, spread, roles
        self.floor_below, self.decorate = floor_below, decorate

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each method and problem, those without the number included."""
        names = ("problem", "n", "m", "method", "role", "dtype", "batch", "status")
        return columns(self._shown(self._table(rows)), *names, self.value, *(self.spread or ()))

    def draw(self, rows: list[Row]) -> Figure:
        """The problems of the table as bands from top to bottom."""
        table = self._table(rows)
        shown = self._shown(table)
        batch = main_batch(table)
        known = [row for row in ok(shown) if math.isfinite(row[self.value])]
        require_rows(known, f"with {self.value} at batch {batch}")
        problems = problem_order(shown)
        chosen = {name: style for name, style in method_styles(rows).items() if where(known, method=name)}
        height = 1.8 + len(problems) * max(0.3, LANE * len(chosen))
        figure = Figure(figsize=(8, height), layout="constrained")
        axes = figure.subplots()
        floor = floor_of((row[self.value] for row in known), self.floor_below)
        handles = dots(axes, known, chosen, problems, self.value, self.spread, floor)
        self._axis(axes, main_dtype(table), problems, floor)
        add_legend(figure, f"{self.title}, batch {batch}", handles)
        add_notes(figure, failure_notes(shown, table) + (unstable_note(shown) if self.spread else []))
        return figure

    def _table(self, rows: list[Row]) -> list[Row]:
        return [row for row in fewer_projections(plain_maps(rows)) if row["role"] in self.roles]

    def _shown(self, table: list[Row]) -> list[Row]:
        return where(table, batch=main_batch(table), dtype=main_dtype(table))

    def _axis(self, axes: Axes, dtype: str, problems: list[str], floor: float | None) -> None:
        axes.set_xscale("log")
        axes.set_xlabel(f"{self.title}, {dtype}")
        problem_bands(axes, problems)
        if self.decorate:
            self.decorate(axes)
        if floor is not None:
            label_floor(axes, floor)
        else:
            axes.xaxis.set_major_locator(LogLocator(numticks=DECADES))


def mark_eps(axes: Axes) -> None:
    """Vertical lines at the machine epsilon of float32 and float64."""
    for dtype, line in ((np.float32, "--"), (np.float64, ":")):
        eps = float(np.finfo(dtype).eps)
        axes.axvline(eps, color="#555555", linestyle=line, linewidth=1, zorder=1)
        axes.text(
            eps, 1.005, f"eps {np.dtype(dtype).name}", transform=axes.get_xaxis_transform(), fontsize=7,
            ha="center", va="bottom", color="#333333",
        )  # fmt: skip


def mark_one(axes: Axes) -> None:
    """A vertical line at 1."""
    axes.axvline(1.0, color="#555555", linewidth=1, zorder=1)
