"""What a problem family is: sizes, and a seeded generator of instances."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from constrained.polyhedron import Polyhedron


@dataclass(frozen=True)
class Instance:
    """One problem, the same object for both sides.

    Attributes:
        name: family and size, e.g. "random_cone-64x32" (n x m).
        polyhedron: the set.
        points: (batch, n) float64 points to project, or latent points for a map of n features.
        interior: (n,) a direction or point strictly inside, where the family knows one.
        project: the exact projection in closed form, (q, n) -> (q, n) float64, where there is one.
    """

    name: str
    polyhedron: Polyhedron
    points: np.ndarray
    interior: np.ndarray | None = None
    project: Callable[[np.ndarray], np.ndarray] | None = None


class AbstractFamily(ABC):
    """A seeded family of problems; a new one is a file beside this one and a line in FAMILIES."""

    name: ClassVar[str]
    sizes: ClassVar[tuple[tuple[int, ...], ...]]
    """The sizes of the full grid, as arguments of `generate`."""

    @abstractmethod
    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The instance of this size: the same arguments give the same bytes."""
