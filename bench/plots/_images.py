"""Pages of images, with the sums over the tiles of the checkerboard where they show the constraint."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .._tables_io import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 2
"""White pixels between two images."""
TILE = 7
ROUNDING = 5e-3
"""A tile counts as broken from this sum on: the pixels in the table have four decimals, 49 make a tile."""
BROKEN, KEPT = "#D55E00", "#56B4E9"


def pixels_of(row: Row) -> np.ndarray:  # (side, side)
    """The image of a row."""
    values = [row[f"p{i}"] for i in range(sum(key[0] == "p" and key[1:].isdigit() for key in row))]
    side = math.isqrt(len(values))
    return np.reshape(values, (side, side))


def tile_sums(image: np.ndarray) -> np.ndarray:  # (side, side) -> (side / TILE, side / TILE)
    """The sum over each tile with the sign that the checkerboard gives it: at most 0 where it is kept."""
    count = len(image) // TILE
    sums = image.reshape(count, TILE, count, TILE).sum((1, 3))
    row, column = np.indices(sums.shape)
    return np.where((row + column) % 2, -1.0, 1.0) * sums


def show(axes: Axes, image: np.ndarray, place: tuple[int, int]) -> None:
    """The image in its place (row, column) of the page, -1 black and 1 white."""
    top, left, side = *corner(place, len(image)), len(image)
    extent = (left - 0.5, left + side - 0.5, top + side - 0.5, top - 0.5)
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="nearest", extent=extent)


def mark_tiles(axes: Axes, image: np.ndarray, place: tuple[int, int]) -> int:
    """A red frame and cross for each tile whose sum has the wrong sign; returns how many there are."""
    from matplotlib.patches import Rectangle

    top, left = corner(place, len(image))
    broken = np.argwhere(tile_sums(image) > ROUNDING)
    for row, column in broken:
        x, y = left + column * TILE - 0.5, top + row * TILE - 0.5
        axes.add_patch(
            Rectangle((x + 0.4, y + 0.4), TILE - 0.8, TILE - 0.8, fill=False, edgecolor=BROKEN, linewidth=1.1)
        )
        axes.plot([x + 1, x + TILE - 1], [y + TILE - 1, y + 1], color=BROKEN, linewidth=0.6)
    return len(broken)


def corner(place: tuple[int, int], side: int) -> tuple[int, int]:
    """Top and left of a place."""
    return place[0] * (side + GAP), place[1] * (side + GAP)


def bare(axes: Axes, rows: int, columns: int, side: int) -> None:
    """No ticks and frames, and the limits of a page of so many images."""
    axes.set_xlim(-1.5, columns * (side + GAP) - 0.5)
    axes.set_ylim(rows * (side + GAP) - 0.5, -1.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
