"""Generators: from the H- to the V-representation, exactly.

    {x : lower <= A x <= b, C x = d} = conv(vertices) + cone(rays) + span(lines)

(Minkowski and Weyl; Schrijver, Theory of Linear and Integer Programming, sec. 7.2 and 8.9.) The
entries of A, b, C, d, lower are taken as the rational numbers that they are. A set that is not a
cone is lifted to the cone `{(x, t) : G x <= h t, C x = d t, t >= 0}`, whose rays with t > 0 are the
vertices. The result is canonical, whatever the engine: lines are the reduced echelon basis of the
lineality space, rays and vertices are the representatives orthogonal to it, in sorted order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .engines import ENGINES, Budget
from .engines._base import Cone
from .errors import InfeasibleError, lookup, require
from .exact import (
    Vector,
    direction,
    independent_rows,
    integer_rows,
    null_space,
    orthogonal_part,
    to_float,
    to_unit,
)
from .polyhedron import Polyhedron

MAX_RAYS = 200_000
MAX_SECONDS = 300.0

Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class Generators:
    """The V-representation of a polyhedron with n features.

    Attributes:
        rays: (r, n) float64, unit norm, extreme rays orthogonal to the lines.
        lines: (l, n) float64, unit norm, a basis of the lineality space.
        vertices: (v, n) float64, minimal-face representatives orthogonal to the lines; a cone has
            the origin as its only one.
        exact_rays, exact_lines: the same directions as primitive integer vectors.
        exact_vertices: the same points as fractions.
    """

    rays: np.ndarray
    lines: np.ndarray
    vertices: np.ndarray
    exact_rays: tuple[Vector, ...] = field(repr=False)
    exact_lines: tuple[Vector, ...] = field(repr=False)
    exact_vertices: tuple[Point, ...] = field(repr=False)


def generators(
    polyhedron: Polyhedron,
    engine: str = "exact",
    max_rays: int | None = MAX_RAYS,
    max_seconds: float | None = MAX_SECONDS,
) -> Generators:
    """Enumerate the extreme rays, lines and vertices of a polyhedron.

    Args:
        polyhedron: the set, not empty.
        engine: "exact" (integers, PPL) or "cdd" (floating point as in the paper, its result verified
            in exact arithmetic and refused when wrong).
        max_rays: stop when more rays than this are held at once; None for no limit.
        max_seconds: stop the engine after this time; None for no limit.

    Raises:
        InfeasibleError: the set is empty.
        BudgetExceededError: a budget is spent; the text gives the count reached.
        EngineError: the engine failed.
        VerificationError: the engine's result is not the V-representation.
        MissingDependencyError: the extra "rays" is not installed.
    """
    chosen = lookup("ray engine", engine, ENGINES)
    for module in {"ppl", "flint", chosen.requires}:
        require(module, "rays")
    cone = lifted_cone(polyhedron)
    rows = [*cone.equalities, *cone.inequalities]
    row_space = [rows[i] for i in independent_rows(rows, cone.n)]
    found = chosen.rays(cone, Budget(max_rays, max_seconds))
    if not chosen.exact:
        from .verification import verified_rays

        found = verified_rays(cone, found, row_space)
    lines = null_space(row_space, cone.n)
    rays = orthogonal_part(found, row_space, cone.n) if lines else [list(map(Fraction, r)) for r in found]
    return _assemble(polyhedron, rays, lines)


def lifted_cone(polyhedron: Polyhedron) -> Cone:
    """The set itself if it is a cone, else the cone over it with the lifting coordinate t last."""
    G, h = polyhedron.inequalities()
    if polyhedron.is_cone:
        return Cone(_distinct(integer_rows(G)), _distinct(integer_rows(polyhedron.C)), polyhedron.n)
    apex = np.zeros((1, polyhedron.n + 1))
    apex[0, -1] = -1.0
    inequalities = np.concatenate([np.column_stack([G, -h]), apex])
    equalities = np.column_stack([polyhedron.C, -polyhedron.d])
    return Cone(_distinct(integer_rows(inequalities)), _distinct(integer_rows(equalities)), polyhedron.n + 1)


def _distinct(rows: Sequence[Vector]) -> list[Vector]:
    """The rows without zeros and repetitions, in order of first appearance."""
    return [row for row in dict.fromkeys(rows) if any(row)]


def _assemble(
    polyhedron: Polyhedron, rays: Sequence[Sequence[Fraction]], lines: Sequence[Vector]
) -> Generators:
    n = polyhedron.n
    if polyhedron.is_cone:
        directions, points = sorted(map(direction, rays)), [(Fraction(0),) * n]
    else:
        directions = sorted(direction(ray[:n]) for ray in rays if not ray[n])
        points = sorted(tuple(v / ray[n] for v in ray[:n]) for ray in rays if ray[n])
        lines = [line[:n] for line in lines]
        if not points:
            raise InfeasibleError(f"{polyhedron} is empty: no point satisfies all rows; relax b, lower or d")
    return Generators(
        rays=to_unit(directions, n),
        lines=to_unit(lines, n),
        vertices=to_float(points, n),
        exact_rays=tuple(directions),
        exact_lines=tuple(lines),
        exact_vertices=tuple(points),
    )
