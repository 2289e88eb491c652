"""The marks that several figures share: series with intervals, and dots grouped by problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._cells import distinct
from .._tables_io import Row
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUP = 0.8
"""The share of a problem's band that its dots fill."""


def intervals(values: list[float], low: list[float], high: list[float]) -> np.ndarray:  # (2, q)
    """Error bars for matplotlib: lengths down and up, 0 where the interval is unknown."""
    x = np.asarray(values)
    bars = np.stack([x - np.asarray(low), np.asarray(high) - x])
    return np.maximum(np.nan_to_num(bars, nan=0.0, posinf=0.0, neginf=0.0), 0.0)


def problem_order(rows: list[Row]) -> list[str]:
    """Problems by family in the table's order, then by size."""
    families = distinct(rows, "family")
    ordered = sorted(rows, key=lambda row: (families.index(row["family"]), row["n"], row["m"]))
    return distinct(ordered, "problem")


def problem_bands(axes: Axes, problems: list[str]) -> None:
    """One horizontal band a problem, the first on top, every second one shaded."""
    for i in range(0, len(problems), 2):
        axes.axhspan(i - 0.5, i + 0.5, color="#F4F4F4", zorder=0, linewidth=0)
    axes.set_yticks(range(len(problems)), problems)
    axes.set_ylim(len(problems) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def dots(
    axes: Axes,
    rows: list[Row],
    chosen: dict[str, Style],
    problems: list[str],
    value: str,
    spread: tuple[str, str] | None = None,
    floor: float | None = None,
) -> list:
    """A dot for each row in its problem's band, one lane a method, with bars from low to high.

    A value that is not positive is drawn at `floor`. Returns the handles of the legend.
    """
    handles = []
    lanes = {method: (i + 0.5) / len(chosen) - 0.5 for i, method in enumerate(chosen)}
    for method, style in chosen.items():
        mine = [row for row in rows if row["method"] == method and math.isfinite(row[value])]
        if not mine:
            continue
        x = [row[value] if row[value] > 0 or floor is None else floor for row in mine]
        y = [problems.index(row["problem"]) + GROUP * lanes[method] for row in mine]
        bars = None
        if spread:
            bars = intervals(x, [row[spread[0]] for row in mine], [row[spread[1]] for row in mine])
        options = style.options() | {"linestyle": "none", "label": method, "markersize": 4.5}
        handles.append(axes.errorbar(x, y, xerr=bars, elinewidth=0.9, capsize=1.8, **options))
    return handles
