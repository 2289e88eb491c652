"""What the planner and its report ask about a set: which maps serve it, their cost, how far they move points.

Costs are multiply-adds per sample. The distortion of a map is estimated on seeded points around the set with
certified distances, see `parameterizations/_calibration.py`; each number is computed once, when asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from textwrap import shorten
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from .analysis import Analysis, analyse
from .parameterizations import (
    AbstractParameterization,
    Box,
    Gauge,
    HalfSpaces,
    Knapsack,
    Monotone,
    Rays,
    Refined,
    Shift,
    Simplex,
    Strict,
)
from .parameterizations._calibration import (
    RELAXATION,
    Rows,
    deep_rows,
    distance_bound,
    distortion,
    sample_points,
)
from .parameterizations._interior import not_strict
from .parameterizations._moves import Scaling, Shifting
from .parameterizations.blocks import Block, Blocks, equal_blocks, split
from .parameterizations.refined import RTOL
from .polyhedron import Polyhedron
from .rounding import Dtypes, Sizes

if TYPE_CHECKING:
    from .planner import Plan

MAX_KINDS = 32
"""Each kind of block is a few kernel launches of its own."""
STEPS, PENALTY = 20, 0.3
"""Of the dual iteration that bounds the distances of the points."""
LARGE = 200_000
"""Entries of the rows from which a third of the points is used."""
REFINED_STEPS = 10
"""What `refined` as a rule ends with: 5 to 14 on random cones of all sizes."""
KNAPSACK_PASSES = 30
"""Of `knapsack` over a point, about: seven steps of three, and what comes before and after."""
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


class Survey:
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

    @property
    def few_kinds(self) -> bool:
        """Whether the set is a product, and of few enough kinds of blocks."""
        return 0 < len(self.kinds) <= MAX_KINDS

    @cached_property
    def parts(self) -> list[Plan]:
        """The plan for each kind of block."""
        from .planner import plan

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
        return deep_rows(self.analysis, shifting)

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
        return name in {entry.name for entry in (*CLOSED_FORMS, Knapsack)}

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
        if entry.name not in COSTS:  # a new map, before anyone has said what it costs
            return Alternative(entry.name, reason=f"not weighed; ask for method={entry.name!r}")
        return Alternative(entry.name, self.cost(entry.name), self.distortion(entry.name))

    def refusal(self, entry: type[AbstractParameterization]) -> str | None:
        """Why it does not serve, without a second analysis where this one knows."""
        if entry in (Gauge, Refined, self.plain):
            return None
        if entry is Blocks and self.kinds and not self.few_kinds:
            return f"{len(self.kinds)} different blocks, each some kernel launches of its own"
        return entry.accepts(self.polyhedron)


def _level_cost(survey: Survey) -> int:
    """The rows, the hull twice, and the move."""
    q, n = survey.analysis.inequalities.G.shape
    return (q + 2 * len(survey.analysis.hull.f) + 1) * n


def _refined_cost(survey: Survey) -> int:
    q, n = survey.analysis.inequalities.G.shape
    return _level_cost(survey) + 2 * q * n + (REFINED_STEPS + 1) * q**2


def _half_spaces(survey: Survey) -> float:
    P, x = survey.polyhedron, survey.points
    rows = np.concatenate([P.A, P.C])
    upper, lower = np.concatenate([P.b, P.d]), np.concatenate([P.lower, P.d])
    product = x @ rows.T
    return survey.moved(x + (np.clip(product, lower, upper) - product) @ np.linalg.pinv(rows).T)


DISTORTIONS: dict[str, Callable[[Survey], float]] = {
    HalfSpaces.name: _half_spaces,
    Blocks.name: lambda survey: max(part.distortion for part in survey.parts),
    Shift.name: lambda survey: survey.moved(survey.rows(shifting=True).move(survey.points)),
    Gauge.name: lambda survey: survey.moved(survey.rows(shifting=False).move(survey.points)),
    Refined.name: lambda survey: min(1 + RTOL, survey.distortion(survey.plain.name)),  # what it aims at
}
COSTS: dict[str, Callable[[Survey], float]] = {
    Box.name: lambda survey: survey.polyhedron.n,
    Simplex.name: lambda survey: survey.polyhedron.n * (4 + np.log2(survey.polyhedron.n)),
    Monotone.name: lambda survey: survey.polyhedron.n * (1 + np.log2(survey.polyhedron.n)) ** 2,
    HalfSpaces.name: lambda survey: 2 * (survey.polyhedron.m + survey.polyhedron.p) * survey.polyhedron.n,
    Knapsack.name: lambda survey: KNAPSACK_PASSES * survey.polyhedron.n,
    Blocks.name: lambda survey: sum(
        len(same) * part.cost for same, part in zip(survey.kinds, survey.parts, strict=True)
    ),
    Shift.name: _level_cost,
    Gauge.name: _level_cost,
    Refined.name: _refined_cost,
}
