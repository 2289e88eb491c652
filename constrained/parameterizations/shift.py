"""Shift: along one interior direction, just as far as the worst row asks for.

    x = z + relu(max_i (a_i z - b_i) / (-a_i e)) e,    a_i e < 0 for all i

e is the deepest direction: the shortest with `a_i e <= -1` for rows of unit norm, so that a point moves
at most ||e|| times as far as its worst violation. Feasible, onto the set, the identity on it; not the
orthogonal projection. Differentiable except where two rows are the worst, or the worst is just tight.
Equalities: the point is projected onto the affine hull first. Cost: one product with an (n, m) matrix,
one maximum, one multiply-add.
Source: ours. A direction e with `A e < 0` is what makes a cone full-dimensional (Schrijver, Theory of Linear
and Integer Programming, sec. 8.2).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..analysis import analyse
from ..polyhedron import Polyhedron
from ._interior import AbstractInterior
from ._moves import Shifting


class Shift(AbstractInterior):
    """`z -> z + relu(max_i (a_i z - b_i) / (-a_i e)) e`.

    Args:
        polyhedron: its recession cone has a direction e with `a_i e < 0` for every row that is not
            an implicit equality (every full-dimensional cone does).
        strict, check_finite, gradient: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). Per sample: `b` (*batch, m), any values; `A` (*batch, m, n) with,
    where the direction of the set is not interior for it, `interior` (*batch, n), a direction with
    `A interior < 0`.

    Raises:
        UnsupportedSetError: there is no such direction; with `strict`, an implicit equality; per sample, a
            direction that is not interior.
        InfeasibleError: the set is empty.
    """

    name, surjective, projection, citation = "shift", True, True, "schrijver1986"
    inward = True
    per_sample = ("A", "b", "interior")

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        analysis = analyse(polyhedron)
        assert analysis.direction is not None
        self.set_up(analysis, analysis.direction, Shifting)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """A recession direction that leads away from every row."""
        if analyse(polyhedron).direction is None:
            return "no direction leads away from all of its rows at once; use 'gauge' or 'refined'"
        return None

    def pull(self, x: Tensor) -> Tensor:
        """The point itself."""
        return x
