"""Checkerboard: the mean of an image over each tile has a given sign, alternating like a checkerboard.

    a_k = s_k on the pixels of tile k, 0 elsewhere,   s_k = (-1)^(tile_row + tile_col)

The sum over the first tile is at most 0, over its neighbours at least 0. Tiles do not overlap, so
the rows are orthogonal and the projection has a closed form:

    proj(y) = y - A^T relu(A y) / tile^2

With the box [-1, 1]^n each tile is a problem of its own, x = clip(y - lam s, -1, 1) with the
smallest lam >= 0 for which s . x <= 0: the root of a piecewise linear function.
Source: Frerix, Niessner, Cremers, arXiv 1902.01785, sec. 4 (28x28 images with 7x7 tiles).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from constrained.errors import InvalidInputError
from constrained.polyhedron import Polyhedron

from ._base import AbstractFamily, Instance
from ._sizes import check_counts, unpack_size

CHUNK = 512
"""Rows projected at a time; bounds the memory of the sorted breakpoints."""


def checkerboard(height: int = 28, width: int = 28, tile: int = 7) -> Polyhedron:
    """The cone `A x <= 0` on images of height x width pixels, row by row, one constraint a tile.

    Returns:
        `A` of shape ((height / tile) * (width / tile), height * width), entries -1, 0, 1.

    Raises:
        InvalidInputError: an argument is not an int of at least 1, or `tile` does not divide both.
    """
    return Polyhedron(_rows(height, width, tile))


def checkerboard_box(height: int = 28, width: int = 28, tile: int = 7) -> Polyhedron:
    """The cone of `checkerboard` cut by the box [-1, 1]^n, n = height * width.

    The rows of the checkerboard (`b = 0`, no lower bound), then the n rows of the identity
    (`b = 1`, `lower = -1`).
    """
    A = _rows(height, width, tile)
    m, n = A.shape
    b = np.concatenate([np.zeros(m), np.ones(n)])
    lower = np.concatenate([np.full(m, -np.inf), np.full(n, -1.0)])
    return Polyhedron(np.concatenate([A, np.eye(n)]), b=b, lower=lower)


def project_checkerboard(
    y: np.ndarray,  # (q, n)
    height: int = 28,
    width: int = 28,
    tile: int = 7,
) -> np.ndarray:  # (q, n) float64
    """The nearest points of `checkerboard`, in closed form, exact up to rounding."""
    A, y = _rows(height, width, tile), np.asarray(y, np.float64)
    return y - np.maximum(y @ A.T, 0) @ A / tile**2


def project_checkerboard_box(
    y: np.ndarray,  # (q, n)
    height: int = 28,
    width: int = 28,
    tile: int = 7,
) -> np.ndarray:  # (q, n) float64
    """The nearest points of `checkerboard_box`, exact up to rounding."""
    _check(height, width, tile)
    x = np.array(y, np.float64)
    for start in range(0, len(x), CHUNK):
        rows = x[start : start + CHUNK]
        tiles = rows.reshape(-1, height // tile, tile, width // tile, tile)
        u = _signs(height, width, tile)[:, None, :, None] * tiles
        lam = np.maximum(_root(u.swapaxes(2, 3).reshape(*u.shape[:2], u.shape[3], -1)), 0)
        v = np.clip(u - lam[:, :, None, :, None], -1, 1)
        rows[:] = (_signs(height, width, tile)[:, None, :, None] * v).reshape(rows.shape)
    return x


class Checkerboard(AbstractFamily):
    """Sizes are (height, width, tile); the points are images uniform in [-1, 1]^n.

    So a point is inside the box, and breaks each row of the cone with probability one half. The
    stated interior direction is the checkerboard itself.
    """

    name = "checkerboard"
    sizes = ((14, 14, 7), (28, 28, 14), (28, 28, 7), (28, 28, 4), (64, 64, 16), (64, 64, 4))

    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The cone `checkerboard(*size)` with `batch` points; the set does not depend on the seed."""
        height, width, tile = unpack_size(self.name, size, "height", "width", "tile")
        check_counts(batch=batch)
        P = checkerboard(height, width, tile)
        return Instance(
            name=f"{self.name}-{P.n}x{P.m}",
            polyhedron=P,
            points=np.random.default_rng(seed).uniform(-1, 1, (batch, P.n)),
            interior=-P.A.sum(0),
            project=partial(project_checkerboard, height=height, width=width, tile=tile),
        )


def _check(height: int, width: int, tile: int) -> None:
    check_counts(height=height, width=width, tile=tile)
    if height % tile or width % tile:
        raise InvalidInputError(
            f"tile must divide height and width; found tile {tile} for an image of {height}x{width}"
        )


def _signs(height: int, width: int, tile: int) -> np.ndarray:
    """(height / tile, width / tile) of -1 and 1, 1 in the first corner."""
    row, column = np.indices((height // tile, width // tile))
    return np.where((row + column) % 2, -1.0, 1.0)


def _rows(height: int, width: int, tile: int) -> np.ndarray:
    """`A`, one row a tile, tiles counted row by row."""
    _check(height, width, tile)
    signs = _signs(height, width, tile)
    tiles = np.arange(signs.size).reshape(signs.shape)
    of_pixel = np.kron(tiles, np.ones((tile, tile), dtype=int)).ravel()
    return np.where(of_pixel == np.arange(signs.size)[:, None], signs.reshape(-1, 1), 0.0)


def _root(u: np.ndarray) -> np.ndarray:  # (*batch, t) -> (*batch,)
    """The `lam` with `f(lam) = sum_i clip(u_i - lam, -1, 1) = 0`.

    f falls from t to -t and is linear between its breakpoints u_i - 1, where a term starts to
    fall, and u_i + 1, where it stops: f at the sorted breakpoints is a cumulative sum, and the
    root lies on the piece where f changes sign.
    """
    t = u.shape[-1]
    breakpoints = np.concatenate([u - 1, u + 1], -1)
    order = np.argsort(breakpoints, -1, kind="stable")
    at = np.take_along_axis(breakpoints, order, -1)
    falling = np.cumsum(np.where(order < t, 1, -1), -1)[..., :-1]  # terms that fall on each piece
    f = t - np.cumsum(falling * np.diff(at), -1)  # at breakpoints 1, 2, ...
    piece = np.argmax(f <= 0, -1)[..., None]
    end, slope = (np.take_along_axis(v, piece, -1)[..., 0] for v in (at[..., 1:], falling))
    lam = end + np.take_along_axis(f, piece, -1)[..., 0] / slope
    # The cumulative sum carries rounding; one exact Newton step on the piece found removes it.
    return lam + np.clip(u - lam[..., None], -1, 1).sum(-1) / slope
