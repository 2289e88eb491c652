"""Block principal pivoting for a batch, from a guess of the active rows; see `batched_active_set.py`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ._dual import Dual
from ._equality import equality_solve

MOST_PIVOTS, FEWER_PIVOTS = 30, 4
CHANCES = 3
"""Exchanges of all wrong rows without fewer of them, before they are exchanged one at a time."""
ROUNDING = 1e-12
"""What counts as 0 in a residual or multiplier, relative to its size."""
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
