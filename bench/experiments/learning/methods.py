"""The methods of the training comparison: what follows the backbone that all of them share.

    embedded        Linear(width, k) -> map into the set            every parameterization that serves the set
    as published    BatchNorm -> Linear -> |.| -> rays              the paper's layer
    improved        LayerNorm -> Linear -> softplus -> rays, lines  the same with free coefficients of lines
    afterwards      Linear(width, n), projected at evaluation       trained alone, or with a penalty
    in the loop     Linear(width, n) -> projection                  differentiated through

Where a map cannot serve a set that is a cone cut by the box [-1, 1]^n, it serves the cone and gets into the
box by scaling, as the paper does. Embedded maps are plain in training and strict at evaluation wherever
they can be: the same weights, every inequality exact.
A new method is an entry in METHODS; a parameterization is one by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

import constrained as cn
from baselines import PROJECTIONS, AbstractProjection, DifferentiableProjection
from constrained.errors import UnsupportedSetError, lookup
from constrained.parameterizations import PARAMETERIZATIONS
from constrained.polyhedron import Polyhedron

from .._penalty import SquaredExcess
from .tasks import AbstractTask

Role = Literal["embedded", "projection"]
CHOICES: dict[str, dict[str, Any]] = {"rays": {"lines": "free"}}
"""Options of the maps that train best, see the ablation, beside the inward gradient where a map has it."""
IMPROVED: dict[str, Any] = {"norm": "layer", "lines": "free", "coefficients": "softplus"}
"""The published layer with what trains better in the place of what was published."""
BEST = ("closed_box", "closed_simplex", "closed_isotonic", "closed_orthogonal", "closed_knapsack")
"""The projections in closed form; the batched exact one serves the rest."""


class AbstractHead(nn.Module, ABC):
    """(N, width) -> (N, n). In evaluation mode the output is in the set, or `projection` brings it there.

    Attributes:
        strict: whether every inequality holds exactly in evaluation mode.
        feasible: whether the output needs no projection.
    """

    strict: bool = False
    feasible: bool = True

    @abstractmethod
    def forward(self, h: Tensor) -> Tensor:  # (N, width) -> (N, n)
        """The outputs."""

    def penalty(self, x: Tensor) -> Tensor:  # (N, n) -> ()
        """What is added to the loss in training."""
        return x.new_zeros(())

    def set_epoch(self, epoch: int) -> None:
        """Tell modules that change while they train which epoch it is."""
        for module in self.modules():
            if isinstance(module, cn.BoxScaling):
                module.set_epoch(epoch)


class Embedded(AbstractHead):
    """`Linear`, then a map into the set; its strict twin has no weights, so nothing is trained twice."""

    def __init__(self, task: AbstractTask, width: int, method: str, options: dict[str, Any]) -> None:
        super().__init__()
        set_, boxed = _served(task, method)
        self.map = cn.constrain(set_, method, **options)
        self.twin = None if boxed else _strict(set_, method, options)
        self.strict = self.twin is not None
        self.box = cn.BoxScaling() if boxed else nn.Identity()
        self.linear = nn.Linear(width, self.map.in_features)

    def forward(self, h: Tensor) -> Tensor:  # (N, width) -> (N, n)
        """See the class."""
        map_ = self.map if self.training or self.twin is None else self.twin
        return self.box(map_(self.linear(h)))


class PaperLayer(AbstractHead):
    """`cn.ConstrainedLinear`, by default as it was published."""

    def __init__(self, task: AbstractTask, width: int, method: str, options: dict[str, Any]) -> None:
        super().__init__()
        set_, boxed = _served(task, method)
        self.layer = cn.ConstrainedLinear(width, set_, method, box=boxed, **options)

    def forward(self, h: Tensor) -> Tensor:  # (N, width) -> (N, n)
        """See the class."""
        return self.layer(h)


class Afterwards(AbstractHead):
    """`Linear` alone, with a penalty if `weight` is positive; `feasible` says that it needs a projection."""

    feasible = False

    def __init__(self, task: AbstractTask, width: int, weight: float) -> None:
        super().__init__()
        self.linear, self.weight = nn.Linear(width, task.polyhedron.n), weight
        self.broken = SquaredExcess(task.polyhedron) if weight else None

    def forward(self, h: Tensor) -> Tensor:  # (N, width) -> (N, n)
        """See the class."""
        return self.linear(h)

    def penalty(self, x: Tensor) -> Tensor:  # (N, n) -> ()
        """See the class."""
        return super().penalty(x) if self.broken is None else self.weight * self.broken(x)


class InTheLoop(AbstractHead):
    """`Linear`, then the best projection, differentiated through."""

    def __init__(self, task: AbstractTask, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, task.polyhedron.n)
        self.projection = DifferentiableProjection(best_projection(task.polyhedron))

    def forward(self, h: Tensor) -> Tensor:  # (N, width) -> (N, n)
        """See the class."""
        return self.projection(self.linear(h))


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name, role: of the tables.
        build: the head for a task, the width of its backbone and a weight out of `weights`.
        weights: what is swept beside the learning rate.
        tasks: the only tasks it is for; None for all.
        changes: for a variant of the ablation, what it changes, as a few words; empty for the methods
            that are compared.
    """

    name: str
    role: Role
    build: Callable[[AbstractTask, int, float], AbstractHead]
    weights: tuple[float, ...] = (0.0,)
    tasks: tuple[str, ...] | None = None
    changes: str = ""


