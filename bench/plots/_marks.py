"""The marks that several figures share: series with intervals, and dots grouped by problem."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .._cells import distinct
from .._tables_io import Row
from ._style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DECADES = 7
"""At most this many labelled decades on an axis."""
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


def floor_of(values: Iterable[float], below: float = math.inf) -> float | None:
    """Where zeros are drawn: a whole power of ten below `below` and every value; None if all are positive."""
    values = list(values)
    positive = [value for value in values if value > 0]
    if len(positive) == len(values):
        return None
    return 10.0 ** (math.floor(math.log10(min([*positive, below, 1.0]))) - 2)


def label_floor(axes: Axes, floor: float, text: str = "exact 0") -> None:
    """Ticks at decades, and the floor named for what it stands for."""
    axes.axvline(floor, color="#000000", linewidth=0.8, zorder=1)
    axes.set_xlim(left=floor / 4)
    first, last = math.log10(floor), math.ceil(math.log10(max(axes.get_xlim()[1], floor * 100)))
    step = max(1, math.ceil((last - first) / DECADES))
    decades = [10.0**k for k in range(int(last), int(first) + 1, -step)]
    axes.xaxis.set_major_locator(FixedLocator([floor, *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: text if x <= floor * 1.01 else f"$10^{{{round(math.log10(x))}}}$")
    )
