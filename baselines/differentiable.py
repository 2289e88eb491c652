"""A projection as a differentiable module: forward by any solver, backward exact and batched.

    x = proj(y),    dx/dy = I - N^+ N

N: the rows of A and C that hold with equality at x. This is the Jacobian where it exists (y in the
relative interior of a piece of the projection); on the kinks between pieces it is one of the
one-sided limits. It is symmetric, so the backward pass is v -> v - N^+ N v, the orthogonal
projection of v onto the directions in which no active row moves. Rows with a single non-zero entry
just set a feature of v to 0; only the others enter a linear system, on the features left free, of
the smaller of g and n unknowns for g such rows.
Source: implicit differentiation of the KKT conditions, Amos and Kolter, "OptNet: differentiable
optimization as a layer in neural networks", ICML 2017, eq. 6, with Q = I and only the active rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from constrained.errors import EngineError, InvalidInputError
from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status, unseen
from ._tensors import Constants

ACTIVITY_TOL = 1e-6
SHIFT, STEPS = 1e-9, 3
"""On a device: added to the Gram matrix of unit rows; steps, which count eigenvalues above 1e-6 whole."""


class DifferentiableProjection(nn.Module):
    """`y -> proj(y)` with gradients, (*batch, n) -> (*batch, n), in the dtype and on the device of `y`.

    Args:
        projection: the solver, already set up for its set.
        activity_tol: row `a x <= b` counts as active where `b - a x` is at most
            `activity_tol * (|a| max(|x|, |y|) + |b|)`, with Euclidean norms, or largest entries of
            x and y if `a` has a single non-zero entry. Default 1e-6: above the error of every
            solver here, far below the slack of a row that is not active.

    The module computes in float64 inside and has no parameters.

    Raises:
        InvalidInputError: `projection` is not an `AbstractProjection`, or what the projection raises.
        InfeasibleError: the set is empty.
        EngineError: a row of `y` is not finite, or the solver found no point for it. Not where the
            projection itself serves points on a device: nobody looks there, and such a row is NaN, as its
            gradient.
    """

    def __init__(self, projection: AbstractProjection, activity_tol: float = ACTIVITY_TOL) -> None:
        super().__init__()
        if not isinstance(projection, AbstractProjection):
            raise InvalidInputError(
                f"expected a projection that is set up, found {type(projection).__name__}; "
                "try DifferentiableProjection(baselines.projection('daqp')(P))"
            )
        self.projection = projection
        self._rows = _Rows(projection.polyhedron, activity_tol)

    def forward(self, y: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """The nearest points."""
        return _Project.apply(y, self.projection, self._rows)

    def extra_repr(self) -> str:
        """The solver and the set, for `print(module)`."""
        return f"{self.projection.name}, {self.projection.polyhedron}"


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, projection: AbstractProjection, rows: _Rows) -> Tensor:
        # In float64, so that the activity of a row is not decided by the rounding of a narrow dtype.
        result = projection(y.double() if isinstance(y, Tensor) and y.is_floating_point() else y)
        looks = not (projection.tensors and unseen(y))
        if looks and (failed := int((result.status == Status.FAILED).sum())):
            raise EngineError(
                f"{projection.name} found no point for {failed} of {result.status.size} rows; "
                "check that y is finite, or call the projection itself and look at result.status"
            )
        ctx.rows = rows
        ctx.save_for_backward(result.x, y)
        return result.x.to(y.dtype)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, v: Tensor
    ) -> tuple[Tensor, None, None]:
        x, y = (t.double().reshape(-1, t.shape[-1]) for t in ctx.saved_tensors)
        product = ctx.rows.free_component(v.double().reshape(x.shape), x, y)
        if unseen(x):  # where there is no point there is no gradient, and nobody has raised an error
            product = product.masked_fill(x[:, :1].isnan(), torch.nan)
        return product.reshape(v.shape).to(v.dtype), None, None


class _Rows:
    """The rows of a polyhedron, of unit norm, split into those of one entry and the general ones."""

    def __init__(self, polyhedron: Polyhedron, tol: float) -> None:
        rows = np.concatenate([polyhedron.A, polyhedron.C])
        entries, norms = np.count_nonzero(rows, axis=1), np.linalg.norm(rows, axis=1)
        bounds = np.stack(
            [np.concatenate([polyhedron.lower, polyhedron.d]), np.concatenate([polyhedron.b, polyhedron.d])]
        )
        single, general = entries == 1, entries > 1
        self.tol = tol
        entry = rows[single].sum(1)  # the only one
        self.constants = Constants(
            rows[general] / norms[general, None],  # (g, n)
            bounds[:, general] / norms[general],  # (2, g)
            np.abs(rows[single]).argmax(1),  # (s,), the feature
            bounds[:, single] / entry,  # (2, s)
        )

    def free_component(self, v: Tensor, x: Tensor, y: Tensor) -> Tensor:  # each (q, n) -> (q, n)
        """The component of each `v` along which no row active at `x` changes."""
        general, general_bounds, feature, single_bounds = self.constants.on(x.device)
        fixed = self._active(x[:, feature], single_bounds, _larger_norm(x, y, torch.inf))  # (q, s)
        free = torch.zeros_like(x).index_add_(1, feature, fixed.to(x)) == 0
        active = self._active(x @ general.mT, general_bounds, _larger_norm(x, y, 2))  # (q, g)
        return null_component(general, active.to(v), free.to(v), v)

    def _active(self, product: Tensor, bounds: Tensor, size: Tensor) -> Tensor:  # (q, r) -> (q, r) bool
        bounds = bounds[:, None]  # (2, 1, r)
        margin = self.tol * (size + torch.where(bounds.isfinite(), bounds.abs(), 0.0))
        return ((product - bounds).abs() <= margin).any(0)


def _larger_norm(x: Tensor, y: Tensor, order: float) -> Tensor:  # (q, n), (q, n) -> (q, 1)
    return torch.stack([x, y]).norm(p=order, dim=-1, keepdim=True).amax(0)


def null_component(rows: Tensor, active: Tensor, free: Tensor, v: Tensor) -> Tensor:
    """The orthogonal projection of each `v` onto the null space of its active rows and features not free.

    `rows` (g, n) are shared and may be dependent or 0; `active` (q, g), `free` (q, n): 0 or 1 for
    each `v` (q, n). By the eigenvectors of the smaller Gram matrix; singular values below about
    1e-7 of the largest count as 0, since squaring them leaves nothing above rounding.

    On a device, where the host waits for eigenvectors, by proximal steps with a Cholesky factor that is not
    checked: a fixed number of operations.
    """
    v = v * free
    g, n = rows.shape
    if not g:
        return v
    if g <= n or unseen(v):
        gram = (rows * free[:, None]) @ rows.mT * _pairs(active)
    else:
        gram = (rows * active[..., None]).mT @ rows * _pairs(free)
    if unseen(v):
        return v - _in_range(gram, v @ rows.mT * active) * active @ rows * free
    values, vectors = torch.linalg.eigh(gram)
    cutoff = 100 * torch.finfo(v.dtype).eps * values[:, -1:].clamp_min(0)
    in_range = values > cutoff
    if g > n:
        return _apply(vectors, v, (~in_range).to(v))
    inverse = torch.where(in_range, values, 1.0).reciprocal() * in_range
    return v - _apply(vectors, v @ rows.mT * active, inverse) * active @ rows * free


def _in_range(gram: Tensor, r: Tensor) -> Tensor:  # (q, g, g), (q, g) -> (q, g)
    """A solution of `gram u = r`, for r in the range, by proximal steps."""
    shifted = gram.clone()
    shifted.diagonal(dim1=-2, dim2=-1).add_(SHIFT)
    factor, _ = torch.linalg.cholesky_ex(shifted)
    r, u = r[..., None], torch.zeros_like(r)[..., None]
    for _ in range(STEPS):
        half = torch.linalg.solve_triangular(factor, r - gram @ u, upper=False)
        u = u + torch.linalg.solve_triangular(factor.mT, half, upper=True)
    return u[..., 0]


def _pairs(mask: Tensor) -> Tensor:  # (q, k) -> (q, k, k)
    return mask[:, :, None] * mask[:, None]


def _apply(vectors: Tensor, v: Tensor, weights: Tensor) -> Tensor:  # (q, k, k), (q, k), (q, k) -> (q, k)
    """`U diag(weights) U' v` for each matrix U of eigenvectors."""
    return (vectors @ (weights * (v[:, None] @ vectors)[:, 0])[..., None])[..., 0]
