"""A page of digits: input, true projection, and what each network makes of the input."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure

from .._cells import distinct
from .._tables_io import Row
from ._base import AbstractFigure, add_notes, require_rows

FIRST = ("input", "projection")
GAP = 2
"""White pixels between two digits."""


class Digits(AbstractFigure):
    """One row a panel (input, projection, then the networks in the table's order), one column a digit."""

    name, table = "digits", "digits"
    caption = "Digits of the test split: the input, its true projection, and the output of each network."

    def data(self, rows: list[Row]) -> list[Row]:
        """The table as it is: a row for each digit and panel with its pixels p0, p1, ..."""
        return rows

    def draw(self, rows: list[Row]) -> Figure:
        """All digits as one image in gray, -1 black and 1 white."""
        require_rows(rows, "at all")
        present = distinct(rows, "panel")
        panels = [name for name in FIRST if name in present] + [name for name in present if name not in FIRST]
        indices = sorted(distinct(rows, "index"))
        page, side = _page(rows, panels, indices)
        figure = Figure(figsize=(1.6 + 0.62 * len(indices), 0.4 + 0.62 * len(panels)), layout="constrained")
        axes = figure.subplots()
        axes.imshow(page, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        middle = (side - 1) / 2
        labels = {row["index"]: row["label"] for row in rows if row["label"]}
        axes.set_xticks(
            [middle + i * (side + GAP) for i in range(len(indices))], [labels.get(i, "") for i in indices]
        )
        axes.set_yticks([middle + i * (side + GAP) for i in range(len(panels))], panels)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        missing = [name for name in FIRST if name not in present]
        add_notes(figure, [f"{name}: not in the table" for name in missing])
        return figure


def _page(rows: list[Row], panels: list[str], indices: list[int]) -> tuple[np.ndarray, int]:
    """One array with every digit in its place, NaN (white) between them and where one is missing."""
    pixels = [f"p{i}" for i in range(sum(key[0] == "p" and key[1:].isdigit() for key in rows[0]))]
    side = math.isqrt(len(pixels))
    step = side + GAP
    page = np.full((len(panels) * step - GAP, len(indices) * step - GAP), np.nan)
    for row in rows:
        top, left = panels.index(row["panel"]) * step, indices.index(row["index"]) * step
        page[top : top + side, left : left + side] = np.reshape([row[p] for p in pixels], (side, side))
    return page, side
