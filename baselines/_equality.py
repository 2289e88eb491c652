"""The multipliers of given active rows: one system of equations a sample, solved for the whole batch.

(A A^T)_SS u_S = target_S,    S the active rows of the sample
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from ._dual import SHIFT, Dual

REFINEMENTS = 3
"""Of shifted systems, each worth five digits."""
ROUNDS = 2
"""Of the iteration, each worth six digits."""
SIZES = (16, 32, 48, *(int(60 * 1.2**k) for k in range(32)))
"""Samples are factorised together that have no more active rows than the same of these."""
MOST_ENTRIES = {"cpu": 2**18, "cuda": 2**26}
"""Of the matrices that are factorised at once: as many as a cache holds, or a part of a device's memory."""
WORTH_THREADS = 48
"""Active rows from which factorisations are spread over threads: torch makes them one after the other."""


def equality_solve(dual: Dual, target: Tensor, active: Tensor, prior: Tensor, margin: Tensor) -> Tensor:
    """`u` (q, m) for each sample's rows `active` (q, m), 0 elsewhere.

    Where the residual exceeds `margin`, which tells of rows that depend on each other, the system is shifted
    and refined from `prior`.
    """
    if dual.iterations:
        return _iterated(dual, target, active, prior)
    u = torch.zeros_like(target)
    for rows, system in _systems(dual.gram, active, 0.0):
        u[rows] = system.solve(target[rows])
    if dual.independent:
        return u
    rest = (torch.addmm(target, u, dual.gram[:-1, :-1], alpha=-1).abs() > margin) & active | ~u.isfinite()
    again = rest.any(-1).nonzero()[:, 0]
    for rows, system in _systems(dual.gram, active[again], SHIFT):
        rows = again[rows]
        near = prior[rows] * active[rows]
        for _ in range(REFINEMENTS):
            near = near + system.solve(torch.addmm(target[rows], near, dual.gram[:-1, :-1], alpha=-1))
        u[rows] = near
    return u


class _System:
    """`r -> (G_SS + shift)^-1 r_S` with 0 outside S, for a group of samples, on the compacted matrices."""

    def __init__(self, gram: Tensor, active: Tensor, shift: float) -> None:
        q, m = active.shape
        counts = active.sum(-1)
        self.k = int(counts.max())
        self.sample, self.row = active.nonzero(as_tuple=True)
        self.position = torch.arange(len(self.sample), device=active.device)
        self.position -= (counts.cumsum(0) - counts)[self.sample]
        index = torch.full((q, self.k), m, dtype=torch.int32, device=active.device)
        index[self.sample, self.position] = self.row.int()
        pairs = index[:, :, None] * (m + 1) + index[:, None]
        self.matrix = gram.view(-1).index_select(0, pairs.view(-1)).view(q, self.k, self.k)
        self.matrix.diagonal(dim1=-2, dim2=-1).add_((index == m).to(gram.dtype) + shift)

    def factorise(self) -> None:
        """The Cholesky factors in the place of the matrices; not finite where there are none."""
        self.matrix, _ = torch.linalg.cholesky_ex(self.matrix)

    def solve(self, r: Tensor) -> Tensor:  # (q, m) -> (q, m)
        """See the class."""
        right = r.new_zeros(len(r), self.k)
        right[self.sample, self.position] = r[self.sample, self.row]
        half = torch.linalg.solve_triangular(self.matrix, right[..., None], upper=False)
        found = torch.linalg.solve_triangular(self.matrix.mT, half, upper=True)[..., 0]
        u = torch.zeros_like(r)
        u[self.sample, self.row] = found[self.sample, self.position]
        return u


def _systems(gram: Tensor, active: Tensor, shift: float) -> Iterator[tuple[Tensor | slice, _System]]:
    """The factorised systems of all samples by groups, a few at a time so that memory stays small."""
    groups = _groups(active)
    workers = torch.get_num_threads() if active.device.type == "cpu" else 1
    for start in range(0, len(groups), workers):
        some = [(rows, _System(gram, active[rows], shift)) for rows in groups[start : start + workers]]
        some = [(rows, system) for rows, system in some if system.k]
        if len(some) > 1 and some[-1][1].k >= WORTH_THREADS:
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda pair: pair[1].factorise(), some))
        else:
            for _, system in some:
                system.factorise()
        yield from some


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


def _iterated(dual: Dual, target: Tensor, active: Tensor, prior: Tensor) -> Tensor:
    """By Richardson's iteration in float32 on residuals in float64, for a Gram matrix near the identity.

    The eigenvalues of every principal submatrix lie between those of the whole. Two operations a step;
    Chebyshev's method takes fewer steps, of five.
    """
    weight = active.float() * (2 / (dual.largest + dual.smallest))
    u = prior * active
    for _ in range(ROUNDS):
        residual = torch.addmm(target, u, dual.gram[:-1, :-1], alpha=-1).float()
        step = residual * weight
        for _ in range(dual.iterations):
            step.addcmul_(weight, torch.addmm(residual, step, dual.narrow_gram, alpha=-1))
        u = u + step
    return u
