"""What generators look like where they are mostly zeros: their entries one by one, or a diagonal.

Of `x = |z_r| R + z_l L` the entries of R and of both coefficients of each line, in the order of the latent
features; lines are a diagonal on the free features and `others` on the rest, see `Rays`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST_DIAGONAL = 128
"""Rays from which on a diagonal is not multiplied as a matrix: below it, the product is the faster one."""


class Triplets(NamedTuple):
    """A matrix by its entries, (nnz,) each: row, column, value."""

    latent: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def triplets(
    directions: np.ndarray,  # (r, n)
    diagonal: np.ndarray,  # (l,)
    others: np.ndarray,  # (l, n - l)
    order: np.ndarray,  # (n,)
    doubled: bool,
) -> Triplets:
    """Every entry that is not 0; the two of a line follow each other, so that they cancel early."""
    (i, j), (line, q) = directions.nonzero(), others.nonzero()
    lines, place = len(diagonal), np.argsort(order)  # of the free features, then of the others
    along = np.arange(lines)
    latent = np.concatenate([along, line]) + len(directions)
    feature = np.concatenate([place[along], place[lines + q]])
    value = np.concatenate([diagonal, others[line, q]])
    if doubled:
        latent = np.stack([latent, latent + lines], 1).ravel()
        feature, value = feature.repeat(2), np.stack([value, -value], 1).ravel()
    return Triplets(
        np.concatenate([i, latent]), np.concatenate([j, feature]), np.concatenate([directions[i, j], value])
    )


def diagonal_of(directions: np.ndarray) -> dict[str, np.ndarray]:  # (r, n) -> (n,) each
    """Of each feature, the only ray and its entry there; nothing unless each ray has a feature of its own."""
    r = len(directions)
    if np.count_nonzero(directions) != r or (np.count_nonzero(directions, axis=0) > 1).any():
        return {}
    ray = np.abs(directions).argmax(0)  # 0 for a feature of no ray, whose entry is 0 there
    value = directions[ray, np.arange(directions.shape[1])]
    return {"ray": ray, "value": value}
