"""Whether vectors are extreme rays of a cone, in exact arithmetic and fast.

A vector x of a pointed cone in R^n is an extreme ray if and only if it satisfies every row and the rows
that it meets with equality have rank n - 1 (Schrijver 1986, sec. 8.8). Nothing is said about rays
that are missing: `constrained/verification.py` does that, at a higher price.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..exact import Vector, product, rank
from ._base import Cone

PRIME = 2**31 - 1  # products of two residues fit into 64 bits
CHUNK = 1 << 16
"""Numbers that are eliminated with at a time: they stay in the cache."""


def unsound(cone: Cone, rays: Sequence[Vector]) -> str | None:
    """Why the vectors are not distinct extreme rays of a pointed cone; `None` if they are.

    A cone with lines is made pointed by their addition as equalities.
    """
    if len(set(rays)) != len(rays):
        return "a ray occurs twice"
    if (0,) * cone.n in rays:
        return "a ray is 0"
    rows, p = [*cone.equalities, *cone.inequalities], len(cone.equalities)
    values = product(rays, rows, cone.n)
    for k, value in enumerate(values):
        if any(value[:p]) or max(value[p:], default=0) > 0:
            return f"ray {k} breaks a row"
    tight = np.array([[not v for v in value] for value in values], dtype=bool).reshape(len(rays), len(rows))
    for k in _of_smaller_rank(_without_equalities(cone), tight[:, p:]):
        # The rank modulo a prime may be smaller than the rank, never larger.
        if rank([rows[i] for i in np.flatnonzero(tight[k])], cone.n) < cone.n - 1:
            return f"ray {k} is not extreme"
    return None


def _without_equalities(cone: Cone) -> np.ndarray:  # (m, n) -> (m, n - rank of the equalities)
    """The inequalities on the null space of the equalities, modulo PRIME.

    Rows have there the rank that they have together with the equalities, less that of the equalities: so
    hundreds of lines are eliminated once, not for each ray.
    """
    A = np.array([[v % PRIME for v in row] for row in cone.inequalities], dtype=np.int64).reshape(-1, cone.n)
    if not cone.equalities:
        return A
    import flint

    C = [v % PRIME for row in cone.equalities for v in row]
    basis, nullity = flint.nmod_mat(len(cone.equalities), cone.n, C, PRIME).nullspace()
    product = flint.nmod_mat(*A.shape, A.ravel().tolist(), PRIME) * basis
    rows = [[int(v) for v in row[:nullity]] for row in product.tolist()]
    return np.array(rows, dtype=np.int64).reshape(len(A), nullity)


def _of_smaller_rank(residues: np.ndarray, tight: np.ndarray) -> Iterator[int]:  # (m, n), (k, m)
    """The rays whose tight rows have a rank below n - 1 modulo PRIME."""
    n = residues.shape[1]
    most = int(tight.sum(1).max(initial=0))
    step = max(CHUNK // max(most * n, 1), 1)
    for start in range(0, len(tight), step):
        part = tight[start : start + step]
        order = np.argsort(~part, axis=1, kind="stable")[:, :most]  # the tight rows first
        chosen = residues[order] * np.take_along_axis(part, order, 1)[:, :, None]
        yield from (start + np.flatnonzero(_ranks(chosen) < n - 1)).tolist()


def _ranks(W: np.ndarray) -> np.ndarray:  # (k, t, n) -> (k,)
    """The rank of each matrix modulo PRIME, by elimination without division."""
    found = np.zeros(len(W), dtype=np.int64)
    everyone = np.arange(len(W))
    for _ in range(W.shape[2] if W.shape[1] else 0):
        column, W = W[:, :, 0], W[:, :, 1:]
        pivot = (column != 0).argmax(1)
        value, row = column[everyone, pivot], W[everyone, pivot]
        found += value != 0
        # The pivot's own row becomes 0; without a pivot the column is 0 and nothing changes.
        W = (W * np.where(value, value, 1)[:, None, None] - column[:, :, None] * row[:, None, :]) % PRIME
    return found
