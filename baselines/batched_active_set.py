"""Batched active set: the exact projection of a whole batch at once, in torch, on the CPU or a CUDA device.

    primal   min_x 1/2 ||x - y||^2,  h - w <= A x <= h,  within the affine hull of the equalities
    dual     x = y - A^T u,  (A A^T) u = e - s,  e = A y - h,  s in [-w, 0],
             u_i > 0 only where s_i = 0, u_i < 0 only where s_i = -w_i

1. Rows get unit norm, their part across the equalities is removed, parallel ones are merged; what is left
   happens in the m coordinates of the dual, with the Gram matrix A A^T, until x at the very end.
2. Over-relaxed ADMM for the batch in float32, one product with an m x m matrix a step, until the guess of
   each sample's active rows stays the same.
3. Block principal pivoting in float64: the equality systems of all samples that are not solved yet by one
   batched Cholesky factorisation of the compacted Gram matrices; rows that break a bound enter, rows with a
   multiplier of the wrong sign leave; one row at a time (the highest) where that stops to make progress.
   Where rows depend on each other the systems are shifted and refined from the multipliers of step 2.
4. The few samples that are left go to non-negative least squares (Lawson and Hanson), one at a time.

Every sample carries its KKT residual, `info["kkt"]`: the largest of the primal residual, the wrong sign of
a multiplier and the complementarity |u s|, relative to the largest of 1, |y| and the bounds; stationarity
holds by construction, x being y - A^T u. It is at most `tol`, or the status is INACCURATE. It belongs to
the float64 pair; the point returned is that rounded to the dtype of the call, by a product in that dtype.
Cost: two products with A, 8 to 64 with an m x m matrix, one or two factorisations of the size of the
active set. Not differentiable by itself, see `differentiable.py`.
Source: Judice and Pires, A block principal pivoting algorithm for large-scale strictly monotone linear
complementarity problems, Computers & Operations Research 21(5), 1994, with the backup rule of Murty; Kim
and Park, Fast nonnegative matrix factorization, SIAM J. Sci. Comput. 33(6), 2011, for many right-hand
sides at once; ADMM as in Boyd et al., 2011, in one variable. The combination is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Answer, Status
from ._dual import RELAXATION, Dual, dual_of
from ._pivoting import Pivoting, kkt_residual, scale_of

FEW_STEPS = (3, 3, 3, 8, 16, 32)
STEPS = (8, 8, 16, 16, 32, 64, 128)
"""Between two checks, for a Gram matrix near the identity and otherwise."""


class BatchedActiveSet(AbstractProjection):
    """Exact projection of a batch, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; `tol` bounds the KKT residual of each sample.
        warm_start: begin from the multipliers of the last call where it had as many samples, for points
            that move little from call to call. The answer is the optimum either way.
    """

    name, citation = "batched_active_set", "judice1994"
    batched, tensors = True, True
    default_tol = 1e-9

    def setup(self, polyhedron: Polyhedron, tol: float, warm_start: bool = False) -> _State:
        """Rows, Gram matrix and the matrix of the steps."""
        return _State(dual_of(polyhedron), tol, warm_start)

    def solve(self, state: _State, y: Tensor) -> Answer:
        """All rows of `y` at once."""
        if state.dual.empty:
            return torch.full_like(y, torch.nan), [Status.INFEASIBLE] * len(y)
        with torch.no_grad():
            x, kkt = _project(state, y)
        status = [Status.SOLVED] * len(y)
        for i in (~(kkt <= state.tol)).nonzero()[:, 0].tolist():
            status[i] = Status.INACCURATE if torch.isfinite(x[i]).all() else Status.FAILED
        return x, status, {"kkt": kkt}


@dataclass
class _State:
    dual: Dual
    tol: float
    warm_start: bool
    last: Tensor | None = None
    places: dict[torch.device, Dual] = field(default_factory=dict)

    def on(self, device: torch.device) -> Dual:
        """The constants on a device, carried there once."""
        if device not in self.places:
            self.places[device] = self.dual.to(device)
        return self.places[device]


def _project(state: _State, y: Tensor) -> tuple[Tensor, Tensor]:  # (q, n) -> (q, n), (q,)
    dual = state.on(y.device)
    wide = y.double()
    inside = dual.onto_hull(wide)
    e = torch.addmm(dual.h, inside, dual.A.mT, beta=-1)  # (q, m)
    if not len(dual.h) or not len(y):
        return inside.to(y.dtype), e.new_zeros(len(y))
    size = scale_of(dual, e, torch.linalg.vector_norm(y, dim=-1, keepdim=True))
    if dual.alone:
        u, kkt = _one_by_one(dual, inside, e, size, state.tol)
    else:
        start = state.last if state.last is not None and state.last.shape == e.shape else None
        w = _guess(dual, e.float(), start)
        state.last = w if state.warm_start else None
        u, kkt = _pivoted(dual, inside, e, w, size)
    if dual.full and y.dtype == torch.float32:  # the product in the dtype of the result, as its rounding
        return torch.addmm(y, u.float(), dual.narrow, alpha=-1), kkt
    return torch.addmm(inside, u, dual.A, alpha=-1).to(y.dtype), kkt


def _pivoted(dual: Dual, x: Tensor, e: Tensor, w: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    pivoting = Pivoting(dual, x, e, w, size)
    pivoting.run()
    kkt = pivoting.kkt()
    return pivoting.u, kkt


def _one_by_one(dual: Dual, x: Tensor, e: Tensor, size: Tensor, tol: float) -> tuple[Tensor, Tensor]:
    """Each point alone; where its answer is not certified, in the batch."""
    found = [dual.one_point.active_set(point) for point in x.cpu().numpy()]
    u = torch.from_numpy(np.array([np.full(len(dual.h), np.nan) if v is None else v for v in found])).to(e)
    kkt = kkt_residual(dual, e, u, size)
    rest = (~(kkt <= tol)).nonzero()[:, 0]
    if len(rest):
        w = _guess(dual, e[rest].float(), None)
        u[rest], kkt[rest] = _pivoted(dual, x[rest], e[rest], w, size[rest])
    return u, kkt


def _guess(dual: Dual, e: Tensor, start: Tensor | None) -> Tensor:  # (q, m) float32
    """`w` after the steps: row i is active above where w_i > 0, below where w_i < -width_i.

    Samples whose active rows are those of the last check are left alone, once they are the larger part.
    """
    first = e @ dual.gain
    w = first if start is None else start
    whole, moving, before = w, None, None
    for steps in FEW_STEPS if dual.iterations else STEPS:
        for _ in range(steps):
            w = torch.add(first, w, alpha=1 - RELAXATION / 2).addmm_(dual.mirror(w), dual.factor)
        sides = dual.sides(w)
        changed = None if before is None else (sides != before).any(-1).nonzero()[:, 0]
        if changed is not None and len(changed) <= len(w) // 2:
            whole = w if moving is None else whole.index_copy(0, moving, w)
            if not len(changed):
                return whole
            moving = changed if moving is None else moving[changed]
            w, first, sides = w[changed], first[changed], sides[changed]
        before = sides
    return w if moving is None else whole.index_copy(0, moving, w)
