"""The main cell in bars: time a sample of every method, and how it compares with `osqp`."""

from __future__ import annotations

import math

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator

from .._cells import BATCH, PROBLEM, distinct, main_cell, main_dtype, ok, plain_maps
from .._numbers import number, speedup, times
from .._tables_io import Row
from ..schema import ROLES
from ._base import AbstractFigure, add_legend, add_notes, columns, failure_notes, require_rows
from ._marks import intervals

FACES = {
    "embedded": ("#3A3A3A", ""),
    "projection": ("#B5B5B5", "////"),
    "peer": ("#D9D9D9", "...."),
    "yardstick": ("#F2F2F2", "xxx"),
}
COLUMNS = (
    "problem", "method", "role", "dtype", "batch", "status", "us_per_sample", "us_q25", "us_q75",
    "speedup_osqp", "best_projection", "speedup_best",
)  # fmt: skip
BASELINE = "osqp"
BAR_SHARE = 0.6
"""The share of the axis that the longest bar fills; its label needs the rest."""


class Headline(AbstractFigure):
    """Horizontal bars on a logarithmic axis, the fastest on top, whiskers from quartile to quartile."""

    name, table = "headline", "inference"
    caption = (
        f"Time a sample on {PROBLEM}, batch {BATCH}, and how many times faster than OSQP and than the "
        "fastest projection: constraints embedded in the network against projection afterwards and other "
        "papers' layers; yardsticks: a plain linear layer of the same size, and the floor, the least that "
        "looks at every constraint and returns a vector."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """The main cell, those without a time included."""
        return columns(main_cell(plain_maps(rows)), *COLUMNS)

    def draw(self, rows: list[Row]) -> Figure:
        """One bar a method of the main cell, strict variants aside."""
        rows = plain_maps(rows)
        cell = main_cell(rows)
        bars = sorted(ok(cell), key=lambda row: row["us_per_sample"])
        require_rows(bars, f"that is ok for {PROBLEM} at batch {BATCH}")
        figure = Figure(figsize=(7.5, 1.5 + 0.36 * len(bars)), layout="constrained")
        axes = figure.subplots()
        for i, row in enumerate(bars):
            face, hatch = FACES[row["role"]]
            axes.barh(i, row["us_per_sample"], height=0.68, color=face, hatch=hatch, edgecolor="#000000")
            ends = intervals([row["us_per_sample"]], [row["us_q25"]], [row["us_q75"]])
            axes.errorbar(row["us_per_sample"], i, xerr=ends, color="#000000", capsize=3, elinewidth=1)
            right = max(row["us_per_sample"], row["us_q75"]) if ends.any() else row["us_per_sample"]
            axes.text(right * 1.15, i, _label(row), va="center", fontsize=8)
        left = 10.0 ** math.floor(math.log10(bars[0]["us_per_sample"]) - 0.3)
        axes.set_xscale("log")
        axes.set_xlim(left, left * (bars[-1]["us_per_sample"] / left) ** (1 / BAR_SHARE))
        last = math.ceil(math.log10(bars[-1]["us_per_sample"]))
        decades = [10.0**k for k in range(round(math.log10(left)), last + 1)]
        axes.xaxis.set_major_locator(FixedLocator(decades))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks(range(len(bars)), [row["method"] for row in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("time a sample (µs, median; whiskers: quartiles)")
        title = f"Embedded constraints against projection: {PROBLEM}, batch {BATCH}, {main_dtype(cell)}"
        add_legend(figure, title, _legend(bars))
        add_notes(figure, failure_notes(cell, rows))
        return figure


def _label(row: Row) -> str:
    text = f"{number(row['us_per_sample'])} µs"
    if row["method"] == BASELINE or not math.isfinite(row["speedup_osqp"]):
        return text
    best = row["best_projection"]
    if row["method"] == best or best == BASELINE or not math.isfinite(row["speedup_best"]):
        return f"{text}   {speedup(row['speedup_osqp'], BASELINE)}"
    return f"{text}   {times(row['speedup_osqp'])}x {BASELINE}, {times(row['speedup_best'])}x {best}"


def _legend(bars: list[Row]) -> list[Patch]:
    present = distinct(bars, "role")
    return [
        Patch(facecolor=FACES[role][0], hatch=FACES[role][1], edgecolor="#000000", label=role)
        for role in ROLES
        if role in present
    ]
