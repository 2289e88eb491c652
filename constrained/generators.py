"""Generators: from the H- to the V-representation, exactly.

    {x : lower <= A x <= b, C x = d} = conv(vertices) + cone(rays) + span(lines)

(Minkowski and Weyl; Schrijver, Theory of Linear and Integer Programming, sec. 7.2 and 8.9.) The
entries of A, b, C, d, lower are taken as the rational numbers that they are. A set that is not a
cone is lifted to the cone `{(x, t) : G x <= h t, C x = d t, t >= 0}`, whose rays with t > 0 are the
vertices. The result is canonical, whatever the engine: lines are the reduced echelon basis of the
lineality space, rays and vertices are the representatives orthogonal to it, in sorted order.
Results that took long are kept on disk (`constrained/cache.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from pathlib import Path
from time import perf_counter

import numpy as np

from .cache import Cache
from .engines import ENGINES, AbstractEngine, Budget
from .engines._base import Cone, check_count
from .engines._formats import ext_rays, ine_lines
from .engines._soundness import unsound
from .errors import InfeasibleError, InvalidInputError, VerificationError, lookup, require
from .exact import Vector, independent_rows, integer_rows, null_space, orthogonal_part, to_float, to_unit
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
    processes: int = 1,
    cache: str | Path | bool | None = None,
) -> Generators:
    """Enumerate the extreme rays, lines and vertices of a polyhedron.

    Args:
        polyhedron: the set, not empty.
        engine: "exact" (integers, PPL), "normaliz" (integers as well, by other means), "lrs" (integers,
            reverse search by the programs lrs and mplrs) or "cdd" (floating point as in the paper, its
            result verified in exact arithmetic and refused when wrong).
        max_rays: stop when more rays and vertices than this are held at once, looked at every few rows
            (by "normaliz": in the end); None for no limit.
        max_seconds: stop the engine after this time; None for no limit.
        processes: for "normaliz" threads, for "lrs" MPI processes of mplrs (4 or more).
        cache: a folder in which every result of this engine is kept and looked for; False: none; None:
            the user's cache folder or `CONSTRAINED_CACHE`, where enumerations of over a second are kept.

    Raises:
        InfeasibleError: the set is empty.
        BudgetExceededError: a budget is spent; the text gives the count reached and what else to try.
        EngineError: the engine failed.
        VerificationError: the engine's result is not the V-representation.
        MissingDependencyError: the extra "rays", or the program of the engine, is not installed.
    """
    chosen = lookup("ray engine", engine, ENGINES)
    if not isinstance(processes, int) or processes < 1 or (processes > 1 and not chosen.parallel):
        raise InvalidInputError(
            f"processes must be a whole number of at least 1, and 1 for an engine that is not parallel; "
            f"found {processes!r} for {engine!r}: try engine='normaliz' or 'lrs'"
        )
    task, budget = _task(polyhedron, chosen), Budget(max_rays, max_seconds, processes)
    kept = Cache.chosen(cache)
    rays = kept.load(task.pointed, engine)
    if rays is None:
        start = perf_counter()
        rays = task.canonical(_enumerate(chosen, task, budget))
        kept.store(task.pointed, engine, rays, perf_counter() - start)
    check_count(len(rays), budget)
    return _assemble(polyhedron, rays, task.lines)


def write_ine(polyhedron: Polyhedron, path: str | Path) -> None:
    """Write the enumeration as an `.ine` file for lrs, mplrs or cddlib, to be run elsewhere.

    For example `mpirun -np 64 mplrs set.ine set.ext`, then `read_ext(polyhedron, "set.ext")`. The file
    holds a bounded section of the cone over the set, in exact integers: see `engines/_formats.py`.
    """
    require("flint", "rays")
    with Path(path).open("w") as file:
        file.writelines(f"{line}\n" for line in ine_lines(lifted_cone(polyhedron)))


def read_ext(polyhedron: Polyhedron, path: str | Path, complete: bool = True) -> Generators:
    """The generators of a polyhedron from the `.ext` file that a run on its `write_ine` file gave.

    Args:
        polyhedron: the set that was written.
        path: what lrs, mplrs or cddlib has printed.
        complete: also verify that no ray is missing, which takes time for very many; that every
            generator is an exact extreme ray or vertex of the set is verified always.

    Raises:
        InfeasibleError: the set is empty.
        EngineError: the file has another shape, or has no end.
        VerificationError: a point in the file is no generator of the set, or one is missing.
    """
    task = _task(polyhedron, None)
    with Path(path).open() as file:
        rays = task.canonical(ext_rays(file, task.cone.n))
    if (reason := unsound(task.pointed, rays)) is not None:
        raise VerificationError(f"{path} is not the V-representation of {polyhedron}: {reason}")
    if complete:
        from .verification import verified_rays

        verified_rays(task.cone, to_unit(rays, task.cone.n).tolist(), task.row_space)
    return _assemble(polyhedron, rays, task.lines)


def check_generators(polyhedron: Polyhedron, found: Generators) -> None:
    """Raise `VerificationError` unless all of `found` are exact generators of the set, with its lines.

    That none is missing is not looked at.
    """
    task = _task(polyhedron, None)
    if polyhedron.is_cone:
        rays, lines = list(found.exact_rays), list(found.exact_lines)
    else:
        rays = [(*ray, 0) for ray in found.exact_rays] + list(map(_lifted, found.exact_vertices))
        lines = [(*line, 0) for line in found.exact_lines]
    origin = not polyhedron.is_cone or found.exact_vertices == ((0,) * polyhedron.n,)
    same = origin and lines == task.lines and all(len(ray) == task.cone.n for ray in rays)
    if (reason := unsound(task.pointed, rays) if same else "other lines, vertices or features") is not None:
        raise VerificationError(f"these are not the generators of {polyhedron}: {reason}")


def _lifted(point: Point) -> Vector:
    scale = lcm(*(v.denominator for v in point))
    return (*(v.numerator * (scale // v.denominator) for v in point), scale)


@dataclass(frozen=True)
class _Task:
    """The cone to enumerate, its lineality space, and the cone without it."""

    cone: Cone
    row_space: list[Vector]
    lines: list[Vector]

    @property
    def pointed(self) -> Cone:
        """The part orthogonal to the lines, in which the canonical representatives lie."""
        return Cone(self.cone.inequalities, [*self.cone.equalities, *self.lines], self.cone.n)

    def canonical(self, rays: Iterable[Vector]) -> list[Vector]:
        """The representatives orthogonal to the lines, sorted, without repetitions."""
        found = list(rays)
        return sorted(set(orthogonal_part(found, self.row_space, self.cone.n) if self.lines else found))


def _task(polyhedron: Polyhedron, engine: type[AbstractEngine] | None) -> _Task:
    for module in sorted({"ppl", "flint", engine.requires if engine else "flint"}):
        require(module, "rays")
    cone = lifted_cone(polyhedron)
    rows = [*cone.equalities, *cone.inequalities]
    row_space = [rows[i] for i in independent_rows(rows, cone.n)]
    return _Task(cone, row_space, null_space(row_space, cone.n))


def _enumerate(engine: type[AbstractEngine], task: _Task, budget: Budget) -> list[Vector]:
    found = engine.rays(task.cone, budget)
    if engine.exact:
        return [tuple(ray) for ray in found]
    from .verification import verified_rays

    return verified_rays(task.cone, found, task.row_space)


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


def _assemble(polyhedron: Polyhedron, rays: Sequence[Vector], lines: Sequence[Vector]) -> Generators:
    n = polyhedron.n
    directions, points = list(rays), [(Fraction(0),) * n]
    if not polyhedron.is_cone:
        directions = [ray[:n] for ray in rays if not ray[n]]
        points = sorted(tuple(Fraction(v, ray[n]) for v in ray[:n]) for ray in rays if ray[n])
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
