"""What can be read off the rows of A (those with a finite bound) and C alone, whatever their bounds."""

from __future__ import annotations

import numpy as np

from ..polyhedron import Polyhedron
from ._programs import proper_recession
from ._rows import EPS, Reduced, nonzero, unit


def bounded_rows(polyhedron: Polyhedron) -> np.ndarray:  # (k, n)
    """The non-zero rows of A with a finite bound, then those of C, as they are."""
    bounded = np.isfinite(polyhedron.b) | np.isfinite(polyhedron.lower)
    rows = np.concatenate([polyhedron.A[bounded], polyhedron.C])
    return rows[nonzero(rows)]


def unit_rows(polyhedron: Polyhedron) -> np.ndarray:  # (k, n)
    """`bounded_rows` at unit norm."""
    rows = bounded_rows(polyhedron)
    return unit(rows, np.zeros(len(rows)))[0]


def spectrum(polyhedron: Polyhedron) -> tuple[np.ndarray, int]:
    """Singular values of the unit rows, those of rounding size set to 0, and how many rows there are."""
    rows = unit_rows(polyhedron)
    if not len(rows):
        return np.zeros(0), 0
    size = np.linalg.svd(rows, compute_uv=False)
    return np.where(size > 8 * max(rows.shape) * EPS * size[0], size, 0.0), len(rows)


def lineality(polyhedron: Polyhedron, rank: int) -> np.ndarray:  # (n - rank, n)
    """An orthonormal basis of the null space of the rows."""
    if rank == polyhedron.n:
        return np.zeros((0, polyhedron.n))
    return np.linalg.svd(unit_rows(polyhedron))[2][rank:] if rank else np.eye(polyhedron.n)


def orthogonal(polyhedron: Polyhedron) -> bool:
    """Whether the rows are pairwise orthogonal up to `n eps`."""
    rows = unit_rows(polyhedron)
    if len(rows) > polyhedron.n:
        return False
    products = np.abs(rows @ rows.T)
    np.fill_diagonal(products, 0.0)
    return bool(products.max(initial=0.0) <= polyhedron.n * EPS)


def blocks(polyhedron: Polyhedron) -> tuple[np.ndarray, ...]:
    """Connected components of the features, two being joined by a row that has both."""
    from scipy.sparse import bmat, csr_array
    from scipy.sparse.csgraph import connected_components

    rows = bounded_rows(polyhedron) != 0
    if not len(rows):
        return (np.arange(polyhedron.n),)
    pattern = csr_array(rows.astype(np.int8))
    labels = connected_components(bmat([[None, pattern.T], [pattern, None]]), directed=False)[1]
    labels = np.where(rows.any(0), labels[: polyhedron.n], -1)  # the untouched features together
    first = np.unique(labels, return_index=True)[1]
    return tuple(np.flatnonzero(labels == labels[i]) for i in np.sort(first))


def held(reduced: Reduced) -> bool:
    """Whether the rows bounded on both sides have full rank in the hull, so that they bound the set."""
    _, first, times = np.unique(reduced.rows.index, return_index=True, return_counts=True)
    F = reduced.F[first[times == 2]]
    return len(F) > 0 and np.linalg.matrix_rank(F) == F.shape[1] - len(reduced.hull.f)


def has_proper_recession(F: np.ndarray) -> bool:
    """Whether some e has `F e <= 0`, not all 0. Needs the rows inside the hull, F (q, n).

    By Stiemke's lemma there is none if and only if `F' (1 + u) = 0` for some `u >= 0`; the residual of
    that least squares problem, if it is not 0, is minus such an e. A linear program in between.
    """
    from scipy.optimize import nnls

    if not len(F):
        return False
    target = -F.sum(0)
    try:
        u, residual = nnls(F.T, target)
    except RuntimeError:
        return proper_recession(F)
    if residual <= 64 * len(F) * EPS * (1 + u.max(initial=0.0)):
        return False
    e = target - u @ F
    if (F @ e).max() <= 8 * F.shape[1] * EPS * residual and residual > 1e-6:
        return True
    return proper_recession(F)
