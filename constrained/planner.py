"""The planner: which map for a set, why, and what the others would cost.

In this order, the first that serves:
  1. an orthogonal projection in closed form: box, simplex, monotone, half_spaces where rows are orthogonal;
  2. blocks, if all of them are such projections;
  3. half_spaces, if the condition number of the rows at unit norm is at most MAX_CONDITION;
  4. blocks, if there are several, of at most MAX_KINDS kinds;
  5. shift, where a direction leads away from all rows, or gauge, whichever moves points less; refined where
     that is more than DISTORTION times as far as the orthogonal projection and its set-up fits the budget.

The distortion of a map is the median, over seeded points around the set, of how far it moves a point,
divided by a lower bound on the distance of the point from the set: see `_calibration.py`. The
multipliers of that bound are those of a few dual ADMM steps, enough to come within 3 % of the distance on
every family of sets tried. Rays are never enumerated. Cost: the analysis of the set, one Cholesky factor
(q, q) and STEPS solutions with it for the q inequalities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
import torch

from .analysis import Analysis, analyse
from .errors import InvalidInputError, UnsupportedSetError, lookup
from .parameterizations import (
    PARAMETERIZATIONS,
    AbstractParameterization,
    Box,
    Gauge,
    HalfSpaces,
    Monotone,
    Rays,
    Refined,
    Shift,
    Simplex,
    Strict,
)
from .parameterizations._calibration import RELAXATION, Rows, distance_bound, distortion, sample_points
from .parameterizations._interior import not_strict, unit_rows
from .parameterizations._moves import Scaling, Shifting
from .parameterizations.blocks import Block, Blocks, equal_blocks, split
from .parameterizations.refined import RTOL
from .polyhedron import Polyhedron
from .rounding import Dtypes, Sizes

BUDGET = 2.0
"""Seconds of set-up that a choice may take if nothing else is said."""
DISTORTION = 1.5
MAX_CONDITION = 8.0
"""Up to here nine of ten random cones have a distortion by `half_spaces` of at most 1.5, half of them of 1.4
just below it; from 10 to 15 the median is 1.6, from 25 to 40 it is 3.6."""
MAX_KINDS = 32
"""Each kind of block is a few kernel launches of its own."""
STEPS, PENALTY = 20, 0.3
LARGE = 200_000
"""Entries of the rows from which a third of the points is used."""
REFINED_STEPS = 10
"""What `refined` as a rule ends with: 5 to 14 on random cones of all sizes."""
WIDTH = 100
"""Characters of a reason in the report."""
CLOSED_FORMS = (Box, Simplex, Monotone)


class Alternative(NamedTuple):
    """What another method would cost, or why it does not serve.

    Attributes:
        name: of the method.
        cost: multiply-adds per sample, None if it does not serve or is not known.
        distortion: see the module; None likewise.
        reason: why it does not serve; empty if it does.
    """

    name: str
    cost: int | None = None
    distortion: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.cost is None or self.distortion is None:
            return f"{self.name}: {shorten(self.reason, WIDTH, placeholder='...')}"
        return f"{self.name}: {self.cost:,} multiply-adds, {self.distortion:.3g}x"


@dataclass(frozen=True, eq=False)
class Plan:
    """The method chosen for a set; printed, five lines.

    What the choice did not need is computed when it is asked for.

    Attributes:
        polyhedron: the set.
        method: the name of the parameterization.
        reason: why this one.
        options: of the method.
        strict: what it was planned for.
    """

    polyhedron: Polyhedron
    method: str
    reason: str
    options: dict[str, Any]
    strict: Strict
    _survey: _Survey = field(repr=False)

    def build(self, strict: Strict | None = None, check_finite: bool = False) -> AbstractParameterization:
        """The module; `strict` as planned unless given. Arguments and errors: see `constrain`."""
        entry = lookup("method", self.method, PARAMETERIZATIONS)
        strict = self.strict if strict is None else strict
        return entry(self.polyhedron, strict=strict, check_finite=check_finite, **self.options)

    @property
    def cost(self) -> int:
        """Multiply-adds per sample, about."""
        return self._survey.cost(self.method)

    @property
    def exact(self) -> bool:
        """Whether the map is the orthogonal projection."""
        return self._survey.exact(self.method)

    @property
    def distortion(self) -> float:
        """How many times as far as the orthogonal projection the map moves a point."""
        return self._survey.distortion(self.method)

    @property
    def condition(self) -> float:
        """Condition number of the rows of A and C at unit norm; inf if they are dependent."""
        return self._survey.analysis.condition

    @property
    def margin(self) -> float:
        """Least slack of the interior point, in units of the row norms; inf without inequalities."""
        return self._survey.analysis.margin

    @property
    def not_strict(self) -> str | None:
        """Why there is no strict mode, None if there is one."""
        return self._survey.not_strict(self.method)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The other methods, in the order of `PARAMETERIZATIONS`."""
        return tuple(
            self._survey.alternative(entry) for entry in PARAMETERIZATIONS if entry.name != self.method
        )

    def __str__(self) -> str:
        P, analysis = self.polyhedron, self._survey.analysis
        equalities = f" and {P.p} equalities" if P.p else ""
        e = analysis.direction
        direction = (
            "no interior direction" if e is None else f"interior direction of length {np.linalg.norm(e):.4g}"
        )
        strict = "possible" if self.not_strict is None else f"not possible: {self.not_strict}"
        cost = f"{self.cost:,} multiply-adds a sample"
        lines = (
            f"{self.method} for {P}: {cost}, moves points {self.distortion:.3g}x as far as the projection",
            f"  why:    {self.reason}",
            f"  others: {'; '.join(map(str, self.alternatives))}",
            f"  rows:   n x m = {P.n} x {P.m}{equalities}, rank {analysis.rank}, "
            f"condition number {self.condition:.3g}",
            f"  margin: {self.margin:.4g} at the interior point, {direction}; strict mode {strict}",
        )
        return "\n".join(lines)


