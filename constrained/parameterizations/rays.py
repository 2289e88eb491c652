"""Rays: combinations of the generators of a polyhedron, the paper's parameterization and its extension.

    x = w(z_v) V + |z_r| R + z_l L,    w >= 0, sum w = 1

V: vertices, R: unit-norm extreme rays, L: unit-norm lines. By the theorem of Minkowski and Weyl every
point of the set is such a combination. For a cone `A x <= 0` the only vertex is the origin and what
remains is the paper's `x = |z| R`, each line l entering as l and -l: `z_l = |z_+| - |z_-|`; with
`lines="free"` each has one coefficient of any sign instead. A single vertex is a constant.

`|z|` is the published way to make coefficients non-negative. softplus(z) = log(1 + e^z) in its place has
no kink and is increasing, so that too long a step towards 0 does not come out as a larger coefficient; like
softmax it is positive at every finite z, so that the faces that some ray is off are approached only.
relu(z) reaches them, and has the derivative 0 where z < 0.

With w = softmax, every weight is positive: the map is onto the relative interior of conv(V) + cone(R) +
span(L), and comes as near to the faces that some vertex is off as one likes, without reaching them at any
finite z (in floating point it does, once a weight underflows). With w the nearest point of the
probability simplex (sparsemax) it is onto the set itself, at the cost of one sort and of zero
gradients with respect to the features of vertices whose weight is 0. Without several vertices it is
onto either way. Not injective where there are more generators than dimensions. Differentiable except
where a coefficient of a ray is 0 (or a weight, for the simplex).

Rounding: a row is exceeded by a few eps times |A| (max |V| + |z_r| + |z_l|), so large vertices with
small entries in between lose digits. Cost: one product each with (v, n), (r, n), (l, n - l) matrices, a
diagonal being none; v and r can grow exponentially with m. On CUDA, where the generators are mostly zeros, a
pass over latent features and value (`kernels/combine.py`), in which an infinite coefficient reaches its own
features alone. They are enumerated once, exactly. In strict mode the value is
moved inside at the end, as `shift` or `gauge` do it.
Source: Frerix, Niessner, Cremers, "Homogeneous Linear Inequality Constraints for Neural Network
Activations", CVPR Workshops 2020, arXiv 1902.01785, sec. 3; Schrijver 1986, sec. 8.9 (vertices);
Martins and Astudillo, "From softmax to sparsemax", ICML 2016, algorithm 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import TrivialSetError, check_choice
from ..generators import MAX_RAYS, MAX_SECONDS, Generators, check_generators
from ..generators import generators as enumerated
from ..kernels import usable
from ..kernels.combine import arrange, combine, runs_kernels
from ..polyhedron import Polyhedron
from ._base import AbstractParameterization
from ._entries import LEAST_DIAGONAL, diagonal_of, triplets
from ._finish import strict_finish
from ._guard import all_finite, flatten, only_finite
from ._interior import AbstractInterior

Lines = Literal["doubled", "free"]
Weights = Literal["softmax", "simplex"]
Coefficients = Literal["abs", "softplus", "relu"]
ENTRIES = ("index", "feature", "value", "start", "count")
MOST_ENTRIES = 8
"""Of the generators, for each feature read or written: up to here a kernel that gathers them waits for the
memory rather than for its reads. A checkerboard has 1.7, a random cone of 16 rows in 784 dimensions 17."""


class Rays(AbstractParameterization):
    """`z -> w(z_v) V + |z_r| R + z_l L` for a polyhedron with few enough vertices and rays.

    Args:
        polyhedron: the set, not empty and not a single point.
        engine, max_rays, max_seconds, processes, cache: see `generators`.
        lines: "doubled", two non-negative coefficients a line as published, or "free", one of any sign.
        weights: "softmax", or "simplex" for the nearest point of the probability simplex.
        coefficients: what makes those of the rays, and of doubled lines, non-negative: "abs" as published,
            "softplus" or "relu".
        generators: those of the set, from `read_ext` for example; nothing is enumerated then.
        strict, check_finite: see `AbstractParameterization`.

    Shapes: (*batch, v + r + 2 l) -> (*batch, n) for v vertices (0 if there is only one), r rays and l
    lines; (*batch, v + r + l) with `lines="free"`. The latent features are those of the vertices, then
    of the rays, of the lines, and of the lines reversed.

    Raises:
        InfeasibleError: the set is empty.
        TrivialSetError: the set is a single point.
        EngineError: the enumeration failed, was refused or ran over its budget.
        UnsupportedSetError: with `strict`, a set without an interior.
        VerificationError: `generators` are not those of the set.
    """

    name, surjective, citation = "rays", True, "frerix2020"
    directions: Tensor
    diagonal: Tensor
    others: Tensor
    order: Tensor
    vertices: Tensor
    own_ray: Tensor
    own_value: Tensor
    finish: AbstractInterior

    def __init__(
        self,
        polyhedron: Polyhedron,
        engine: str = "exact",
        max_rays: int | None = MAX_RAYS,
        max_seconds: float | None = MAX_SECONDS,
        processes: int = 1,
        cache: str | Path | bool | None = None,
        lines: Lines = "doubled",
        weights: Weights = "softmax",
        coefficients: Coefficients = "abs",
        generators: Generators | None = None,
        **options: Any,
    ) -> None:
        check_choice("lines", lines, ("doubled", "free"))
        check_choice("weights", weights, ("softmax", "simplex"))
        check_choice("coefficients", coefficients, ("abs", "softplus", "relu"))
        super().__init__(polyhedron, **options)
        if generators is None:
            generators = enumerated(polyhedron, engine, max_rays, max_seconds, processes, cache)
        else:
            check_generators(polyhedron, generators)
        self._generate(polyhedron, generators)
        # Buffers for their presence alone: a state_dict tells which map it belongs to.
        if lines == "free":
            self.register_buffer("free_lines", torch.tensor(True))
        if weights == "simplex":
            self.register_buffer("simplex_weights", torch.tensor(True))
        if coefficients != "abs":
            self.register_buffer(f"{coefficients}_coefficients", torch.tensor(True))
        self.prepare_blank(polyhedron)
        self.refresh()

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Every set; whether its generators fit the budget is known after their enumeration only."""
        return None

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """The last step of strict mode."""
        self.in_features = 0  # nothing is known before a state_dict is loaded
        if self.strict:
            self.finish = strict_finish(polyhedron, self.strict, blank=self.blank)

    def refresh(self) -> None:
        """The numbers of features, from the shapes and the presence of the buffers."""
        lines = len(self.diagonal)
        self.points = len(self.vertices) if hasattr(self, "vertices") else 0
        self.non_negative: Coefficients = "abs"
        for name in ("softplus", "relu"):
            if hasattr(self, f"{name}_coefficients"):
                self.non_negative = name
        self.softmax = not hasattr(self, "simplex_weights")
        self.sizes = [self.points if self.points > 1 else 0, len(self.directions), lines]
        if not hasattr(self, "free_lines"):
            self.sizes.append(lines)
        self.in_features = sum(self.sizes)
        self.lay_out()

    def lay_out(self) -> None:
        """Generators that are mostly zeros: a diagonal; on CUDA their entries, if those are few."""
        for name in [name for name in self._buffers if name.startswith(("entries_", "back_", "own_"))]:
            del self._buffers[name]
        self.apart = False
        if self.directions.is_meta:
            return
        self.apart = not bool(self.others.any())  # lines that are features of their own
        if len(self.directions) >= LEAST_DIAGONAL:
            self._derive("own", diagonal_of(self.value("directions")))
        if self.points > 1 or not runs_kernels(self.directions):
            return
        constants = (self.value(name) for name in ("directions", "diagonal", "others", "order"))
        rows, columns, values = triplets(*constants, doubled=len(self.sizes) == 4)
        given, n = self.in_features, self.out_features
        if len(values) <= MOST_ENTRIES * (given + n):
            self._derive("entries", arrange(rows, columns, values, n))
            self._derive("back", arrange(columns, rows, values, given))

    def _derive(self, name: str, parts: dict[str, np.ndarray]) -> None:
        for key, part in parts.items():
            like = self.directions if key == "value" else self.directions.device
            self.register_buffer(f"{name}_{key}", torch.tensor(part).to(like), persistent=False)

    def _generate(self, polyhedron: Polyhedron, V: Generators) -> None:
        """Register the generators; the origin of a cone is left out."""
        if not len(V.rays) + len(V.lines) and len(V.vertices) == 1:
            where = "{0}" if polyhedron.is_cone else "a single point"
            raise TrivialSetError(
                f"{polyhedron} is {where} only: the constraints leave no direction to move in; "
                "drop or relax a row of A"
            )
        self.constant("directions", V.rays)  # (r, n)
        self._echelon(V)
        if not polyhedron.is_cone:
            self.constant("vertices", V.vertices)  # (v, n)

    def _echelon(self, V: Generators) -> None:
        """The lines are a reduced echelon basis: a diagonal on l free features, and the q = n - l others."""
        count, n = V.lines.shape
        # From the exact lines: a tiny entry may be 0 in floating point.
        entries = [[v != 0 for v in line] for line in V.exact_lines]
        nonzero = np.array(entries, dtype=bool).reshape(count, n)
        alone = nonzero & (nonzero.sum(0) == 1)  # (l, n)
        free = alone.argmax(1)
        others = np.setdiff1d(np.arange(n), free)
        self.constant("diagonal", V.lines[np.arange(count), free])  # (l,)
        self.constant("others", np.ascontiguousarray(V.lines[:, others]))  # (l, q)
        self.register_buffer("order", torch.tensor(np.argsort(np.concatenate([free, others]))))

    @property
    def rays(self) -> Tensor:
        """(r + 2 l, n) unit-norm rays, each line as two opposite ones: for a cone, the matrix R of |z| R."""
        lines = torch.cat([torch.diag(self.diagonal), self.others], -1)[:, self.order]
        return torch.cat([self.directions, lines, -lines])

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, in_features) -> (*batch, n)
        """The combination, generators of a kind that the set does not have left out."""
        if z.is_cuda and self._fusable(z):
            return self._combined(z)
        _, rays, lines = self.sizes[:3]
        if rays == self.in_features and not self.points:
            return self._along(z)
        weights, along, *across = z.split(self.sizes, -1)
        terms = []
        if lines:
            terms.append(self._span(across))
        if rays:
            terms.append(self._along(along))
        if self.points > 1:
            terms.append(self._weights(weights) @ self.vertices)
        elif self.points:
            terms.append(self.vertices[0])
        return sum(terms[1:], start=terms[0])

    def _along(self, z: Tensor) -> Tensor:  # (*batch, r) -> (*batch, n)
        """|z_r| R."""
        if "own_ray" not in self._buffers:
            return self._coefficients(z) @ self.directions
        return self._coefficients(z).index_select(-1, self.own_ray) * self.own_value

    def takes_narrow(self, z: Tensor) -> bool:
        """Where a kernel makes the whole value."""
        return not self.strict and not self.points and self.non_negative != "softplus" and self._fusable(z)

    def _fusable(self, z: Tensor) -> bool:
        """Whether the generators have few entries, so that a kernel reads and writes little else."""
        return "entries_index" in self._buffers and usable(z, 1, 1)

    def _combined(self, z: Tensor) -> Tensor:
        entries, back = ([self._buffers[f"{name}_{key}"] for key in ENTRIES] for name in ("entries", "back"))
        flat, bent = flatten(z), self.in_features if len(self.sizes) == 4 else self.sizes[1]
        if self.non_negative == "softplus":
            flat, bent = torch.cat([F.softplus(flat[:, :bent]), flat[:, bent:]], 1), 0
        x = combine(flat, entries, back, self.out_features, bent, self.non_negative == "relu", z.dtype)
        x = x + self.vertices[0] if self.points else x
        return x if z.ndim == 2 else x.reshape(*z.shape[:-1], self.out_features)

    def _coefficients(self, z: Tensor) -> Tensor:  # (*batch, r) -> (*batch, r), not negative
        if self.non_negative == "abs":
            return z.abs()
        return F.softplus(z) if self.non_negative == "softplus" else F.relu(z)

    def _weights(self, z: Tensor) -> Tensor:  # (*batch, v) -> (*batch, v)
        return z.softmax(-1) if self.softmax else _nearest_weights(z)

    def _span(self, coefficients: list[Tensor]) -> Tensor:  # (*batch, l) each -> (*batch, n)
        """z_l L, with the two coefficients of a line subtracted first and the zeros of L skipped."""
        line = coefficients[0]
        if len(coefficients) == 2:
            line = self._coefficients(line) - self._coefficients(coefficients[1])
        shape = (*line.shape[:-1], self.others.shape[1])
        others = line.new_zeros(shape) if self.apart else line @ self.others
        return torch.cat([line * self.diagonal, others], -1).index_select(-1, self.order)

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """The value, feasible up to rounding, moved inside; where it overflows, from the origin."""
        x = self.map(z)
        if not all_finite(x):
            x = torch.where(torch.isfinite(x), x, 0)
        return only_finite(self.finish.strict_map(x, dtype), z)


def _nearest_weights(z: Tensor) -> Tensor:  # (*batch, v) -> (*batch, v)
    """`argmin_w |w - z|` over w >= 0, sum w = 1: `relu(z - t)` with the threshold t that gives the sum."""
    # Relative to the largest, of which no entry with a positive weight is further below than 1.
    y = (z - z.amax(-1, keepdim=True)).clamp(min=-1)
    u = y.sort(-1, descending=True).values
    k = torch.arange(1, z.shape[-1] + 1, dtype=z.dtype, device=z.device)
    sums = u.cumsum(-1) - 1
    size = (u * k > sums).sum(-1, keepdim=True).clamp(min=1)
    w = torch.relu(y - sums.gather(-1, size - 1) / size)
    return w / w.sum(-1, keepdim=True)
