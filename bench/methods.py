"""One view over everything that is measured: embedded maps, projections, yardsticks.

Derived from the tuples `PARAMETERIZATIONS` and `PROJECTIONS`, so that a new map or solver is
measured without a line here, with its strict variants `<name>_strict` and `<name>_tight`. A method
prepares itself for an instance: what it does then is set-up; what the returned call does is
inference, torch tensor in, torch tensor out. Entries that other packages register come last
(`_third_party.py`).
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import PROJECTIONS, AbstractProjection
from baselines.peers import PEERS, AbstractPeer, PeerProcess, tuning_points
from constrained import ConstrainedLinear, Polyhedron, constrain
from constrained.errors import UnsupportedSetError, lookup
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization
from constrained.plugins import METHOD_GROUP, PARAMETERIZATION_GROUP, PROJECTION_GROUP

from ._method import AbstractMethod, AbstractModuleMethod, Prepared, Target
from ._third_party import Kind, ModuleMethod, third_party
from .problems._base import Instance


class Embedded(AbstractModuleMethod):
    """A parameterization as `constrain(P, method=name)` gives it, or with `strict=`."""

    role = "embedded"

    def __init__(
        self, entry: type[AbstractParameterization], strict: bool | Literal["tight"] = False
    ) -> None:
        ending = "tight" if strict == "tight" else "strict"
        super().__init__(f"{entry.name}_{ending}" if strict else entry.name)
        self.entry, self.strict = entry, strict
        self.plain = entry.name if strict else ""

    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """The map; one that enumerates is given the limit."""
        options: dict[str, Any] = {"strict": self.strict} if self.strict else {}
        module = constrain(polyhedron, self.entry.name, **options, **_enumeration(self.entry, seconds))
        return module, module.in_features

    def projects(self, polyhedron: Polyhedron, in_features: int) -> bool:
        """A map that is the identity on the set, on points of n features."""
        return self.entry.projection and in_features == polyhedron.n


def _enumeration(entry: type[AbstractParameterization], seconds: float) -> dict[str, Any]:
    """For a map that enumerates: the limit, and nothing kept from an earlier run, since set-up is timed."""
    options = {"max_seconds": seconds, "cache": False}
    known = inspect.signature(entry).parameters
    return {name: value for name, value in options.items() if name in known}


class PaperLayer(AbstractModuleMethod):
    """The paper's whole layer: BatchNorm1d -> Linear -> |.| -> rays, from n features."""

    role, begins_linear = "embedded", True

    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """The layer."""
        options = _enumeration(lookup("method", "rays", PARAMETERIZATIONS), seconds)
        return ConstrainedLinear(polyhedron.n, polyhedron, method="rays", **options), polyhedron.n


