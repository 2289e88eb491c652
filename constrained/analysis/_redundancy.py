"""Rows that the others imply: `max g_i x` over the other rows is at most `h_i`.

Rows that a line from an interior point reaches first, and alone, are not redundant (Clarkson 1994);
of parallel rows only the tightest can be needed. One linear program for each of the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._programs import steepest
from ._rows import TOLERANCE

if TYPE_CHECKING:
    from ._analysis import Analysis


def redundant(analysis: Analysis) -> tuple[tuple[int, int], ...]:
    """`(row, side)` of the rows that can be left out together, those constant on the hull included."""
    reduced = analysis._decision.reduced
    center = analysis.interior_point - reduced.x0
    norm = np.linalg.norm(reduced.F, axis=1)
    F, r = reduced.F / norm[:, None], (reduced.r - reduced.F @ center) / norm
    keep = ~_parallel(F, r)
    needed = _reached_first(F[keep], r[keep])
    open_rows = np.flatnonzero(keep)[~needed]
    for i in open_rows:
        keep[i] = False
        keep[i] = not _implied(F[keep], r[keep], F[i], r[i])
    return tuple(sorted((*reduced.idle.pairs(), *reduced.rows.select(~keep).pairs())))


def _parallel(F: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Which rows have the direction of another that is tighter, or as tight and earlier."""
    order = np.lexsort((np.arange(len(r)), r))
    groups = np.unique(np.round(F[order], 12) + 0.0, axis=0, return_index=True)[1] if len(r) else []
    first = order[groups]
    return ~np.isin(np.arange(len(r)), first)


def _reached_first(F: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Which rows are the first and only one on the way from 0 along their own normal; r > 0."""
    if not len(r):
        return np.zeros(0, dtype=bool)
    speed = F @ F.T  # row i along normal j
    with np.errstate(divide="ignore"):
        times = np.where(speed > 0, r[:, None] / np.where(speed > 0, speed, 1.0), np.inf)
    first = times.argmin(0)
    ordered = np.partition(times, 1, axis=0)[:2] if len(r) > 1 else np.array([times[0], [np.inf]])
    alone = ordered[0] < (1 - 1e-6) * ordered[1]
    return np.isin(np.arange(len(r)), first[alone])


def _implied(F: np.ndarray, r: np.ndarray, row: np.ndarray, bound: float) -> bool:
    """Whether `row y <= bound` for all y of `{F y <= r}`, bound > 0."""
    return steepest(F, row, r, 2 * bound) <= bound * (1 + TOLERANCE)