def plan(
    polyhedron: Polyhedron,
    dtype: torch.dtype = torch.float32,
    budget: float | None = None,
    strict: Strict = False,
) -> Plan:
    """Choose a map for the set, without building it.

    Args:
        polyhedron: the set.
        dtype: of the points; whether strict mode is possible depends on it.
        budget: seconds of set-up that the map may take, by a rough estimate; BUDGET if None.
        strict: what the map will be built with.

    Raises:
        InfeasibleError: the set is empty; the text has a certificate.
        UnsupportedSetError: with `strict`, an inequality holds with equality on the whole set.
        InvalidInputError: not a polyhedron, or a dtype that is not floating.

    Example:
        >>> P = Polyhedron([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
        >>> plan(P).method
        'half_spaces'
    """
    if not isinstance(polyhedron, Polyhedron):
        raise InvalidInputError(
            f"expected a constrained.Polyhedron, found {type(polyhedron).__name__}; try Polyhedron(A)"
        )
    if not dtype.is_floating_point:
        raise InvalidInputError(f"dtype must be a real floating dtype; found {dtype}")
    survey = _Survey(polyhedron, dtype, BUDGET if budget is None else budget, strict)
    for rule in RULES:
        if (found := rule(survey)) is not None:
            return Plan(polyhedron, *found, strict, survey)
    raise AssertionError("the last rule finds a method for every set")


Choice = tuple[str, str, dict[str, Any]] | None
"""Method, reason, options."""


