"""Planning: how long the analysis and the set-up of a map take, from the numbers of the set.

    direction    analyse(P).direction    the deepest interior direction, on which the maps rest
    constrain    constrain(P)            everything up to a layer that can be called

The set is built anew for each round, so that nothing is remembered from the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from constrained import Polyhedron, constrain
from constrained.analysis import analyse

from .methods import AbstractMethod, Prepared, Target
from .problems._base import Instance


class Planning(AbstractMethod):
    """A piece of planning, as if it were a call on points."""

    role, feasible = "yardstick", False

    def __init__(self, name: str, plan: Callable[[Polyhedron], Any]) -> None:
        super().__init__(name)
        self.plan = plan

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """Nothing to prepare: the call is what is measured."""
        P = instance.polyhedron

        def run(points: Tensor) -> Tensor:
            self.plan(Polyhedron(P.A, P.b, P.C, P.d, P.lower))
            return points

        return Prepared(run, P.n, projects=False, bounded=True)


def _direction(polyhedron: Polyhedron) -> Any:
    return analyse(polyhedron).direction


PLANS: tuple[AbstractMethod, ...] = (
    Planning("direction", _direction),
    Planning("constrain", constrain),
)