def _map(name: str) -> Method:
    inward = {"gradient": "inward"} if lookup("method", name, PARAMETERIZATIONS).inward else {}
    return mapped(name, inward | CHOICES.get(name, {}))


def mapped(method: str, options: dict[str, Any], name: str = "", **details: Any) -> Method:
    """A map of this name and these options."""

    def build(task: AbstractTask, width: int, weight: float) -> AbstractHead:
        return Embedded(task, width, method, options)

    return Method(name or method, "embedded", build, **details)


def layer(name: str, options: dict[str, Any], method: str = "rays", **details: Any) -> Method:
    """The paper's layer with options of `cn.ConstrainedLinear`."""

    def build(task: AbstractTask, width: int, weight: float) -> AbstractHead:
        return PaperLayer(task, width, method, options)

    return Method(name, "embedded", build, **details)


def _small_start(task: AbstractTask, width: int, weight: float) -> AbstractHead:
    """Projected afterwards, with the start of the paper's layer: a start is not to be taken for a method."""
    head = Afterwards(task, width, weight)
    nn.init.uniform_(head.linear.weight, -1 / width, 1 / width)
    nn.init.zeros_(head.linear.bias)
    return head


METHODS: tuple[Method, ...] = (
    layer("paper_layer", {}),
    layer("improved_layer", IMPROVED),
    *(_map(entry.name) for entry in reversed(PARAMETERIZATIONS)),
    layer(
        "half_spaces_layer",
        {"norm": None, "gradient": "inward"},
        method="half_spaces",
        tasks=("digits_cone",),
    ),
    Method("test_time_projection", "projection", lambda task, width, _: Afterwards(task, width, 0.0)),
    Method("test_time_small_start", "projection", _small_start, tasks=("digits_cone",)),
    Method("projection_in_loop", "projection", lambda task, width, _: InTheLoop(task, width)),
    Method("penalty", "projection", Afterwards, weights=(0.1, 1.0, 10.0)),
)
REFERENCE = "test_time_projection"
"""The method that the others are compared with."""


def best_projection(polyhedron: Polyhedron) -> AbstractProjection:
    """The exact projection that is fastest for the set: a closed form if there is one."""
    for entry in PROJECTIONS:
        if entry.name in BEST and entry.accepts(polyhedron) is None:
            return entry(polyhedron)
    return lookup("projection", "batched_active_set", PROJECTIONS)(polyhedron)


def _served(task: AbstractTask, method: str) -> tuple[Polyhedron, bool]:
    """The set that the map is built for, and whether its values are then scaled into the box."""
    entry = lookup("method", method, PARAMETERIZATIONS)
    enumerated = method == "rays"  # of a box in hundreds of dimensions there is no end
    if task.cone is None or (entry.accepts(task.polyhedron) is None and not enumerated):
        return task.polyhedron, False
    entry.check(task.cone)
    return task.cone, True


def _strict(set_: Polyhedron, method: str, options: dict[str, Any]) -> nn.Module | None:
    """The same map with every inequality exact; None where set or map have no strict mode."""
    try:
        return cn.constrain(set_, method, strict=True, **options)
    except UnsupportedSetError:
        return None
