"""Rows with several entries that share no feature: what a set has of them, and slots for their features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..polyhedron import Polyhedron
from .box import _bounds as bounds_of_features


class Rows(NamedTuple):
    """Rows with several entries, the largest of them 1 or -1, one for all multiples of a row.

    Attributes:
        a: (R, n). lower, upper: (R,), `upper` finite where either is.
        names: of the rows in the set, for messages.
    """

    a: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    names: list[str]

    @classmethod
    def of(cls, P: Polyhedron) -> Rows:
        """Those of a set."""
        found: dict[bytes, int] = {}
        rows: list[np.ndarray] = []
        bounds: list[tuple[float, float]] = []
        names: list[str] = []
        for name, a, low, high in _several(P):
            largest = a[np.abs(a).argmax()]
            unit, ends = a / largest, sorted((low / largest, high / largest))
            at = found.setdefault((unit + 0.0).tobytes(), len(rows))
            if at == len(rows):
                rows.append(unit)
                bounds.append((-np.inf, np.inf))
                names.append(name)
            bounds[at] = max(bounds[at][0], ends[0]), min(bounds[at][1], ends[1])
        a = np.array(rows).reshape(-1, P.n)
        lower, upper = np.array(bounds).reshape(-1, 2).T
        flip = np.isposinf(upper)
        a = np.where(flip[:, None], -a, a)
        return cls(a, np.where(flip, -upper, lower), np.where(flip, -lower, upper), names)

    def empty(self, P: Polyhedron) -> bool:
        """Whether the set is empty, or so nearly that this needs a closer look."""
        low, high = bounds_of_features(single_rows(P))
        zero = ~P.A.any(1)
        broken = (P.b[zero] < 0).any() or (P.lower[zero] > 0).any() or P.d[~P.C.any(1)].any()
        ends = np.where(self.a > 0, low, high), np.where(self.a > 0, high, low)
        least, most = (
            np.where(self.a == 0, 0.0, self.a * np.where(self.a == 0, 0.0, end)).sum(1) for end in ends
        )
        crossed = (self.lower > self.upper) | (least > self.upper) | (most < self.lower)
        return bool(broken or (low > high).any() or crossed.any())


def _several(P: Polyhedron) -> list[tuple[str, np.ndarray, float, float]]:
    """(name, row, lower, upper) of the rows with several entries and a finite bound."""
    found = []
    for name, rows, lower, upper in (("A", P.A, P.lower, P.b), ("C", P.C, P.d, P.d)):
        bounded = np.isfinite(lower) | np.isfinite(upper)
        for i in np.flatnonzero((np.count_nonzero(rows, axis=1) > 1) & bounded):
            found.append((f"row {i} of {name}", rows[i], lower[i], upper[i]))
    return found


def single_rows(P: Polyhedron) -> Polyhedron:
    """The rows with one entry."""
    one, fixed = np.count_nonzero(P.A, axis=1) == 1, np.count_nonzero(P.C, axis=1) == 1
    return Polyhedron(P.A[one], P.b[one], P.C[fixed], P.d[fixed], P.lower[one])


def layout(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # (R, n) -> (S, R'), (n,)
    """The feature of each slot, -1 for none, and the slot of each feature.

    Features in no row are shared out to rows of their own.
    """
    supports = [np.flatnonzero(row) for row in a]
    size = max(len(support) for support in supports)
    free = np.flatnonzero(~a.any(0))
    supports += [free[i : i + size] for i in range(0, len(free), size)]
    index = np.full((size, len(supports)), -1)
    for r, support in enumerate(supports):
        index[: len(support), r] = support
    flat, order = index.flatten(), np.empty(a.shape[1], dtype=np.int64)
    order[flat[flat >= 0]] = np.flatnonzero(flat >= 0)
    return index, order


def inside_of(
    weight: np.ndarray, low: np.ndarray, high: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A point within all bounds, (S, R), well inside those of the rows if it can be; half its room, (R,)."""
    x = np.clip(0.0, low, high)
    start = (weight * x).sum(0)
    up, down = weight * np.where(weight > 0, high - x, 0.0), weight * np.where(weight > 0, x - low, 0.0)
    least, most = np.maximum(lower, start - down.sum(0)), np.minimum(upper, start + up.sum(0))
    with np.errstate(invalid="ignore"):
        quarter = np.where(np.isfinite(most - least), (most - least) / 4, 1.0)
    target = np.clip(start, least + quarter, np.maximum(most - quarter, least + quarter))
    move = target - start
    for step, way in ((up, 1.0), (down, -1.0)):
        unbounded = np.isinf(step)
        share = np.where(unbounded.any(0), unbounded * 1.0, step)
        share /= np.maximum((share * np.where(unbounded, weight, 1.0)).sum(0), np.finfo(float).tiny)
        share = np.where(unbounded.any(0), share, share / np.where(weight > 0, weight, 1.0))
        x = x + way * np.maximum(way * move, 0.0) * share
    total = (weight * x).sum(0)
    return x, np.maximum(np.minimum(upper - total, total - lower), 0.0) / 2
