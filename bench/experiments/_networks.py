"""The networks of the digits experiment: each maps an image to its version on the checkerboard.

    v_parameterization      BatchNorm -> Linear -> |.| -> rays -> box scaling      (the paper's)
    half_spaces             BatchNorm -> Linear -> half-spaces -> box scaling      (ours)
    test_time_projection    Linear, trained alone; projected when it is evaluated  (the paper's baseline)
    opt_projection          Linear -> projection, in training too
    unconstrained           Linear, never projected: the floor in time, and what is broken without a guarantee
    penalty                 the same trained with a penalty on broken constraints: cheap, and no guarantee

All of them are judged on the same set, the cone cut by the box [-1, 1]^n. Source: arXiv 1902.01785,
sec. 4; in the authors' published code `opt_projection` is the projection of the images, without a
network, which is what the tables here call the optimum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

from torch import Tensor, nn

import constrained as cn
from baselines import DifferentiableProjection, projection
from constrained.errors import lookup

from ..problems.checkerboard import checkerboard, checkerboard_box
from ._penalty import SquaredExcess


@dataclass(frozen=True)
class Task:
    """What a network is built for.

    Attributes:
        cone: the checkerboard cone, for maps that get into the box by scaling.
        target: the cone cut by the box, for projections and for the judge.
        projection: the name of the projection, see `baselines.available`.
    """

    cone: cn.Polyhedron
    target: cn.Polyhedron
    projection: str = "osqp"

    @classmethod
    def digits(cls, projection: str = "osqp") -> Task:
        """28x28 images, 7x7 tiles."""
        return cls(checkerboard(), checkerboard_box(), projection)


class AbstractNetwork(nn.Module, ABC):
    """(N, n) -> (N, n); if `feasible`, each output in evaluation mode is in `task.target`, up to rounding."""

    name: ClassVar[str]
    feasible: ClassVar[bool] = True
    """Whether its outputs are meant to lie in `task.target`; those that are not are judged all the same."""
    projects: ClassVar[bool] = False
    """Whether a projection of `baselines` is called."""
    on_budget: ClassVar[bool] = False
    """Whether training is slow enough to need a time budget."""

    def __init__(self, task: Task) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """The images that the network makes of `y`."""

    def penalty(self, x: Tensor) -> Tensor:  # (N, n) -> ()
        """What training adds to the error of the outputs `x`; nothing, unless a network defines it."""
        return x.new_zeros(())

    @final
    def set_epoch(self, epoch: int) -> bool:
        """Tell the network which epoch is being trained; returns whether box scaling is on in it."""
        boxes = [module for module in self.modules() if isinstance(module, cn.BoxScaling)]
        for box in boxes:
            box.set_epoch(epoch)
        return any(epoch > box.scaling_epoch for box in boxes)


class VParameterization(AbstractNetwork):
    """The paper's layer alone: combinations of the rays of the cone."""

    name = "v_parameterization"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.layer = cn.ConstrainedLinear(task.cone.n, task.cone, method="rays", box=True)

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        return self.layer(y)


class HalfSpaces(AbstractNetwork):
    """The same layer with the closed form in the place of the rays."""

    name = "half_spaces"

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.layer = cn.ConstrainedLinear(task.cone.n, task.cone, method="half_spaces", box=True)

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        return self.layer(y)


class ProjectionAtTestTime(AbstractNetwork):
    """`Linear(n, n)` trained without the constraints; its outputs are projected at evaluation."""

    name, projects = "test_time_projection", True

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.linear = nn.Linear(task.target.n, task.target.n)
        self.projection = projection(task.projection)(task.target)

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        x = self.linear(y)
        return x if self.training else self.projection(x).x


class ProjectionInTraining(AbstractNetwork):
    """`Linear(n, n)`, then the projection, differentiated through."""

    name, projects, on_budget = "opt_projection", True, True

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.linear = nn.Linear(task.target.n, task.target.n)
        self.projection = DifferentiableProjection(projection(task.projection)(task.target))

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        return self.projection(self.linear(y))


class Unconstrained(AbstractNetwork):
    """`Linear(n, n)` alone: it knows of no constraint."""

    name, feasible = "unconstrained", False

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.linear = nn.Linear(task.target.n, task.target.n)

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        return self.linear(y)


class Penalty(AbstractNetwork):
    """`Linear(n, n)`, with the squares of what the rows are broken by added to the error in training.

    The weight is fixed, not tuned: a larger one breaks rows by less and fits worse; none is a guarantee.
    """

    name, feasible = "penalty", False
    WEIGHT: ClassVar[float] = 1.0

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.linear = nn.Linear(task.target.n, task.target.n)
        self.broken = SquaredExcess(task.target)

    def forward(self, y: Tensor) -> Tensor:  # (N, n) -> (N, n)
        """See the class."""
        return self.linear(y)

    def penalty(self, x: Tensor) -> Tensor:  # (N, n) -> ()
        """See the class."""
        return self.WEIGHT * self.broken(x)


NETWORKS: tuple[type[AbstractNetwork], ...] = (
    VParameterization,
    HalfSpaces,
    ProjectionAtTestTime,
    ProjectionInTraining,
    Unconstrained,
    Penalty,
)


def network(name: str, task: Task) -> AbstractNetwork:
    """The network called `name`, with weights drawn from torch's generator.

    Raises `UnknownNameError` for another name, `MissingDependencyError` where it needs a package.
    """
    return lookup("network", name, NETWORKS)(task)
