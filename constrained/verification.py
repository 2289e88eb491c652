"""Exact verification of a ray set that came from floating point.

Given a cone and candidate rays in floats, decide in rational arithmetic whether they are its extreme
rays, all of them. Let L be the lineality space (known exactly, it is a null space), l = dim L.

Soundness. The rows that a candidate meets with equality, up to a tolerance, must have rank n - l - 1;
then they determine the ray exactly (modulo L), and this exact ray must satisfy every row.

Completeness. The base of the pointed cone `P / L` is a polytope, and the graph of a polytope is
connected (Balinski 1961; Ziegler, Lectures on Polytopes, sec. 3.5). So a non-empty set of its extreme
rays is complete if and only if it contains both ends of every edge (2-face) at each of its members.
The edges at a ray are the extreme rays of the cone of its tight rows modulo the ray: for a simple ray,
with n - l - 1 tight rows, drop one of them; for a degenerate ray they are enumerated exactly on its
tight rows alone. Each edge is identified by the rows tight on all of it, and its other end must be
in the set. This converts the candidates back locally, facet by facet around each ray, and so proves
that they generate the same cone, at a small part of the cost of one global conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .engines import Budget
from .engines._base import Cone
from .engines.ppl_ import Ppl
from .errors import VerificationError
from .exact import Vector, combine, dot, null_space, rank

TIGHT = (1e-7, 1e-9, 1e-11, 1e-13)
"""A float ray meets a row when `|g x| <= TIGHT |g| |x|`. Nearly parallel rows need a smaller one, so each
is tried in turn; a wrong guess is caught exactly later."""

Tight = frozenset[int]


def verified_rays(
    cone: Cone, candidates: Sequence[Sequence[float]], row_space: Sequence[Vector]
) -> list[Vector]:
    """The exact extreme rays that the float candidates stand for.

    Args:
        cone: the cone, in integers.
        candidates: float rays.
        row_space: linearly independent rows that span the orthogonal complement of the lineality space.

    Raises `VerificationError` if a candidate is no extreme ray of the cone, or one is missing.
    """
    slopes = _slopes(cone, candidates)
    exact: dict[Vector, Tight] = {}
    for k, candidate in enumerate(candidates):
        ray = _exact_ray(cone, k, candidate, slopes[k], row_space)
        exact[ray] = _check_sound(cone, k, ray)
    _check_complete(cone, exact, len(row_space) - 1)
    return list(exact)


def _slopes(cone: Cone, candidates: Sequence[Sequence[float]]) -> np.ndarray:  # (k, m)
    """`|g x| / (|g| |x|)` for each candidate and inequality."""
    rows = [[v / (max(map(abs, g)) or 1) for v in g] for g in cone.inequalities]
    G = np.array(rows, dtype=np.float64).reshape(len(rows), cone.n)  # (m, n)
    X = np.array(candidates, dtype=np.float64).reshape(len(candidates), cone.n)  # (k, n)
    scale = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(G, axis=1)
    return np.abs(X @ G.T) / np.maximum(scale, np.finfo(np.float64).tiny)


def _exact_ray(
    cone: Cone, k: int, candidate: Sequence[float], slopes: np.ndarray, row_space: Sequence[Vector]
) -> Vector:
    """The one direction orthogonal to the tight rows within the row space, pointing as the candidate."""
    tight, found = [], []
    for tolerance in TIGHT:
        tight = np.flatnonzero(slopes <= tolerance).tolist()
        rows = [cone.inequalities[i] for i in tight] + list(cone.equalities)
        gram = [[dot(g, row) for row in row_space] for g in rows]
        found = null_space(gram, len(row_space))
        if found:  # fewer rows only make it larger
            break
    if len(found) != 1:
        raise VerificationError(
            f"ray {k} of the engine is not extreme: its {len(tight)} tight rows have rank "
            f"{len(row_space) - len(found)}, an extreme ray has {len(row_space) - 1}; use engine='exact'"
        )
    ray = combine(found[0], row_space, cone.n)
    top = max(map(abs, ray))
    along = sum(v / top * float(c) for v, c in zip(ray, candidate, strict=True))
    return ray if along > 0 else tuple(-v for v in ray)


def _check_sound(cone: Cone, k: int, ray: Vector) -> Tight:
    """The rows tight on the exact ray; refuses a ray that breaks one."""
    values = [dot(g, ray) for g in cone.inequalities]
    if (broken := [i for i, v in enumerate(values) if v > 0]) or any(dot(e, ray) for e in cone.equalities):
        raise VerificationError(
            f"ray {k} of the engine lies outside the cone: it breaks row {broken[0] if broken else 'C'}; "
            "use engine='exact'"
        )
    return frozenset(i for i, v in enumerate(values) if v == 0)


def _check_complete(cone: Cone, exact: dict[Vector, Tight], codimension: int) -> None:
    """Both ends of every edge at every ray are there; `codimension` is n - l - 1."""
    members = [0] * len(cone.inequalities)  # bit k of members[i]: ray k is tight on row i
    for k, rows in enumerate(exact.values()):
        for i in rows:
            members[i] |= 1 << k
    everyone = (1 << len(exact)) - 1
    if not exact and not _is_subspace(cone):
        raise VerificationError("the engine returned no ray for a cone that has some; use engine='exact'")
    simple = codimension - rank(cone.equalities, cone.n)
    for k, (ray, tight) in enumerate(exact.items()):
        for edge in _edges(cone, ray, tight, simple):
            ends = everyone
            for i in edge:
                ends &= members[i]
            if ends.bit_count() != 2:
                raise VerificationError(
                    f"the engine's ray set is incomplete: an edge at ray {k} has {ends.bit_count()} of its "
                    f"2 ends among the {len(exact)} rays returned; use engine='exact'"
                )


def _edges(cone: Cone, ray: Vector, tight: Tight, simple: int) -> Iterator[Tight]:
    """The 2-faces at an extreme ray, each as the set of rows tight on it."""
    if len(tight) == simple:
        yield from (tight - {i} for i in tight)
        return
    rows = sorted(tight)
    local = Cone([cone.inequalities[i] for i in rows], cone.equalities, cone.n)
    for step in Ppl.rays(local, Budget(None, None)):
        yield frozenset(i for i in rows if dot(cone.inequalities[i], step) == 0)


def _is_subspace(cone: Cone) -> bool:
    return not Ppl.rays(cone, Budget(None, None))
