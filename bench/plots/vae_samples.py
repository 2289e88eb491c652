"""Samples of the autoencoders, with every tile marked whose sum has the wrong sign."""

from __future__ import annotations

from matplotlib.figure import Figure

from .._cells import distinct, where
from .._tables_io import Row
from ._base import AbstractFigure, add_notes, require_rows
from ._images import GAP, ROUNDING, bare, mark_tiles, pixels_of, show, tile_sums

LAST = "unconstrained"
"""Shown at the bottom: what a decoder without the constraint would like to draw."""


class VaeSamples(AbstractFigure):
    """One row a method; on the right the sums over the tiles of its first sample, as signs."""

    name, table = "vae_samples", "vae_images"
    caption = (
        "Samples of the prior from each method whose images are in the set; a tile whose sum has the wrong "
        "sign is framed and crossed. On the right the tiles of the first sample, + and - being the sign of "
        "the sum, and the share of broken tiles. On top, what the constraint asks for."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each sample: its tiles' sums with the sign of the checkerboard, at most 0 if kept."""
        return [
            {"panel": row["panel"], "column": row["column"]}
            | {f"tile{i}": round(float(v), 3) + 0.0 for i, v in enumerate(tile_sums(pixels_of(row)).ravel())}
            for row in _samples(rows)
        ]

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom in the table's order, without a constraint last."""
        samples = _samples(rows)
        require_rows(samples, "with a sample of images in the set")
        names = sorted(distinct(samples, "panel"), key=lambda name: name == LAST)
        columns = 1 + max(row["column"] for row in samples)
        figure = Figure(figsize=(2.6 + 0.72 * columns, 0.6 + 0.72 * (len(names) + 0.4)), layout="constrained")
        axes = figure.subplots()
        side = len(pixels_of(samples[0]))
        bare(axes, len(names), columns + 2, side)
        for i, name in enumerate(names):
            mine = where(samples, panel=name)
            broken = 0
            for row in mine:
                show(axes, image := pixels_of(row), (i, row["column"]))
                broken += mark_tiles(axes, image, (i, row["column"]))
            tiles = tile_sums(pixels_of(mine[0]))
            _signs(axes, tiles, (i, columns), side)
            text = f"{broken} of {tiles.size * len(mine)}\ntiles broken"
            axes.text(
                (columns + 1) * (side + GAP) + 1, (i + 0.5) * (side + GAP), text, va="center", fontsize=7
            )
        middle = (side - 1) / 2
        axes.set_yticks([middle + i * (side + GAP) for i in range(len(names))], names)
        axes.tick_params(length=0)
        axes.set_title("samples of the prior, and the tile sums of the first one", loc="left")
        add_notes(
            figure, [f"Broken: by more than {ROUNDING:g}, to which the pixels of the table are rounded."]
        )
        return figure


def _samples(rows: list[Row]) -> list[Row]:
    """Samples of the methods that speak of images; a constraint on the code says nothing of the tiles."""
    return [row for row in where(rows, kind="sample") if not row["panel"].endswith("_code")]


def _signs(axes, tiles, place: tuple[int, int], side: int) -> None:
    """The sign of each tile's sum on the colour that says whether it is kept."""
    from matplotlib.patches import Rectangle

    from ._images import BROKEN, KEPT, corner

    top, left = corner(place, side)
    size = side / len(tiles)
    for (row, column), value in _entries(tiles):
        x, y = left + column * size - 0.5, top + row * size - 0.5
        colour = BROKEN if value > ROUNDING else KEPT
        axes.add_patch(Rectangle((x, y), size, size, facecolor=colour, edgecolor="white", linewidth=0.5))
        sum_ = value if (row + column) % 2 == 0 else -value
        sign = "0" if abs(sum_) <= ROUNDING else "+" if sum_ > 0 else "\N{MINUS SIGN}"
        axes.text(x + size / 2, y + size / 2, sign, ha="center", va="center", fontsize=5.5)


def _entries(tiles):
    return (((i, j), float(tiles[i, j])) for i in range(len(tiles)) for j in range(len(tiles[0])))
