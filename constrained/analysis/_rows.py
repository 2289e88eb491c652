"""One-sided rows of a set, at unit norm, and what is left of them inside an affine hull.

    {lower <= A x <= b, C x = d}  =  {G x <= h, C x = d}  =  {x0 + y : F y <= r, Q y = 0}

with unit rows `g_i / |g_i|`, the point `x0 = Q' f` of the hull `{Q x = f}` nearest to the origin,
`F = (G / |g|) (I - Q' Q)` and `r = h / |g| - (G / |g|) x0`. The rows of F keep the norm of G as their
unit, so a slack of `F y <= r` is the distance to the row's hyperplane in R^n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..polyhedron import Polyhedron

EPS = float(np.finfo(np.float64).eps)
NOISE = 64 * EPS  # relative rounding error of a bound
TOLERANCE = 1e-9  # relative: right-hand sides closer than this are taken as equal


@dataclass(frozen=True)
class Inequalities:
    """Rows `G x <= h`, in the user's own scale; row i is row `index[i]` of A.

    Attributes:
        G: (q, n), the row of A for an upper bound, its negative for a lower one.
        h: (q,), `b` for an upper bound, `-lower` for a lower one; finite.
        index: (q,) rows of A.
        side: (q,) +1 for the bound `b`, -1 for `lower`.
    """

    G: np.ndarray
    h: np.ndarray
    index: np.ndarray
    side: np.ndarray

    def select(self, keep: np.ndarray) -> Inequalities:
        """The rows chosen by a mask or by indices, (q,)."""
        return Inequalities(self.G[keep], self.h[keep], self.index[keep], self.side[keep])

    def followed_by(self, other: Inequalities) -> Inequalities:
        """The rows of both."""
        names = ("G", "h", "index", "side")
        return Inequalities(*(np.concatenate([getattr(self, v), getattr(other, v)]) for v in names))

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """`(row, side)` of each row."""
        return tuple((int(i), int(s)) for i, s in zip(self.index, self.side, strict=True))


class Hull(NamedTuple):
    """The affine set `{x : Q x = f}`; `r = 0` rows are the whole space.

    Attributes:
        Q: (r, n) orthonormal rows.
        f: (r,).
    """

    Q: np.ndarray
    f: np.ndarray


class Reduced(NamedTuple):
    """The set inside a hull: `{x0 + y : F y <= r, Q y = 0}`, F (q, n) and r (q,) as above."""

    hull: Hull
    x0: np.ndarray
    rows: Inequalities
    F: np.ndarray
    r: np.ndarray
    on_hull: Inequalities  # rows that every point of the hull satisfies with equality
    idle: Inequalities  # rows that every point of the hull satisfies strictly


def one_sided(polyhedron: Polyhedron) -> Inequalities:
    """The rows with a finite bound: the upper bounds in order, then the lower ones."""
    above, below = np.isfinite(polyhedron.b), np.isfinite(polyhedron.lower)
    index = np.concatenate([np.flatnonzero(above), np.flatnonzero(below)])
    side = np.repeat([1, -1], [above.sum(), below.sum()])
    return Inequalities(*polyhedron.inequalities(), index, side)


def unit(G: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(G / |g|, h / |g|, |g|)` for rows that are not zero, (q, n), (q,), (q,).

    A power of two is taken out first, so that no square overflows or underflows.
    """
    exponent = np.frexp(np.abs(G).max(1, initial=0.0))[1]
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(G, -exponent[:, None])
        norm = np.linalg.norm(scaled, axis=1)
        bound = np.nan_to_num(np.ldexp(h, -exponent) / norm)
        return scaled / norm[:, None], bound, np.ldexp(norm, exponent)


def nonzero(G: np.ndarray) -> np.ndarray:  # (q, n) -> (q,)
    """Which rows are not zero."""
    return np.any(G != 0, axis=1)


def affine_hull(C: np.ndarray, d: np.ndarray, tolerance: float) -> Hull | None:
    """`{C x = d}` for unit rows C (p, n), with orthonormal rows; None if they contradict each other.

    The rank is that of the singular values above `8 max(p, n) eps` of the largest.
    """
    if not len(C):
        return Hull(np.zeros((0, C.shape[1])), np.zeros(0))
    left, size, right = np.linalg.svd(C, full_matrices=False)
    keep = size > 8 * max(C.shape) * EPS * size[0]
    Q, f = right[keep], (left.T @ d)[keep] / size[keep]
    gap = np.abs(C @ (Q.T @ f) - d)
    scale = np.abs(d) + np.linalg.norm(f)
    return None if (gap > tolerance * scale).any() else Hull(Q, f)


def reduce(polyhedron: Polyhedron, equal: np.ndarray, tolerance: float = TOLERANCE) -> Reduced | None:
    """The set inside the hull of C and of the rows `equal` of `one_sided`, (q,) bool; None if empty.

    Rows that are constant on the hull are left out; one that the hull breaks makes the set empty.
    """
    rows, C, d = one_sided(polyhedron), polyhedron.C, polyhedron.d
    zero, no_row = ~nonzero(rows.G), ~nonzero(C)
    if (rows.h[zero] < 0).any() or d[no_row].any():
        return None
    equalities = np.concatenate([C[~no_row], rows.G[equal & ~zero]])
    hull = affine_hull(*unit(equalities, np.concatenate([d[~no_row], rows.h[equal & ~zero]]))[:2], tolerance)
    if hull is None:
        return None
    return _inside(hull, rows, equal, tolerance)


def _inside(hull: Hull, every: Inequalities, equal: np.ndarray, tolerance: float) -> Reduced | None:
    zero = ~nonzero(every.G)
    fixed, free = every.select(equal | (zero & (every.h == 0))), every.select(zero & (every.h > 0))
    rows = every.select(~equal & ~zero)
    G, h, _ = unit(rows.G, rows.h)
    x0 = hull.Q.T @ hull.f
    F, r = G - (G @ hull.Q.T) @ hull.Q, h - G @ x0
    # What rounding leaves of a bound that the point x0 meets exactly must not become the unit of length.
    r[np.abs(r) <= NOISE * (np.abs(h) + np.linalg.norm(x0))] = 0.0
    constant = np.linalg.norm(F, axis=1) <= 64 * G.shape[1] * EPS
    close = tolerance * (np.abs(h) + np.linalg.norm(x0))
    if (constant & (r < -close)).any():
        return None
    on_hull = fixed.followed_by(rows.select(constant & (r <= close)))
    idle = free.followed_by(rows.select(constant & (r > close)))
    return Reduced(hull, x0, rows.select(~constant), F[~constant], r[~constant], on_hull, idle)