class _Survey:
    """What the rules and the report ask about a set, each computed once."""

    def __init__(self, polyhedron: Polyhedron, dtype: torch.dtype, budget: float, strict: Strict) -> None:
        self.polyhedron, self.dtype, self.budget = polyhedron, dtype, budget
        self.strict: Strict = strict
        self.analysis: Analysis = analyse(polyhedron)
        self.distortions: dict[str, float] = {}

    @cached_property
    def closed_form(self) -> str | None:
        """The first projection in closed form that serves."""
        return next((entry.name for entry in CLOSED_FORMS if entry.accepts(self.polyhedron) is None), None)

    @cached_property
    def kinds(self) -> list[list[Block]]:
        """Equal blocks together, free features aside; empty if all features are one block."""
        if len(self.analysis.blocks) == 1:
            return []
        blocks = split(self.polyhedron)
        return [same for same, _ in equal_blocks(blocks, [None] * len(blocks))]

    @cached_property
    def parts(self) -> list[Plan]:
        """The plan for each kind of block."""
        budget = self.budget / max(len(self.kinds), 1)
        return [plan(same[0].polyhedron, self.dtype, budget, self.strict) for same in self.kinds]

    @property
    def methods(self) -> tuple[str, ...]:
        """The method of each block, in the order of `split`."""
        chosen = [
            (block.features[0], part.method)
            for same, part in zip(self.kinds, self.parts, strict=True)
            for block in same
        ]
        return tuple(method for _, method in sorted(chosen))

    @property
    def plain(self) -> type[AbstractParameterization]:
        """The cheapest map that serves every set."""
        return Gauge if self.analysis.direction is None else Shift

    @property
    def nearer(self) -> str:
        """The plain map that moves points less; on a cone `shift`, as `gauge` does not scale with them."""
        if self.plain is Gauge or self.polyhedron.is_cone:
            return self.plain.name
        return min((Shift.name, Gauge.name), key=self.distortion)

    def rows(self, shifting: bool) -> Rows:
        """Unit rows within the hull, and a target."""
        analysis, move = self.analysis, Shifting if shifting else Scaling
        A, b = unit_rows(analysis)
        across = A @ analysis.hull.Q.T
        A, b = A - across @ analysis.hull.Q, b - across @ analysis.hull.f
        target = analysis.direction if shifting else analysis.interior_point
        assert target is not None
        return Rows(A, b, target, np.where(A.any(1), move.depths(A, b, target), 1.0), shifting)

    @cached_property
    def points(self) -> np.ndarray:  # (groups, points, n)
        """Around the set."""
        points = sample_points(self.analysis)
        return points[:, ::3] if self.analysis.inequalities.G.size > LARGE else points

    @cached_property
    def distances(self) -> np.ndarray:  # (groups, points)
        """Lower bounds on the distances of the points."""
        from scipy.linalg import cho_factor, cho_solve

        rows = self.rows(shifting=self.plain is Shift)
        q = (self.points @ rows.A.T - rows.b).reshape(-1, len(rows.b)).T
        factor = cho_factor(rows.A @ rows.A.T + PENALTY * np.eye(len(rows.b)))
        v = np.zeros_like(q)
        for _ in range(STEPS):  # in the notation of refined.py, with M by its factor
            pulled = RELAXATION * cho_solve(factor, q + PENALTY * np.abs(v))
            v = pulled + (1 - RELAXATION / 2) * v - RELAXATION / 2 * np.abs(v)
        bound = distance_bound(rows.A, q.T, np.maximum(v, 0).T)
        return bound.reshape(self.points.shape[:-1])

    def exact(self, name: str) -> bool:
        """Whether the method, which serves the set, is the orthogonal projection onto it."""
        if name == Blocks.name:
            return all(part.exact for part in self.parts)
        if name == HalfSpaces.name:
            return self.analysis.orthogonal_rows
        return name in {entry.name for entry in CLOSED_FORMS}

    def distortion(self, name: str) -> float:
        """Of the method, which serves the set."""
        if name not in self.distortions:
            self.distortions[name] = 1.0 if self.exact(name) else DISTORTIONS[name](self)
        return self.distortions[name]

    def moved(self, x: np.ndarray) -> float:
        """The distortion of a map that moves the points to x, (groups, points, n)."""
        return distortion(np.linalg.norm(x - self.points, axis=-1), self.distances)

    def cost(self, name: str) -> int:
        """Multiply-adds per sample."""
        return int(COSTS[name](self))

    @property
    def refined_seconds(self) -> float:
        """The set-up of refined on one core, about: a spectrum, six matrices (q, q), steps on the points."""
        q, n = (max(size, 1) for size in self.analysis.inequalities.G.shape)
        return (30 * q**3 + 72 * q * (120 * q + 20 * n)) * 1e-10

    def not_strict(self, name: str) -> str | None:
        """Why the method cannot be strict, if so."""
        if self.closed_form == name:
            return None
        if (reason := not_strict(self.analysis)) is not None or not len(self.analysis.inequalities.G):
            return reason
        rows = self.rows(shifting=self.plain is Shift)
        move = Shifting if rows.shifting else Scaling
        work = torch.promote_types(self.dtype, torch.float32)
        sizes = Sizes.of(rows.A / rows.depths[:, None], rows.b / rows.depths, rows.target)
        if move.margin(sizes, Dtypes(work, work, self.dtype)).served:
            return None
        return f"the set is so thin that rounding to {self.dtype} alone can leave it"

    def alternative(self, entry: type[AbstractParameterization]) -> Alternative:
        """What it would cost."""
        if entry is Rays:
            return Alternative(entry.name, reason="not enumerated; ask for method='rays'")
        if (reason := self.refusal(entry)) is not None:
            return Alternative(entry.name, reason=reason)
        return Alternative(entry.name, self.cost(entry.name), self.distortion(entry.name))

    def refusal(self, entry: type[AbstractParameterization]) -> str | None:
        """Why it does not serve, without a second analysis where this one knows."""
        if entry in (Gauge, Refined, self.plain):
            return None
        if entry is Blocks and len(self.kinds) > MAX_KINDS:
            return f"{len(self.kinds)} different blocks, each some kernel launches of its own"
        return entry.accepts(self.polyhedron)


