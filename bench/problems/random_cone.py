"""Random cone `A x <= 0` with a known direction in its interior, for m < n, m = n and m > n.

    rows of A: standard normal, each with the sign that makes a_i . e < 0,   e uniform on the sphere

Conditioned on e, every row is a half-space chosen at random among those that hold e. The points
are standard normal; for m rows roughly one in 2^m of them is inside. Source: ours.
"""

from __future__ import annotations

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import AbstractFamily, Instance
from ._sizes import check_counts, unpack_size


def random_cone(n: int, m: int, seed: int = 0) -> Polyhedron:
    """The seeded cone `A x <= 0` with `A` (m, n) and a non-empty interior.

    The entries of `A` are float32 numbers, so that the set is the same in both dtypes.

    Raises:
        InvalidInputError: `n` or `m` is not an int of at least 1.
    """
    return Polyhedron(_draw(n, m, seed)[0])


def _draw(n: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`A` (m, n) and the unit direction `e` (n,) with `A e < 0`, float64."""
    check_counts(n=n, m=m)
    rng = np.random.default_rng(seed)
    e = rng.standard_normal(n)
    e /= np.linalg.norm(e)
    A = rng.standard_normal((m, n)).astype(np.float32).astype(np.float64)
    return np.where(A @ e > 0, -1.0, 1.0)[:, None] * A, e


class RandomCone(AbstractFamily):
    """Sizes are (n, m); the points are standard normal, the stated interior direction is `e`."""

    name = "random_cone"
    sizes = (
        (8, 4), (8, 8), (8, 12), (8, 16), (8, 32),
        (16, 8), (64, 8), (256, 8), (784, 8),
        (64, 32), (784, 16), (16, 64), (128, 256),
        (2, 1), (2, 4), (64, 1), (64, 64), (64, 1024), (64, 4096), (512, 512), (1024, 64), (1024, 1024),
        (4096, 1), (4096, 16), (4096, 256), (4096, 4096),
    )  # fmt: skip

    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The cone `random_cone(*size, seed)` with `batch` points."""
        n, m = unpack_size(self.name, size, "n", "m")
        check_counts(batch=batch)
        A, e = _draw(n, m, seed)
        # A stream of its own, so that the points do not depend on m through the draws of A.
        points = np.random.default_rng([seed, 1]).standard_normal((batch, n))
        return Instance(f"{self.name}-{n}x{m}", Polyhedron(A), points, interior=e)
