"""Batched active set: the exact projection of a batch, on the CPU or a CUDA device.

    primal   min_x 1/2 ||x - y||^2,  h - w <= A x <= h,  within the affine hull of the equalities
    dual     x = y - A^T u,  (A A^T) u = e - s,  e = A y - h,  s in [-w, 0],
             u_i > 0 only where s_i = 0, u_i < 0 only where s_i = -w_i

Rows get unit norm, their part across the equalities is removed, parallel ones are merged; what is left
happens in the m coordinates of the dual, with the Gram matrix A A^T, until x at the very end.

Few rows can be active (m or n at most 64; CPU, with numba): the dual active-set method of Goldfarb and
Idnani for each point, compiled, in as many threads as torch uses, see `_goldfarb_idnani.py`.
The same with at most 128 rows on CUDA, with Triton: one program a sample, from y to x in three kernels that
read each point once each way, see `triton_/`. The host looks at nothing: not at y, where a row that is not
finite becomes NaN, and not at the answers, whose statuses are read off their KKT residuals when asked for.
What is not certified, about one in a thousand where the rows nearly depend on each other, is INACCURATE,
unless `repair` asks for another try.

Otherwise, or where an answer of the CPU is not certified, in torch, the whole batch in each operation:

1. Over-relaxed ADMM in float32, one product with an m x m matrix a step, until the guess of each sample's
   active rows stays the same.
2. Block principal pivoting in float64: the equality systems of all samples that are not solved yet by one
   batched Cholesky factorisation of the compacted Gram matrices; rows that break a bound enter, rows with a
   multiplier of the wrong sign leave; one row at a time (the highest) where that stops to make progress.
   Where rows depend on each other the systems are shifted and refined from the multipliers of step 1.
3. The few samples that are left go to DAQP or non-negative least squares, one at a time.

Every sample carries its KKT residual, `info["kkt"]`: the largest of the primal residual, the wrong sign of
a multiplier and the complementarity |u s|, relative to the largest of 1, |y| and the bounds; stationarity
holds by construction, x being y - A^T u. It is at most `tol`, or the status is INACCURATE. It belongs to
the float64 pair; the point returned is that rounded to the dtype of the call, by a product in that dtype.
Cost: two products with A; and k^3 + k m operations for k active rows, on CUDA k m^2; or 8 to 64 products
with an m x m matrix and one or two factorisations of size k. Not differentiable by itself, see
`differentiable.py`.
Source: Judice and Pires, A block principal pivoting algorithm for large-scale strictly monotone linear
complementarity problems, Computers & Operations Research 21(5), 1994, with the backup rule of Murty; Kim
and Park, Fast nonnegative matrix factorization, SIAM J. Sci. Comput. 33(6), 2011, for many right-hand
sides at once; ADMM as in Boyd et al., 2011, in one variable. The combination is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Answer, Status, unseen
from ._dual import RELAXATION, Dual, dual_of
from ._pivoting import Pivoting, scale_of

FEW_STEPS = (3, 3, 3, 8, 16, 32)
STEPS = (8, 8, 16, 16, 32, 64, 128)
"""Between two checks, for a Gram matrix near the identity and otherwise."""
OUTCOMES = Status.SOLVED, Status.INACCURATE, Status.FAILED


class BatchedActiveSet(AbstractProjection):
    """Exact projection of a batch, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; `tol` bounds the KKT residual of each sample.
        warm_start: begin ADMM from the multipliers of the last call where it had as many samples, for
            points that move little from call to call. The answer is the optimum either way. Without effect
            where the method is that of single points.
        repair: with the kernel for CUDA, whether to try in torch what it could not certify. That takes the
            host one look a call; otherwise there is none, and such samples are INACCURATE.
    """

    name, citation = "batched_active_set", "judice1994"
    batched, tensors = True, True
    default_tol = 1e-9

    def setup(
        self, polyhedron: Polyhedron, tol: float, warm_start: bool = False, repair: bool = False
    ) -> _State:
        """Rows, Gram matrix and the matrix of the steps."""
        state = _State(dual_of(polyhedron), tol, warm_start, repair)
        _ = state.on(torch.device("cpu")).compiled  # built now, not in the first call
        return state

    def solve(self, state: _State, y: Tensor) -> Answer:
        """All rows of `y` at once."""
        if state.dual.empty:
            return torch.full_like(y, torch.nan), [Status.INFEASIBLE] * len(y)
        with torch.no_grad():
            if unseen(y):
                return _on_a_device(state, y)
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
    repair: bool
    last: Tensor | None = None
    places: dict[torch.device, Dual] = field(default_factory=dict)

    def on(self, device: torch.device) -> Dual:
        """The constants on a device, carried there once."""
        if device not in self.places:
            self.places[device] = self.dual.to(device)
        return self.places[device]


def _on_a_device(state: _State, y: Tensor) -> Answer:
    """By the kernels where the rows are few enough for them; the host then looks at nothing."""
    dual = state.on(y.device)
    if len(dual.h) and dual.tableau:
        x, kkt = _by_kernels(state, dual, y)
        return x, partial(_statuses, x, kkt, state.tol), {"kkt": kkt}
    # What is in torch looks at its values anyway, and cannot do with such that are not finite.
    finite = torch.isfinite(y).all(-1, keepdim=True)
    x, kkt = _project(state, torch.where(finite, y, 0.0))
    return x, _statuses(x, kkt, state.tol) if len(dual.h) else [Status.SOLVED] * len(y), {"kkt": kkt}


def _by_kernels(state: _State, dual: Dual, y: Tensor) -> tuple[Tensor, Tensor]:
    """As `_project`; NaN for points that are not finite, or whose norm is not."""
    from .triton_ import active_set, level

    inside = None
    if dual.full:
        e, norm = level.levels(y, dual.A, dual.h)
    else:
        inside = dual.onto_hull(y.double())
        e = torch.addmm(dual.h, inside, dual.A.mT, beta=-1)
        norm = torch.linalg.vector_norm(y, dim=-1, dtype=torch.float64)
    u, kkt = active_set.multipliers(e, norm, dual.gram, dual.width, dual.bounds, dual.one_sided)
    if state.repair:
        rest = (torch.isfinite(norm) & ~(kkt <= state.tol)).nonzero()[:, 0]
        if len(rest):
            here = dual.onto_hull(y[rest].double())
            u[rest], kkt[rest] = _pivoted(dual, here, e[rest], norm[rest])
    if inside is not None:
        return torch.addmm(inside, u, dual.A, alpha=-1).to(y.dtype), kkt
    return level.points(y, u, dual.A if y.dtype == torch.float64 else dual.narrow), kkt


def _statuses(x: Tensor, kkt: Tensor, tol: float) -> list[Status]:
    code = torch.where(kkt <= tol, 0, torch.where(torch.isfinite(x).all(-1), 1, 2))
    return [OUTCOMES[entry] for entry in code.tolist()]


def _project(state: _State, y: Tensor) -> tuple[Tensor, Tensor]:  # (q, n) -> (q, n), (q,)
    dual = state.on(y.device)
    wide = y.double()
    inside = dual.onto_hull(wide)
    e = torch.addmm(dual.h, inside, dual.A.mT, beta=-1)  # (q, m)
    if not len(dual.h) or not len(y):
        return inside.to(y.dtype), e.new_zeros(len(y))
    norm = torch.linalg.vector_norm(wide, dim=-1)
    if dual.compiled is not None:
        u, kkt = dual.compiled(e, norm)
        rest = (~(kkt <= state.tol)).nonzero()[:, 0]
        if len(rest):
            u[rest], kkt[rest] = _pivoted(dual, inside[rest], e[rest], norm[rest])
    else:
        start = state.last if state.last is not None and state.last.shape == e.shape else None
        w = _guess(dual, e.float(), start)
        state.last = w if state.warm_start else None
        u, kkt = _pivoted(dual, inside, e, norm, w)
    if dual.full and y.dtype == torch.float32:  # the product in the dtype of the result, as its rounding
        return torch.addmm(y, u.float(), dual.narrow, alpha=-1), kkt
    return torch.addmm(inside, u, dual.A, alpha=-1).to(y.dtype), kkt


def _pivoted(
    dual: Dual, x: Tensor, e: Tensor, norm: Tensor, w: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    guess = _guess(dual, e.float(), None) if w is None else w
    pivoting = Pivoting(dual, x, e, guess, scale_of(dual, e, norm[:, None]))
    pivoting.run()
    kkt = pivoting.kkt()
    return pivoting.u, kkt


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