def _closed_form(survey: _Survey) -> Choice:
    if survey.closed_form is None:
        return None
    return survey.closed_form, "the orthogonal projection in closed form", {}


def _checked(survey: _Survey) -> Choice:
    """From here on an empty set and, in strict mode, one without interior are refused."""
    survey.analysis.check_not_empty()
    if survey.strict and (reason := not_strict(survey.analysis)) is not None:
        raise UnsupportedSetError(f"no method can be strict for {survey.polyhedron}: {reason}")
    return None


def _orthogonal(survey: _Survey) -> Choice:
    if survey.analysis.orthogonal_rows and HalfSpaces.accepts(survey.polyhedron) is None:
        return HalfSpaces.name, "rows are orthogonal, so that this is the orthogonal projection", {}
    return None


def _exact_product(survey: _Survey) -> Choice:
    choice = _product(survey)
    return choice if choice and survey.exact(Blocks.name) else None


def _well_conditioned(survey: _Survey) -> Choice:
    P = survey.polyhedron
    if P.m + P.p > P.n or survey.analysis.condition > MAX_CONDITION or HalfSpaces.accepts(P) is not None:
        return None
    return (
        HalfSpaces.name,
        f"rows are well conditioned: {survey.analysis.condition:.3g} of {MAX_CONDITION:g}",
        {},
    )


def _product(survey: _Survey) -> Choice:
    if not 0 < len(survey.kinds) <= MAX_KINDS:
        return None
    each = [f"{len(same)} x {part.method}" for same, part in zip(survey.kinds, survey.parts, strict=True)]
    return (
        Blocks.name,
        f"the set is a product of independent blocks: {', '.join(each)}",
        {"methods": survey.methods},
    )


def _interior(survey: _Survey) -> Choice:
    plain, seconds = survey.nearer, survey.refined_seconds
    factor = survey.distortion(plain)
    why = f"{plain} moves points {factor:.3g}x as far as the projection"
    if factor <= DISTORTION:
        return plain, f"{why}, at most {DISTORTION:g}x", {}
    if seconds <= survey.budget:
        return Refined.name, f"{why}, more than {DISTORTION:g}x", {}
    late = f"refined, with about {seconds:.2g} s of set-up, is over budget={survey.budget:.2g}"
    return plain, f"{why}, but {late}", {}


RULES: tuple[Callable[[_Survey], Choice], ...] = (
    _closed_form,
    _checked,
    _orthogonal,
    _exact_product,
    _well_conditioned,
    _product,
    _interior,
)


def _level_cost(survey: _Survey) -> int:
    """The rows, the hull twice, and the move."""
    q, n = survey.analysis.inequalities.G.shape
    return (q + 2 * len(survey.analysis.hull.f) + 1) * n


def _refined_cost(survey: _Survey) -> int:
    q, n = survey.analysis.inequalities.G.shape
    return _level_cost(survey) + 2 * q * n + (REFINED_STEPS + 1) * q**2


def _half_spaces(survey: _Survey) -> float:
    P, x = survey.polyhedron, survey.points
    rows = np.concatenate([P.A, P.C])
    upper, lower = np.concatenate([P.b, P.d]), np.concatenate([P.lower, P.d])
    product = x @ rows.T
    return survey.moved(x + (np.clip(product, lower, upper) - product) @ np.linalg.pinv(rows).T)


DISTORTIONS: dict[str, Callable[[_Survey], float]] = {
    HalfSpaces.name: _half_spaces,
    Blocks.name: lambda survey: max(part.distortion for part in survey.parts),
    Shift.name: lambda survey: survey.moved(survey.rows(shifting=True).move(survey.points)),
    Gauge.name: lambda survey: survey.moved(survey.rows(shifting=False).move(survey.points)),
    Refined.name: lambda survey: min(1 + RTOL, survey.distortion(survey.plain.name)),  # what it aims at
}
COSTS: dict[str, Callable[[_Survey], float]] = {
    Box.name: lambda survey: survey.polyhedron.n,
    Simplex.name: lambda survey: survey.polyhedron.n * (4 + np.log2(survey.polyhedron.n)),
    Monotone.name: lambda survey: survey.polyhedron.n * (1 + np.log2(survey.polyhedron.n)) ** 2,
    HalfSpaces.name: lambda survey: 2 * (survey.polyhedron.m + survey.polyhedron.p) * survey.polyhedron.n,
    Blocks.name: lambda survey: sum(
        len(same) * part.cost for same, part in zip(survey.kinds, survey.parts, strict=True)
    ),
    Shift.name: _level_cost,
    Gauge.name: _level_cost,
    Refined.name: _refined_cost,
}
