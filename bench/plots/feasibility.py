"""The largest violation of every map by dtype, plain and strict, in units of the machine epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from .._cells import distinct, fewer_projections, where
from .._tables_io import Row
from ..analyses import feasibility
from ..analyses.feasibility import GUARANTEES
from ._base import AbstractFigure, add_legend, require_rows
from ._marks import floor_of, label_floor
from ._style import styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VALUE = "broken_over_eps"


class Feasibility(AbstractFigure):
    """A row a method, a panel a dtype, a marker for each guarantee."""

    name, table = "feasibility", "inference"
    caption = (
        "Largest violation of the cells in which a method breaks an inequality, as a multiple of the machine "
        "epsilon of the dtype, without a guarantee and with either strict one; a method that breaks no "
        'inequality is drawn at "exact 0", whatever rounding does to equalities.'
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each dtype, method and guarantee."""
        kept = distinct(fewer_projections(rows), "method")
        return feasibility([row for row in rows if row["role"] != "projection" or row["method"] in kept])

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom, maps first."""
        lines = self.data(rows)
        require_rows(lines, "with a violation")
        methods, dtypes = distinct(lines, "method"), sorted(distinct(lines, "dtype"))
        figure = Figure(figsize=(4 + 2.5 * len(dtypes), 1.5 + 0.27 * len(methods)), layout="constrained")
        panels = figure.subplots(1, len(dtypes), sharex=True, sharey=True, squeeze=False)[0]
        floor = floor_of(row[VALUE] for row in lines)
        handles = []
        for axes, dtype in zip(panels, dtypes, strict=True):
            handles += _panel(axes, where(lines, dtype=dtype), methods, floor)
            axes.set_xlabel(f"largest violation / eps of {dtype}")
        if floor is not None:
            for axes in panels:  # when all are drawn, since it ends the choice of their common limits
                label_floor(axes, floor)
        add_legend(figure, "Largest violation by dtype and guarantee", handles)
        return figure


def _panel(axes: Axes, lines: list[Row], methods: list[str], floor: float | None) -> list:
    handles = []
    for i, (guarantee, style) in enumerate(styles(GUARANTEES).items()):
        mine = where(lines, guarantee=guarantee)
        x = [row[VALUE] if row[VALUE] > 0 or floor is None else floor for row in mine]
        y = [methods.index(row["method"]) + 0.2 * (i - 1) for row in mine]
        options: dict[str, Any] = style.options() | {"linestyle": "none", "label": guarantee}
        handles += axes.plot(x, y, **options)
    axes.set_xscale("log")
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    return handles
