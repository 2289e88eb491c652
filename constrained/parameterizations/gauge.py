"""Gauge: scale the step from an interior point so that it ends inside.

    x = c + (z - c) / max(1, g(z)),    g(z) = max_i a_i (z - c) / (b_i - a_i c)

g is the gauge (Minkowski functional) of the set about c, a deep interior point. Feasible, onto the set, the
identity on it; not the orthogonal projection. Differentiable except where two rows are the worst, or
g = 1. Equalities: the point is projected onto the affine hull first. Cost: one product with an (n, m)
matrix, one maximum, one linear interpolation.
Source: the gauge map of Tabas and Zhang, Computationally Efficient Safe Reinforcement Learning for Power
Systems, ACC 2022, applied to points outside; Rockafellar, Convex Analysis, sec. 15.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..analysis import analyse
from ..polyhedron import Polyhedron
from ._interior import AbstractInterior
from ._moves import Scaling


class Gauge(AbstractInterior):
    """`z -> c + (z - c) / max(1, max_i a_i (z - c) / (b_i - a_i c))`.

    Args:
        polyhedron: not empty.
        strict, check_finite, gradient: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). Per sample: `b` (*batch, m), `A` (*batch, m, n), `interior`
    (*batch, n), a point with `A interior < b`.

    Raises:
        UnsupportedSetError: with `strict`, an implicit equality; per sample, a point that is not interior.
        InfeasibleError: the set is empty.
    """

    name, surjective, projection, citation = "gauge", True, True, "tabas2022"
    inward = True
    per_sample = ("A", "b", "interior")

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        analysis = analyse(polyhedron)
        self.set_up(analysis, analysis.interior_point, Scaling)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Every set that is not empty."""
        analyse(polyhedron).check_not_empty()
        return None

    def pull(self, x: Tensor) -> Tensor:
        """The point itself."""
        return x
