"""What a method is to the harness: a name, a role, and how it gets ready for an instance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from constrained import Polyhedron

from .problems._base import Instance


@dataclass(frozen=True)
class Target:
    """Where and in what dtype a method runs, and the seconds that its set-up may take."""

    device: torch.device
    dtype: torch.dtype
    setup_seconds: float
    peer_seconds: float = 60.0
    """What each command to a peer may take, its set-up and the first call included."""
    cold: bool = False
    """Whether the cache is overwritten before each round, so that a round is one call."""


@dataclass
class Prepared:
    """A method that is ready.

    Attributes:
        run: (batch, in_features) -> (batch, n).
        in_features: the width of its input.
        projects: whether its input is a point of n features to be brought into the set.
        bounded: whether the time of a call may be long, so that it is estimated before the first one.
        batched: whether it takes the batch as a whole, so that a few points tell little about many.
        solver_seconds: the last call's time inside the solver, for solvers that are not torch.
        clock: one more call on the last input, timed where it runs; for methods in another process.
        close: to be called when nothing more is measured.
    """

    run: Callable[[Tensor], Tensor]
    in_features: int
    projects: bool
    bounded: bool = False
    solver_seconds: Callable[[], float] | None = None
    clock: Callable[[], float] | None = None
    close: Callable[[], None] = lambda: None
    batched: bool = False


class AbstractMethod(ABC):
    """Something to measure: a name, a role and how to get ready."""

    role: str
    """embedded, projection, peer or yardstick."""
    feasible: bool = True
    """Whether the output is meant to lie in the set."""
    plain: str = ""
    """Of a strict variant, the name of the map without the guarantee."""
    field: bool = False
    """Whether it is measured only at the cells that the whole field is measured at."""
    host: bool = False
    """Whether it computes on the host, whatever the device; cells may leave such projections out."""
    graph: bool = False
    """Whether it is a captured CUDA graph, measured where a cell asks for them."""
    package: str = ""
    """Of an entry that another package registers: the package and its version."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def origin(self) -> dict[str, str]:
        """For its rows: the package, of an entry that another package registers."""
        return {"package": self.package} if self.package else {}

    @abstractmethod
    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """Set-up, timed as such."""


class AbstractModuleMethod(AbstractMethod):
    """A method that is a torch module."""

    begins_linear: ClassVar[bool] = False
    """Whether the module is, or begins with, a linear layer from n features."""

    @abstractmethod
    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """(the module, the width of its input); `seconds` is what an enumeration may take."""

    def projects(self, polyhedron: Polyhedron, in_features: int) -> bool:
        """See `Prepared`."""
        return False

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The module in evaluation mode, without gradients."""
        module, in_features = self.build(instance.polyhedron, target.setup_seconds)
        module = module.to(target.device, target.dtype).eval().requires_grad_(False)

        @torch.inference_mode()
        def run(z: Tensor) -> Tensor:
            return module(z)

        projects = self.projects(instance.polyhedron, in_features)
        return Prepared(run, in_features, projects, bounded=True, batched=True)
