"""One view over everything that is measured: embedded maps, projections, yardsticks.

Derived from the tuples `PARAMETERIZATIONS` and `PROJECTIONS`, so that a new map or solver is
measured without a line here. A method prepares itself for an instance: what it does then is set-up;
what the returned call does is inference, torch tensor in, torch tensor out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from baselines import PROJECTIONS, AbstractProjection
from constrained import ConstrainedLinear, constrain
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization

from .problems._base import Instance


@dataclass(frozen=True)
class Target:
    """Where and in what dtype a method runs, and the seconds that its set-up may take."""

    device: torch.device
    dtype: torch.dtype
    setup_seconds: float


@dataclass
class Prepared:
    """A method that is ready.

    Attributes:
        run: (batch, in_features) -> (batch, n).
        in_features: the width of its input.
        projects: whether its input is a point of n features to be brought into the set.
        solver_seconds: the last call's time inside the solver, for solvers that are not torch.
    """

    run: Callable[[Tensor], Tensor]
    in_features: int
    projects: bool
    solver_seconds: Callable[[], float] | None = None


class AbstractMethod(ABC):
    """Something to measure: a name, a role and how to get ready."""

    role: ClassVar[str]
    """embedded, projection or yardstick."""
    feasible: ClassVar[bool] = True
    """Whether the output is meant to lie in the set."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """Set-up, timed as such."""


class Embedded(AbstractMethod):
    """A parameterization as `constrain(P, method=name)` gives it."""

    role = "embedded"

    def __init__(self, entry: type[AbstractParameterization]) -> None:
        super().__init__(entry.name)
        self.projects = entry.projection
        self.enumerates = entry.name == "rays"

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The module in evaluation mode, without gradients."""
        options: dict[str, Any] = {"max_seconds": target.setup_seconds} if self.enumerates else {}
        module = constrain(instance.polyhedron, method=self.name, **options)
        return _module(module, module.in_features, target, self.projects)


class PaperLayer(AbstractMethod):
    """The paper's whole layer: BatchNorm1d -> Linear -> |.| -> rays, from n features."""

    role = "embedded"

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The layer in evaluation mode, without gradients."""
        P = instance.polyhedron
        module = ConstrainedLinear(P.n, P, method="rays", max_seconds=target.setup_seconds)
        return _module(module, P.n, target, projects=False)


class Projected(AbstractMethod):
    """A projection of the suite."""

    role = "projection"

    def __init__(self, entry: type[AbstractProjection]) -> None:
        super().__init__(entry.name)
        self.entry = entry

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The adapter after its set-up."""
        project, last = self.entry(instance.polyhedron), {"solver_seconds": 0.0}

        def run(y: Tensor) -> Tensor:
            result = project(y)
            last["solver_seconds"] = result.info["solver_seconds"]
            return result.x

        return Prepared(run, instance.polyhedron.n, True, lambda: last["solver_seconds"])


class LinearYardstick(AbstractMethod):
    """`Linear(n, n)`: what one ordinary layer of the network costs; promises nothing."""

    role, feasible = "yardstick", False

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The layer in evaluation mode, without gradients."""
        n = instance.polyhedron.n
        return _module(nn.Linear(n, n), n, target, projects=False)


def _module(module: nn.Module, in_features: int, target: Target, projects: bool) -> Prepared:
    module = module.to(target.device, target.dtype).eval().requires_grad_(False)

    @torch.inference_mode()
    def run(z: Tensor) -> Tensor:
        return module(z)

    return Prepared(run, in_features, projects)


METHODS: tuple[AbstractMethod, ...] = (
    LinearYardstick("linear"),
    *(Embedded(entry) for entry in PARAMETERIZATIONS),
    PaperLayer("paper_layer"),
    *(Projected(entry) for entry in PROJECTIONS),
)

ALWAYS = ("linear", "osqp")
"""Measured in every cell, since every ratio is taken against them."""
