"""Sets with a name, whose projection is a closed form: the box, the simplex and the monotone cone.

    box [-1, 1]^n (m = n),    simplex x >= 0, sum x = 1 (m = n),    monotone x_1 <= ... <= x_n (m = n - 1)

The sets do not depend on the seed. The points are standard normal, for the box twice as large; nearly
all of them are outside.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import AbstractFamily, Instance
from ._sizes import check_counts, unpack_size


class AbstractNamedSet(AbstractFamily):
    """Sizes are (n,)."""

    sizes = ((2,), (8,), (64,), (784,), (4096,))
    scale = 1.0
    """The standard deviation of the points."""

    @abstractmethod
    def build(self, n: int) -> tuple[Polyhedron, np.ndarray | None]:
        """The set, and a point inside all of its inequalities if it has an interior."""

    @final
    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The set in n dimensions with `batch` points."""
        (n,) = unpack_size(self.name, size, "n")
        check_counts(n=n, batch=batch)
        P, interior = self.build(n)
        points = self.scale * np.random.default_rng(seed).standard_normal((batch, n))
        return Instance(f"{self.name}-{n}x{P.m}", P, points, interior)


class BoxSet(AbstractNamedSet):
    """`[-1, 1]^n`."""

    name, scale = "box", 2.0

    def build(self, n: int) -> tuple[Polyhedron, np.ndarray | None]:
        """n two-sided rows."""
        return Polyhedron.box(np.full(n, -1.0), 1.0), np.zeros(n)


class SimplexSet(AbstractNamedSet):
    """`{x >= 0, sum x = 1}`."""

    name = "simplex"

    def build(self, n: int) -> tuple[Polyhedron, np.ndarray | None]:
        """n rows and an equality, so no interior."""
        return Polyhedron.simplex(n), None


class MonotoneSet(AbstractNamedSet):
    """`{x_1 <= ... <= x_n}`."""

    name = "monotone"

    def build(self, n: int) -> tuple[Polyhedron, np.ndarray | None]:
        """n - 1 rows."""
        return Polyhedron.monotone(n), np.arange(float(n))