class Projected(AbstractMethod):
    """A projection of the suite, at its own tolerance or at one of its `settings`."""

    role = "projection"

    def __init__(self, entry: type[AbstractProjection], setting: str | None = None) -> None:
        super().__init__(entry.name if setting is None else f"{entry.name}@{setting}")
        self.entry, self.setting, self.field = entry, setting, bool(entry.wraps)
        self.host = not entry.tensors

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The adapter after its set-up."""
        project, last = self.entry(instance.polyhedron, tol=self.setting), {"solver_seconds": 0.0}

        def run(y: Tensor) -> Tensor:
            result = project(y)
            last["solver_seconds"] = result.info["solver_seconds"]
            return result.x

        n, batched = instance.polyhedron.n, self.entry.batched
        return Prepared(run, n, True, True, lambda: last["solver_seconds"], batched=batched)


class Peer(AbstractMethod):
    """Another paper's layer in its own process, on the device of the cell, tuned on points of its own."""

    role, field = "peer", True

    def __init__(self, entry: type[AbstractPeer], backward: bool = False) -> None:
        super().__init__(entry.name)
        self.entry, self.backward = entry, backward

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The process, started and set up."""
        if self.backward and not self.entry.differentiable:
            raise UnsupportedSetError(f"peer {self.name!r} has no gradient")
        self.entry.check_available()
        process = PeerProcess(
            self.entry,
            instance.polyhedron,
            _dtype_name(target.dtype),
            _tuning(instance),
            target.peer_seconds,
            target.device.type,
        )

        def run(y: Tensor) -> Tensor:
            x, _, _ = process.run(y.cpu().numpy(), self.backward)
            return torch.from_numpy(np.array(x)).to(y)

        projects = self.entry.kind == "projection"
        clock = partial(process.time, calls=1) if target.cold else process.time
        return Prepared(run, instance.polyhedron.n, projects, clock=clock, close=process.close)


def _dtype_name(dtype: torch.dtype) -> Any:
    return str(dtype).removeprefix("torch.")


def _tuning(instance: Instance) -> np.ndarray:
    """Points around those of the instance, with their mean and spread but from a seed of their own."""
    centre, spread = instance.points.mean(0), instance.points.std()
    return centre + tuning_points(instance.polyhedron.n, float(spread) or 1.0)


class LinearYardstick(AbstractModuleMethod):
    """`Linear(n, n)`: what one ordinary layer of the network costs; promises nothing."""

    role, feasible, begins_linear = "yardstick", False, True

    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """The layer."""
        return nn.Linear(polyhedron.n, polyhedron.n), polyhedron.n


class FloorYardstick(AbstractModuleMethod):
    """`X @ A^T` and `X.clone()`: what it costs to look at every constraint and to return a vector.

    Nothing that decides whether a point is feasible, and hands one on, can cost less. Equalities are
    looked at like inequalities.
    """

    role, feasible = "yardstick", False

    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """The two operations."""
        return _Floor(np.concatenate([polyhedron.A, polyhedron.C])), polyhedron.n


class _Floor(nn.Module):
    rows: Tensor

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("rows", torch.tensor(rows, dtype=torch.get_default_dtype()))  # (m + p, n)

    def forward(self, x: Tensor) -> Tensor:
        F.linear(x, self.rows)
        return x.clone()


METHODS: tuple[AbstractMethod, ...] = (
    LinearYardstick("linear"),
    FloorYardstick("floor"),
    *(Embedded(entry) for entry in PARAMETERIZATIONS),
    PaperLayer("paper_layer"),
    *(Embedded(entry, strict) for entry in PARAMETERIZATIONS for strict in (True, "tight")),
    *(Projected(entry) for entry in PROJECTIONS),
    *(Peer(entry) for entry in PEERS),
)


def _variants(name: str, entry: type[AbstractParameterization]) -> tuple[AbstractMethod, ...]:
    """The map and, if it has a strict mode, its strict variants."""
    strict = entry.strict_map is not AbstractParameterization.strict_map
    return tuple(Embedded(entry, each) for each in ((False, True, "tight") if strict else (False,)))


KINDS = (
    Kind(PARAMETERIZATION_GROUP, "embedded", AbstractParameterization, _variants),
    Kind(PROJECTION_GROUP, "projection", AbstractProjection, lambda name, entry: (Projected(entry),)),
    Kind(METHOD_GROUP, "peer", None, lambda name, build: (ModuleMethod(name, build),)),
)
"""How an entry of each group is measured."""

REGISTERED = third_party(KINDS, [entry.name for entry in METHODS])
METHODS += tuple(method for entry in REGISTERED for method in entry.methods)


def method(name: str) -> AbstractMethod:
    """The method called `name` in the tables; `UnknownNameError` with the names that exist otherwise."""
    return lookup("method", name, METHODS)  # pyright: ignore[reportReturnType]


ALWAYS = ("linear", "floor", "osqp")
"""Measured in every cell, since every ratio is taken against them."""

__all__ = [
    "ALWAYS",
    "METHODS",
    "REGISTERED",
    "AbstractMethod",
    "AbstractModuleMethod",
    "Embedded",
    "FloorYardstick",
    "LinearYardstick",
    "ModuleMethod",
    "PaperLayer",
    "Peer",
    "Prepared",
    "Projected",
    "Target",
    "method",
]
