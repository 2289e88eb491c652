"""The planner: which map for a set, why, and what the others would cost.

In this order, the first that serves:
  1. an orthogonal projection in closed form: box, simplex, monotone, half_spaces where rows are orthogonal;
  2. knapsack, another orthogonal projection, if no feature is in two rows with several entries;
  3. blocks, if all of them are such projections;
  4. half_spaces, if the condition number of the rows at unit norm is at most MAX_CONDITION;
  5. blocks, if there are several, of at most MAX_KINDS kinds;
  6. shift, where a direction leads away from all rows, or gauge, whichever moves points less; refined where
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
from typing import Any

import numpy as np
import torch

from ._survey import Alternative, Survey
from .errors import InvalidInputError, UnsupportedSetError, check_choice, lookup
from .parameterizations import (
    PARAMETERIZATIONS,
    AbstractParameterization,
    HalfSpaces,
    Knapsack,
    Refined,
    Strict,
)
from .parameterizations._gradient import GRADIENTS, Gradient
from .parameterizations._interior import not_strict
from .parameterizations.blocks import Blocks
from .polyhedron import Polyhedron

BUDGET = 2.0
"""Seconds of set-up that a choice may take if nothing else is said."""
DISTORTION = 1.5
MAX_CONDITION = 8.0
"""Up to here nine of ten random cones have a distortion by `half_spaces` of at most 1.5, half of them of 1.4
just below it; from 10 to 15 the median is 1.6, from 25 to 40 it is 3.6."""


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
    _survey: Survey = field(repr=False)

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
    gradient: Gradient = "exact",
) -> Plan:
    """Choose a map for the set, without building it.

    Args:
        polyhedron: the set.
        dtype: of the points; whether strict mode is possible depends on it.
        budget: seconds of set-up that the map may take, by a rough estimate; BUDGET if None.
        strict: what the map will be built with.
        gradient: likewise; it has no say in the choice, and not every map has "inward".

    Raises:
        InfeasibleError: the set is empty; the text has a certificate.
        UnsupportedSetError: with `strict`, an inequality holds with equality on the whole set.
        InvalidInputError: not a polyhedron, a dtype that is not floating, or another gradient.

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
    check_choice("gradient", gradient, GRADIENTS)
    survey = Survey(polyhedron, dtype, BUDGET if budget is None else budget, strict)
    kept: dict[str, Any] = {} if gradient == "exact" else {"gradient": gradient}
    for rule in RULES:
        if (found := rule(survey)) is not None:
            method, reason, options = found
            return Plan(polyhedron, method, reason, options | kept, strict, survey)
    raise AssertionError("the last rule finds a method for every set")


Choice = tuple[str, str, dict[str, Any]] | None
"""Method, reason, options."""


def _closed_form(survey: Survey) -> Choice:
    if survey.closed_form is None:
        return None
    return survey.closed_form, "the orthogonal projection in closed form", {}


def _checked(survey: Survey) -> Choice:
    """From here on an empty set and, in strict mode, one without interior are refused."""
    survey.analysis.check_not_empty()
    if survey.strict and (reason := not_strict(survey.analysis)) is not None:
        raise UnsupportedSetError(f"no method can be strict for {survey.polyhedron}: {reason}")
    return None


def _orthogonal(survey: Survey) -> Choice:
    if survey.analysis.orthogonal_rows and HalfSpaces.accepts(survey.polyhedron) is None:
        return HalfSpaces.name, "rows are orthogonal, so that this is the orthogonal projection", {}
    return None


def _disjoint(survey: Survey) -> Choice:
    if Knapsack.accepts(survey.polyhedron) is not None:
        return None
    return Knapsack.name, "rows share no feature, so that this is the orthogonal projection", {}


def _exact_product(survey: Survey) -> Choice:
    choice = _product(survey)
    return choice if choice and survey.exact(Blocks.name) else None


def _well_conditioned(survey: Survey) -> Choice:
    P = survey.polyhedron
    if P.m + P.p > P.n or survey.analysis.condition > MAX_CONDITION or HalfSpaces.accepts(P) is not None:
        return None
    return (
        HalfSpaces.name,
        f"rows are well conditioned: {survey.analysis.condition:.3g} of {MAX_CONDITION:g}",
        {},
    )


def _product(survey: Survey) -> Choice:
    if not survey.few_kinds:
        return None
    each = [f"{len(same)} x {part.method}" for same, part in zip(survey.kinds, survey.parts, strict=True)]
    return (
        Blocks.name,
        f"the set is a product of independent blocks: {', '.join(each)}",
        {"methods": survey.methods},
    )


def _interior(survey: Survey) -> Choice:
    plain, seconds = survey.nearer, survey.refined_seconds
    factor = survey.distortion(plain)
    why = f"{plain} moves points {factor:.3g}x as far as the projection"
    if factor <= DISTORTION:
        return plain, f"{why}, at most {DISTORTION:g}x", {}
    if seconds <= survey.budget:
        return Refined.name, f"{why}, more than {DISTORTION:g}x", {}
    late = f"refined, with about {seconds:.2g} s of set-up, is over budget={survey.budget:.2g}"
    return plain, f"{why}, but {late}", {}


RULES: tuple[Callable[[Survey], Choice], ...] = (
    _closed_form,
    _checked,
    _orthogonal,
    _disjoint,
    _exact_product,
    _well_conditioned,
    _product,
    _interior,
)
