"""DC3: complete the equalities, then unrolled gradient steps on the broken inequalities.

    x = [z; C_o^-1 (d - C_z z)]                                        completion: z are n - p entries of y
    z <- z - s_k,   s_k = rate grad_z ||relu(G x(z) - h)||^2 + momentum s_(k-1)      k = 1 ... STEPS

Promise: C x = d; the inequalities are broken less than before and need not be met: a correction.
Differentiable through the steps. Cost: two products with G a step. Which entries are completed is
decided by a pivoted QR decomposition of C; those entries of y are ignored, as a DC3 head has none.
Tuned at set-up: the rate, over multiples of 1 / (2 ||G||^2), beyond which steps diverge without
momentum, for the smallest mean violation; the paper tunes it for each problem as well. STEPS and
MOMENTUM are the authors' defaults.
Source: Donti, Rolnick, Kolter, "DC3: A learning method for optimization with hard constraints", ICLR
2021, Algorithm 1. No package exists: our own implementation, from the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import Problem
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor

STEPS, MOMENTUM = 10, 0.5
RATES = (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5)


@dataclass(frozen=True)
class _State:
    rows: Tensor  # (g, k), G x(z) = rows z + constant
    limit: Tensor  # (g,)
    complete: Tensor  # (n, k)
    offset: Tensor  # (n,)
    free: Tensor  # (k,) the entries of y that are kept
    rate: float


class Dc3(AbstractTorchPeer):
    """Completion and correction, see `AbstractPeer`."""

    name, citation, environment = "dc3", "donti2021", ""
    requires, reads = ("torch", "scipy"), ("torch",)
    kind = "correction"

    def setup(self, problem: Problem, tuning: np.ndarray) -> _State:
        """The completion as one affine map, and the rate."""
        complete, offset, free = _completion(problem)
        G, h = problem.inequalities()
        rows, limit = G @ complete, h - G @ offset
        scale = float(1 / max(2 * np.linalg.norm(rows, 2) ** 2, 1e-300)) if len(rows) else 1.0
        maps = (self.tensor(rows), self.tensor(limit), self.tensor(complete), self.tensor(offset))
        state = _State(*maps, self.tensor(free, "int64"), scale)
        points = self.load(tuning)
        worst = {}
        for multiple in RATES:
            x = self.unload(self.forward(replace(state, rate=multiple * scale), points))
            worst[multiple] = float(problem.violation(x).mean())
        best = min(worst, key=lambda multiple: (not np.isfinite(worst[multiple]), worst[multiple]))
        self.tuned = {"rate": best * scale, "steps": STEPS, "momentum": MOMENTUM, "violation": worst[best]}
        return replace(state, rate=best * scale)

    def forward(self, state: _State, y: Tensor) -> Tensor:
        """Steps on z, completed at the end: the gradient in z already takes the completion into account."""
        z = y[:, state.free]
        step = 0.0
        for _ in range(STEPS):
            step = 2 * state.rate * (z @ state.rows.mT - state.limit).relu() @ state.rows + MOMENTUM * step
            z = z - step
        return z @ state.complete.mT + state.offset


def _completion(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M (n, k), o (n,), indices (k,)) with `C (M z + o) = d` for every z, and `(M z + o)[indices] = z`."""
    from scipy import linalg

    n, C, d = problem.n, problem.C, problem.d
    if len(C) == 0:
        return np.eye(n), np.zeros(n), np.arange(n)
    qr: Any = linalg.qr  # its annotation does not tell which of its results come
    Q, R, order = qr(C, pivoting=True)
    diagonal = np.abs(np.diag(R))
    rank = int((diagonal > 1e-12 * max(diagonal.max(initial=0), 1e-300)).sum())
    solved, free = order[:rank], np.sort(order[rank:])
    right = Q.T @ d
    if np.abs(right[rank:]).max(initial=0) > 1e-9 * max(np.abs(d).max(), 1e-300):
        raise ValueError("the equalities contradict each other")
    reduced = Q.T @ C
    M, o = np.zeros((n, n - rank)), np.zeros(n)
    M[free, np.arange(n - rank)] = 1
    M[solved] = -np.linalg.solve(reduced[:rank][:, solved], reduced[:rank][:, free])
    o[solved] = np.linalg.solve(reduced[:rank][:, solved], right[:rank])
    return M, o, free
