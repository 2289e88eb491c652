"""After how many samples the set-up of an embedded map has paid for itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .._cells import main_dtype, where
from .._tables_io import Row
from ..analyses import break_even
from ._base import AbstractFigure, add_legend, method_styles, require_rows
from ._marks import DECADES, dots, problem_bands, problem_order
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"after_osqp": "osqp", "after_best": "the fastest projection"}
AT_ONCE = 0.1
"""Where a break-even of 0 samples is drawn."""


class BreakEven(AbstractFigure):
    """A dot for each map and problem in two panels: against `osqp`, and against the fastest projection."""

    name, table = "break_even", "inference"
    caption = (
        "Samples after which an embedded map has taken less time in all than projection, the set-up of both "
        'included; "at once": its set-up is the shorter one, too; "never": it takes longer a sample.'
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each map and problem with both set-ups' consequences; inf is never."""
        lines = break_even(rows)
        return where(lines, dtype=main_dtype(lines))

    def draw(self, rows: list[Row]) -> Figure:
        """Problems as bands, the same in both panels."""
        lines = self.data(rows)
        require_rows(lines, "of an embedded map with a set-up time")
        finite = [row[name] for row in lines for name in PANELS if math.isfinite(row[name])]
        never = 10.0 ** (math.ceil(math.log10(max(10.0, *finite, 10.0))) + 1)
        problems = problem_order(lines)
        chosen = {m: s for m, s in method_styles(rows).items() if where(lines, method=m)}
        figure = Figure(figsize=(9.5, 1.8 + 0.4 * len(problems)), layout="constrained")
        handles = []
        for axes, (name, other) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
            handles += _panel(axes, lines, chosen, problems, name, never)
            axes.set_xlabel(f"samples until ahead of {other}")
        title = f"Break-even of the set-up, batch {lines[0]['batch']}, {lines[0]['dtype']}"
        add_legend(figure, title, handles)
        return figure


def _panel(
    axes: Axes, lines: list[Row], chosen: dict[str, Style], problems: list[str], name: str, never: float
) -> list:
    shown = [row | {name: min(row[name], never)} for row in lines if not math.isnan(row[name])]
    handles = dots(axes, shown, chosen, problems, name, floor=AT_ONCE)
    problem_bands(axes, problems)
    axes.set_xscale("log")
    axes.set_xlim(AT_ONCE / 2.5, never * 2.5)
    for end in (AT_ONCE, never):
        axes.axvline(end, color="#000000", linewidth=0.8, zorder=1)
    last = round(math.log10(never))
    decades = [10.0**k for k in range(0, last, math.ceil(last / DECADES))]
    axes.xaxis.set_major_locator(FixedLocator([AT_ONCE, *decades, never]))
    axes.xaxis.set_minor_locator(NullLocator())
    words = {AT_ONCE: "at once", never: "never"}
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: words.get(x, f"$10^{{{round(math.log10(x))}}}$"))
    )
    return handles
