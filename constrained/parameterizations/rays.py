"""Rays: non-negative combinations of the generators of a cone, the paper's parameterization.

    x = |z| R,    R: unit-norm extreme rays, each line l of the cone entering as l and -l

By the theorem of Minkowski and Weyl every x with A x <= 0 is such a combination, so the map is
onto; it is not injective when there are more rays than dimensions. Differentiable except where a
coefficient is 0. Cost: one product with an (r, n) matrix and one with an (l, n - l) matrix for r rays
and l lines; r can grow exponentially with m. They are enumerated once, exactly.
Source: Frerix, Niessner, Cremers, "Homogeneous Linear Inequality Constraints for Neural Network
Activations", CVPR Workshops 2020, arXiv 1902.01785, sec. 3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import TrivialSetError
from ..generators import MAX_RAYS, MAX_SECONDS, Generators, generators
from ..polyhedron import Polyhedron
from ._base import AbstractParameterization


class Rays(AbstractParameterization):
    """`z -> |z| R` for a homogeneous polyhedron (`A x <= 0`, `C x = 0`).

    Args:
        polyhedron: a cone other than {0}.
        engine, max_rays, max_seconds: see `generators`.

    Shapes: (*batch, r + 2 l) -> (*batch, n) for r rays and l lines. The latent features are the
    coefficients of the rays, then of the lines, then of the lines reversed.

    Raises:
        UnsupportedSetError: the set is not a cone.
        TrivialSetError: the cone is {0}.
        EngineError: the enumeration failed, was refused or ran over its budget.
    """

    name, surjective, citation = "rays", True, "frerix2020"
    directions: Tensor
    diagonal: Tensor
    others: Tensor
    order: Tensor

    def __init__(
        self,
        polyhedron: Polyhedron,
        engine: str = "exact",
        max_rays: int | None = MAX_RAYS,
        max_seconds: float | None = MAX_SECONDS,
    ) -> None:
        super().__init__(polyhedron)
        V = generators(polyhedron, engine, max_rays, max_seconds)
        if not len(V.rays) + len(V.lines):
            raise TrivialSetError(
                f"{polyhedron} is {{0}} only: the constraints leave no direction to move in; "
                "drop or relax a row of A"
            )
        self.n_rays, self.n_lines = len(V.rays), len(V.lines)
        self.in_features = self.n_rays + 2 * self.n_lines
        self.constant("directions", V.rays)  # (r, n)
        self._lines(V)

    def _lines(self, V: Generators) -> None:
        """The lines are a reduced echelon basis: a diagonal on l free features, and the q = n - l others."""
        # From the exact lines: a tiny entry may be 0 in floating point.
        entries = [[v != 0 for v in line] for line in V.exact_lines]
        nonzero = np.array(entries, dtype=bool).reshape(self.n_lines, self.out_features)
        alone = nonzero & (nonzero.sum(0) == 1)  # (l, n)
        free = alone.argmax(1)
        others = np.setdiff1d(np.arange(self.out_features), free)
        self.constant("diagonal", V.lines[np.arange(self.n_lines), free])  # (l,)
        self.constant("others", V.lines[:, others])  # (l, q)
        self.register_buffer("order", torch.tensor(np.argsort(np.concatenate([free, others]))))

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Cones only: a right-hand side other than 0 needs vertices as well."""
        return None if polyhedron.is_cone else "it is not a cone (some right-hand side is not 0)"

    @property
    def rays(self) -> Tensor:
        """(r + 2 l, n) unit-norm rays, each line as two opposite ones: the matrix R of the formula."""
        lines = torch.cat([torch.diag(self.diagonal), self.others], -1)[:, self.order]
        return torch.cat([self.directions, lines, -lines])

    def map(self, z: Tensor) -> Tensor:  # (*batch, r + 2 l) -> (*batch, n)
        """|z| R, with the two coefficients of a line subtracted first and the zeros of R skipped."""
        if not self.n_lines:
            return z.abs() @ self.directions
        along, forward, backward = z.abs().split([self.n_rays, self.n_lines, self.n_lines], -1)
        line = forward - backward
        x = torch.cat([line * self.diagonal, line @ self.others], -1).index_select(-1, self.order)
        return x + along @ self.directions if self.n_rays else x
