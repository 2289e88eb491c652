"""Random polyhedron around a known interior point: right-hand sides that are not 0, bounded if m is large.

    a_i uniform on the sphere,   b = A c + s,   s_i uniform in [0.1, 1],   c standard normal

Never empty. Unbounded for m <= n, bounded with probability one half at m = 2 n and nearly surely at
m = 4 n (Wendel, A problem in geometric probability, 1962). The points are standard normal around c.
Source: ours.
"""

from __future__ import annotations

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import AbstractFamily, Instance
from ._sizes import check_counts, unpack_size


def random_polytope(n: int, m: int, seed: int = 0) -> Polyhedron:
    """The seeded polyhedron `A x <= b` with `A` (m, n), never empty.

    The entries of `A` and `b` are float32 numbers, so that the set is the same in both dtypes.

    Raises:
        InvalidInputError: `n` or `m` is not an int of at least 1.
    """
    return _draw(n, m, seed)[0]


def _draw(n: int, m: int, seed: int) -> tuple[Polyhedron, np.ndarray]:
    """The set and the point `c` (n,)."""
    check_counts(n=n, m=m)
    rng = np.random.default_rng(seed)
    c = rng.standard_normal(n)
    A = rng.standard_normal((m, n))
    A = _float32(A / np.linalg.norm(A, axis=1, keepdims=True))
    return Polyhedron(A, _float32(A @ c + rng.uniform(0.1, 1.0, m))), c


def _float32(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)


class RandomPolytope(AbstractFamily):
    """Sizes are (n, m); the stated interior point is `c`."""

    name = "random_polytope"
    sizes = (
        (8, 16), (8, 32), (64, 32), (64, 128), (64, 256), (128, 256),
        (2, 4), (2, 64), (64, 4096), (512, 1024), (1024, 256), (4096, 1), (4096, 256), (4096, 4096),
    )  # fmt: skip

    def generate(self, size: tuple[int, ...], batch: int, seed: int = 0) -> Instance:
        """The set `random_polytope(*size, seed)` with `batch` points."""
        n, m = unpack_size(self.name, size, "n", "m")
        check_counts(batch=batch)
        polyhedron, c = _draw(n, m, seed)
        # A stream of its own, so that the points do not depend on m through the draws of A.
        points = c + np.random.default_rng([seed, 1]).standard_normal((batch, n))
        return Instance(f"{self.name}-{n}x{m}", polyhedron, points, interior=c)
