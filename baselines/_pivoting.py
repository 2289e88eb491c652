"""Block principal pivoting for a batch, from a guess of the active rows; see `batched_active_set.py`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ._dual import SHIFT, Dual

MOST_PIVOTS, FEWER_PIVOTS = 30, 4
CHANCES = 3
"""Exchanges of all wrong rows without fewer of them, before they are exchanged one at a time."""
REFINEMENTS = 3
"""Of shifted systems, each worth five digits."""
ROUNDS = 2
"""Of the iteration, each worth six digits."""
ROUNDING = 1e-12
"""What counts as 0 in a residual or multiplier, relative to its size."""
SIZES = (16, 32, 48, *(int(60 * 1.2**k) for k in range(32)))
"""Samples are factorised together that have no more active rows than the same of these."""
MOST_ENTRIES = {"cpu": 2**18, "cuda": 2**26}
"""Of the matrices that are factorised at once: as many as a cache holds, or a part of a device's memory."""
PRECISE = 1e-11
"""KKT residuals above this are tried to be lowered."""
FEW = 32
"""Samples that are solved one by one, where there are no more rows than `SMALL`."""
SMALL = 64


class Pivoting:
    """Samples on their way to the optimum.

    Args:
        dual: the set.
        x: (q, n) points of the affine hull, float64.
        e: (q, m) `A x - h`.
        w: (q, m) the guess, see `Dual.sides`.
        size: (q, 1), see `scale_of`.

    Attributes:
        u: (q, m) multipliers.
    """

    def __init__(self, dual: Dual, x: Tensor, e: Tensor, w: Tensor, size: Tensor) -> None:
        self.dual, self.x, self.e, self.size = dual, x, e, size
        self.sides, self.prior = dual.sides(w), dual.multipliers(w)
        self.u, self.slack, self.wrong = self._solved(slice(None))

    def run(self) -> None:
        """Exchange until no row is wrong, or `MOST_PIVOTS` times; the rest one by one."""
        count = self.wrong.sum(-1)
        todo = count.nonzero()[:, 0]
        fewest, chances = count, torch.full_like(count, CHANCES)
        small = self.e.shape[1] <= SMALL
        for _ in range(FEWER_PIVOTS if small else MOST_PIVOTS):
            if len(todo) <= (FEW if small else 0):
                break
            wrong = self.wrong[todo]
            alone = (chances[todo] <= 0)[:, None]
            if alone.any():
                highest = wrong & (wrong.flip(-1).cumsum(-1).flip(-1) == 1)
                wrong = torch.where(alone, highest, wrong)
            sides = self.sides[todo]
            entering = torch.where(self.slack[todo] > 0, 1, -1).to(sides.dtype)
            self.sides[todo] = torch.where(wrong, torch.where(sides != 0, 0, entering), sides)
            self.u[todo], self.slack[todo], self.wrong[todo] = self._solved(todo)
            count = self.wrong[todo].sum(-1)
            better = count < fewest[todo]
            chances[todo] = torch.where(better, CHANCES, chances[todo] - 1)
            fewest[todo] = torch.minimum(count, fewest[todo])
            todo = todo[count > 0]
        self._one_by_one(todo)

    def kkt(self) -> Tensor:
        """The KKT residuals (q,), after another method where they are larger than they need be."""
        before, kkt = self.u, kkt_residual(self.dual, self.e, self.u, self.size)
        poor = (~(kkt <= PRECISE)).nonzero()[:, 0]
        if len(poor):
            self.u = before.clone()
            self._one_by_one(poor)
            after = kkt_residual(self.dual, self.e, self.u, self.size)
            self.u = torch.where((after < kkt)[:, None], self.u, before)
            kkt = torch.minimum(after, kkt)
        return kkt

    def _solved(self, rows: slice | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Multipliers, `s` and which rows are on the wrong side, for the present guess of some samples."""
        dual, e, sides, size = self.dual, self.e[rows], self.sides[rows], self.size[rows]
        active = sides != 0
        target = e if dual.one_sided else e + torch.where(sides < 0, dual.width, 0)
        margin = ROUNDING * (size + dual.bounds)
        u = equality_solve(dual, target, active, self.prior[rows], margin)
        slack = torch.addmm(e, u, dual.gram[:-1, :-1], alpha=-1)
        signed = u if dual.one_sided else u * sides
        wrong = torch.where(active, signed < -ROUNDING * size, slack > margin)
        if not dual.one_sided:
            wrong |= ~active & (slack < -dual.width - margin)
        return u, slack, wrong

    def _one_by_one(self, todo: Tensor) -> None:
        """By a method for one point, and once more the equations of the rows that it leaves active."""
        if not len(todo):
            return
        for method in (self.dual.one_point.active_set, self.dual.one_point.least_squares):
            found = [method(point) for point in self.x[todo].cpu().numpy()]
            good = np.flatnonzero([u is not None and bool(np.isfinite(u).all()) for u in found])
            if len(good):
                rows = todo[torch.from_numpy(good).to(todo.device)]
                u = torch.from_numpy(np.array([found[i] for i in good])).to(self.e)
                self.prior[rows], self.sides[rows] = u, u.sign().to(self.sides.dtype)
                self.u[rows], self.slack[rows], self.wrong[rows] = self._solved(rows)
            todo = todo[self.wrong[todo].any(-1)]
            if not len(todo):
                return


def scale_of(dual: Dual, e: Tensor, norm: Tensor) -> Tensor:  # (q, m), (q, 1) -> (q, 1)
    """The norm of a point and its largest violation, `|y| + v`."""
    outside = (e if dual.one_sided else torch.maximum(e, -e - dual.width)).amax(-1, keepdim=True)
    return (norm + outside.clamp_min(0)).clamp_min(torch.finfo(e.dtype).tiny)


def kkt_residual(dual: Dual, e: Tensor, u: Tensor, size: Tensor) -> Tensor:  # -> (q,)
    """Relative KKT residuals of the multipliers `u` (q, m), with `size` from `scale_of`, `|y| + v`.

    The largest of: the primal residual of row j, relative to `|y| + v + |h_j|` with v the largest violation
    of y; a multiplier of the wrong sign, relative to `|y| + v`; the complementarity |u s|, relative to both.
    """
    s = torch.addmm(e, u, dual.gram[:-1, :-1], alpha=-1)
    wide = size + dual.bounds
    if dual.one_sided:
        primal, gap = s, torch.where(u > 0, s.abs(), wide)
    else:
        below = -s - dual.width
        primal = torch.maximum(s, below)
        # A multiplier below 0 belongs to the lower bound, where there is one.
        gap = torch.where(u > 0, s.abs(), torch.where(torch.isinf(dual.width), wide, below.abs()))
    residual = torch.maximum(primal / wide, u.abs() / size * (gap / wide))
    return residual.amax(-1).clamp_min(0).nan_to_num(torch.inf)


def equality_solve(dual: Dual, target: Tensor, active: Tensor, prior: Tensor, margin: Tensor) -> Tensor:
    """`(A A^T)_SS u_S = target_S` for each sample's rows S = `active` (q, m); 0 elsewhere.

    Where the residual exceeds `margin`, which tells of rows that depend on each other, the system is shifted
    and refined from `prior`.
    """
    if dual.iterations:
        return _iterated(dual, target, active, prior)
    u = torch.zeros_like(target)
    for group in _groups(active):
        u[group] = _factorised(dual.gram, 0.0, target[group], active[group], u[group], 1)
    if dual.independent:
        return u
    rest = (torch.addmm(target, u, dual.gram[:-1, :-1], alpha=-1).abs() > margin) & active | ~u.isfinite()
    again = rest.any(-1).nonzero()[:, 0]
    for group in _groups(active[again]):
        rows = again[group]
        u[rows] = _factorised(
            dual.gram, SHIFT, target[rows], active[rows], prior[rows] * active[rows], REFINEMENTS
        )
    return u


def _groups(active: Tensor) -> Sequence[Tensor | slice]:
    """Samples with about as many active rows, so that little is computed for the padding."""
    counts = active.sum(-1)
    if not len(counts):
        return []
    k, most = int(counts.max()), MOST_ENTRIES[active.device.type]
    if k <= SIZES[0] and len(counts) * k * k <= most:
        return [slice(None)]
    size = torch.bucketize(counts, torch.tensor(SIZES, device=counts.device))
    groups = []
    for i in size.unique().tolist():
        entries = SIZES[i] ** 2 if i < len(SIZES) else k * k
        groups += (size == i).nonzero()[:, 0].split(max(1, most // entries))
    return groups


def _factorised(
    gram: Tensor, shift: float, target: Tensor, active: Tensor, u: Tensor, refinements: int
) -> Tensor:
    """`u + (G_SS + shift)^-1 (target - G u)_S`, repeated, with one factorisation of the compacted systems."""
    q, m = active.shape
    counts = active.sum(-1)
    k = int(counts.max())
    if not k:
        return torch.zeros_like(target)
    sample, row = active.nonzero(as_tuple=True)
    position = torch.arange(len(sample), device=row.device) - (counts.cumsum(0) - counts)[sample]
    index = torch.full((q, k), m, dtype=torch.int32, device=row.device)
    index[sample, position] = row.int()
    pairs = index[:, :, None] * (m + 1) + index[:, None]
    matrix = gram.view(-1).index_select(0, pairs.view(-1)).view(q, k, k)
    matrix.diagonal(dim1=-2, dim2=-1).add_((index == m).to(gram.dtype) + shift)
    L, _ = torch.linalg.cholesky_ex(matrix)
    for step in range(refinements):
        r = torch.addmm(target, u, gram[:-1, :-1], alpha=-1) if step or shift else target
        right = r.new_zeros(q, k)
        right[sample, position] = r[sample, row]
        half = torch.linalg.solve_triangular(L, right[..., None], upper=False)
        found = torch.linalg.solve_triangular(L.mT, half, upper=True)[..., 0]
        u = u.index_put((sample, row), found[sample, position], accumulate=True)
    return u


def _iterated(dual: Dual, target: Tensor, active: Tensor, prior: Tensor) -> Tensor:
    """By Chebyshev iteration in float32 on residuals in float64, for a Gram matrix near the identity.

    The eigenvalues of every principal submatrix lie between those of the whole.
    """
    gram, mask = dual.gram[:-1, :-1], active.float()
    centre, radius = (dual.largest + dual.smallest) / 2, (dual.largest - dual.smallest) / 2
    u = prior * active
    for _ in range(ROUNDS):
        residual = torch.addmm(target, u, gram, alpha=-1).float() * mask
        step = residual / centre
        total, ratio = step, radius / centre
        for _ in range(dual.iterations):
            residual.addmm_(step, dual.narrow_gram, alpha=-1).mul_(mask)
            new = radius / (2 * centre - radius * ratio)
            step = step.mul(ratio * new).add_(residual, alpha=2 / (2 * centre - radius * ratio))
            total, ratio = total + step, new
        u = u + total
    return u
