"""What a task is: samples, the set that outputs lie in, and the loss that is learned and reported."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor, nn

from constrained.polyhedron import Polyhedron


@dataclass(frozen=True)
class Samples:
    """One split: `inputs` (N, d) and `targets` (N, t), what the loss compares outputs with, float32."""

    inputs: Tensor
    targets: Tensor


class AbstractTask(ABC):
    """A task of the training comparison; a new one is a file beside this one and a line in TASKS.

    Every method gets the same backbone, then `Linear(width, k)` and its own last step into the set.
    What costs time (data, enumeration) is done in `__init__`, the same arguments giving the same bytes.

    Attributes:
        name, title: in tables, and in headings of the report.
        loss_name: what `losses` is the mean of, with its unit, e.g. "mean squared error".
        prior: one sentence: why the constraint holds for the truth, and that the target is, or is not, the
            projection.
        source: where data, set and loss come from.
        epochs, batch_size: of a training run.
        polyhedron: the set of the outputs, n features.
        cone: a cone whose intersection with the box [-1, 1]^n is `polyhedron`, for maps that get into the box
            by scaling; None where there is no such box.
        train, val, test: the splits.
        optimum: the least loss of any feasible output, by split ("val", "test"), where it is known.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    loss_name: ClassVar[str]
    prior: ClassVar[str]
    source: ClassVar[str]
    epochs: ClassVar[int]
    batch_size: ClassVar[int]
    polyhedron: Polyhedron
    cone: Polyhedron | None = None
    train: Samples
    val: Samples
    test: Samples
    optimum: dict[str, float]

    @classmethod
    def create(cls, data: str) -> Self:
        """The task; `data` says where digits come from, see `bench.data.load`, where it has digits."""
        return cls()

    @abstractmethod
    def backbone(self) -> tuple[nn.Module, int]:
        """A network (N, d) -> (N, width) with weights drawn from torch's generator, and its width."""

    @abstractmethod
    def losses(self, x: Tensor, samples: Samples) -> Tensor:  # (N, n) -> (N,)
        """The loss of each output for the samples in the same order, differentiable."""
