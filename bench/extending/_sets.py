"""The sets that a method is validated on: small, of every kind, each with points around it."""

from __future__ import annotations

import numpy as np

from constrained.polyhedron import Polyhedron

from ..problems import Instance, family

POINTS = 8
SMALL = (
    ("random_cone", (6, 4)),
    ("random_cone", (4, 7)),
    ("random_polytope", (4, 12)),
    ("checkerboard", (4, 4, 2)),
    ("box", (4,)),
    ("simplex", (5,)),
    ("monotone", (6,)),
)
"""Cones with fewer and with more rows than features, bounded sets, rows that are orthogonal, an equality."""


def instances(problem: str | None = None) -> list[Instance]:
    """Those above and one with general rows and equalities; or the smallest size of one problem family."""
    if problem is None:
        return [*(family(name).generate(size, POINTS) for name, size in SMALL), _with_equalities()]
    chosen = family(problem)
    size = min(chosen.sizes, key=lambda size: int(np.prod(size)))
    return [chosen.generate(size, POINTS)]


def _with_equalities() -> Instance:
    """Two-sided rows and equalities around a known point, away from the origin."""
    rng = np.random.default_rng(5)
    n, m, p = 6, 4, 2
    inside, A, C = (rng.standard_normal(size) for size in (n, (m, n), (p, n)))
    b, lower = A @ inside + rng.uniform(0.2, 1, m), A @ inside - rng.uniform(0.2, 1, m)
    lower[0], b[1] = -np.inf, np.inf
    points = inside + 2 * rng.standard_normal((POINTS, n))
    return Instance(f"equalities-{n}x{m}", Polyhedron(A, b, C, C @ inside, lower), points, inside)
