"""Walks through the codes: one dimension at a time, from one end of the prior to the other."""

from __future__ import annotations

from matplotlib.figure import Figure

from .._cells import distinct, where
from .._tables_io import Row
from ._base import AbstractFigure, columns, require_rows
from ._images import GAP, bare, pixels_of, show


class VaeTraversals(AbstractFigure):
    """One row a method and dimension."""

    name, table = "vae_traversals", "vae_images"
    caption = (
        "Walks from the code of one digit along the dimensions that carry most information, 2.5 standard "
        "deviations of the prior to both sides: with codes that are free, and with codes in a set, where "
        "equal images in a row are where the map into the set is constant."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each image, without its pixels."""
        return columns(where(rows, kind="walk"), "panel", "row", "column")

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom in the table's order, in as many columns as keep the page square."""
        walks = where(rows, kind="walk")
        require_rows(walks, "of a walk")
        names = distinct(walks, "panel")
        lines = 1 + max(row["row"] for row in walks)
        steps = 1 + max(row["column"] for row in walks)
        across = 1 if len(names) < 4 else 2
        down = -(-len(names) // across)
        figure = Figure(
            figsize=(0.3 + 0.55 * steps * across, 0.2 + down * (0.3 + 0.55 * lines)), layout="constrained"
        )
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            mine = where(walks, panel=name)
            side = len(pixels_of(mine[0]))
            bare(axes, lines, steps, side)
            for row in mine:
                show(axes, pixels_of(row), (row["row"], row["column"]))
            axes.set_title(name, loc="left", fontsize=8)
            axes.set_aspect("equal")
            axes.set_xlabel("", labelpad=GAP)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        return figure
