"""The dual of a projection in the coordinates of its rows: what `batched_active_set` computes with.

With the equalities gone, `{x : Q x = f}` being the affine hull with orthonormal Q, rows of unit norm within
it, those of one direction merged, and each row with its finite bound above: `h - width <= A x <= h`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._compiled import Compiled
from ._one_point import OnePoint

RELAXATION = 1.9
NOTHING = 1e-12
"""What is left of a row, relative to its norm, that the equalities determine."""
SAME = 1e-14
"""Unit rows that are nearer than this are one."""
SHIFT = 1e-5
"""Added to the diagonal of systems that may be singular; the answers are refined until it has no effect."""
INDEPENDENT = 1e-7
"""Smallest eigenvalue of A A^T from which no shift is needed."""
PENALTIES = (0.3, 1.0, 1.7, 3.0, 5.0, 9.0, 16.0, 30.0)
"""Weights of the rows in the steps, of which the best on random points is taken."""
MOST_ITERATIONS = 24
"""From which a factorisation is faster."""
MOST_COMPILED = 64
"""Rows or features up to which the method for single points is faster than the one for the batch."""
MOST_TABLEAU = 128
"""Rows up to which a tableau of all of them fits the registers of a program on CUDA."""
TRIALS, TRIAL_STEPS, MOST_TUNED = 64, 32, 1024


@dataclass(frozen=True)
class Dual:
    """Constants; float64, but `narrow`, `gain`, `factor` and `reach` float32."""

    empty: bool
    Q: Tensor  # (r, n)
    f: Tensor  # (r,)
    A: Tensor  # (m, n)
    h: Tensor  # (m,)
    width: Tensor  # (m,), infinite for rows of one side
    gram: Tensor  # (m + 1, m + 1), the last row and column 0
    independent: bool
    """Whether no rows depend on each other, nearly so included."""
    one_sided: bool
    narrow: Tensor  # (m, n)
    gain: Tensor  # (m, m)
    factor: Tensor  # (m, m)
    reach: Tensor  # (m,), the width
    bounds: Tensor  # (m,), |h|
    narrow_gram: Tensor  # (m, m), float32
    penalty: float
    smallest: float
    largest: float
    """Of the eigenvalues of A A^T."""
    iterations: int
    """Of Richardson's method for a system of active rows, 0 where a factorisation is used."""

    @cached_property
    def one_point(self) -> OnePoint:
        """The method for a single point."""
        A, high, width = (v.cpu().numpy() for v in (self.A, self.h, self.width))
        return OnePoint(A, high - width, high)

    @cached_property
    def compiled(self) -> Compiled | None:
        """The compiled method for single points, where few rows can be active, on a CPU with numba."""
        if self.A.device.type != "cpu" or min(self.A.shape) > MOST_COMPILED or not find_spec("numba"):
            return None
        return Compiled(self.gram[:-1, :-1], self.width, self.bounds, self.A.shape[1])

    @cached_property
    def tableau(self) -> bool:
        """Whether the kernel for CUDA serves this set."""
        return len(self.h) <= MOST_TABLEAU and find_spec("triton") is not None

    @property
    def full(self) -> bool:
        """Whether there are no equalities."""
        return not len(self.Q)

    def onto_hull(self, y: Tensor) -> Tensor:  # (q, n) -> (q, n)
        """The nearest points of the affine hull."""
        return y if self.full else y - (y @ self.Q.mT - self.f) @ self.Q

    def mirror(self, w: Tensor) -> Tensor:  # (q, m) -> (q, m)
        """`w - 2 z` with z the point of [-width, 0] next to w."""
        if self.one_sided:
            return w.abs()
        return torch.add(w, torch.minimum(torch.maximum(w, -self.reach), w.new_zeros(())), alpha=-2)

    def sides(self, w: Tensor) -> Tensor:  # (q, m) -> (q, m)
        """1 where a row is active above, -1 where below, 0 where it is not."""
        above = (w > 0).to(torch.int8)
        return above if self.one_sided else above - (w < -self.reach).to(torch.int8)

    def multipliers(self, w: Tensor) -> Tensor:  # (q, m) -> (q, m)
        """`penalty (w - z)` in float64."""
        upper = w.relu() if self.one_sided else w.relu() - (-w - self.reach).relu()
        return self.penalty * upper.double()

    def to(self, device: torch.device) -> Dual:
        """The same on a device."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        moved = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def dual_of(polyhedron: Polyhedron) -> Dual:
    """The constants of a set; `empty` if no point satisfies it."""
    A, high, low = polyhedron.A, polyhedron.b, polyhedron.lower
    C, d, empty = polyhedron.C, polyhedron.d, False
    fixed = low == high
    while True:
        C, d = np.concatenate([C, A[fixed]]), np.concatenate([d, high[fixed]])
        Q, f, no_solution = _hull(C, d)
        A, high, low, broken = _unit_rows(A[~fixed], high[~fixed], low[~fixed], Q, f)
        A, high, low = _merged(A, high, low)
        empty = empty or no_solution or broken or bool((low - high > _slack(high)).any())
        fixed = np.abs(high - low) <= _slack(high)  # parallel rows that leave no room between them
        if empty or not fixed.any():
            break
    flip = np.isinf(high)
    A, high, low = (
        np.where(flip[:, None], -A, A), np.where(flip, -low, high), np.where(flip, -high, low),
    )  # fmt: skip
    return _constants(empty or _no_point(A, high, low, Q, f), Q, f, A, high, high - low)


def _slack(values: np.ndarray) -> np.ndarray:
    """Rounding of bounds."""
    return 1e-13 * np.maximum(1.0, np.where(np.isfinite(values), np.abs(values), 0.0))


def _hull(C: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Orthonormal equations `Q x = f` of `C x = d`, and whether there is no solution."""
    norms = np.linalg.norm(C, axis=1)
    some = norms > 0
    empty = bool((d[~some] != 0).any())
    C, d = C[some] / norms[some, None], d[some] / norms[some]
    if not len(C):
        return C, d, empty
    U, values, Q = np.linalg.svd(C, full_matrices=False)
    rank = int((values > max(C.shape) * np.finfo(float).eps * values[0]).sum())
    f = (U[:, :rank].T @ d) / values[:rank]
    residual = np.abs(C @ (Q[:rank].T @ f) - d).max()
    return Q[:rank], f, empty or residual > 1e-9 * max(1.0, np.abs(d).max())


def _unit_rows(
    A: np.ndarray, b: np.ndarray, lower: np.ndarray, Q: np.ndarray, f: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Rows of unit norm within the hull with their bounds; whether one that is constant there is broken."""
    norms = np.linalg.norm(A, axis=1)
    scale = np.where(norms > 0, norms, 1.0)
    A, b, lower = A / scale[:, None], b / scale, lower / scale
    along = A @ Q.T
    A, value = A - along @ Q, along @ f
    b, lower = b - value, lower - value
    norms = np.linalg.norm(A, axis=1)
    gone = norms <= NOTHING
    slack = 10 * _slack(value[gone])
    broken = bool(((b[gone] < -slack) | (lower[gone] > slack)).any())
    keep = ~gone & ~(np.isinf(b) & np.isinf(lower))
    scale = norms[keep]
    return A[keep] / scale[:, None], b[keep] / scale, lower[keep] / scale, broken


def _merged(A: np.ndarray, high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each direction once, parallel and opposite rows together, with the tightest bounds."""
    lead = A[np.arange(len(A)), np.abs(A).argmax(1)] if len(A) else np.zeros(0)
    sign = np.where(lead < 0, -1.0, 1.0)
    A = A * sign[:, None]
    high, low = np.where(sign > 0, high, -low), np.where(sign > 0, low, -high)
    kept: list[int] = []
    gram = A @ A.T
    for i in range(len(A)):
        near = [j for j in np.flatnonzero(gram[i, :i] > 1 - 1e-9) if np.abs(A[i] - A[j]).max() <= SAME]
        first = next((j for j in near if j in kept), None)
        if first is None:
            kept.append(i)
        else:
            high[first], low[first] = min(high[first], high[i]), max(low[first], low[i])
    return A[kept], high[kept], low[kept]


def _no_point(A: np.ndarray, high: np.ndarray, low: np.ndarray, Q: np.ndarray, f: np.ndarray) -> bool:
    """Whether a linear program finds the set empty; not asked where a point is known."""
    point = Q.T @ f
    value = A @ point
    if (value <= high).all() and (value >= low).all():
        return False
    from scipy.optimize import linprog

    finite = np.isfinite(low)
    G, h = np.concatenate([A, -A[finite]]), np.concatenate([high, -low[finite]])
    equalities = {"A_eq": Q, "b_eq": f} if len(Q) else {}
    answer = linprog(np.zeros(A.shape[1]), G, h, bounds=(None, None), method="highs", **equalities)
    return answer.status == 2


def _constants(
    empty: bool, Q: np.ndarray, f: np.ndarray, rows: np.ndarray, high: np.ndarray, width: np.ndarray
) -> Dual:
    A, h, w = torch.tensor(rows), torch.tensor(high), torch.tensor(width)
    m, gram = len(A), A @ A.mT
    padded = torch.zeros(m + 1, m + 1, dtype=A.dtype)
    padded[:m, :m] = gram
    values, vectors = torch.linalg.eigh(gram)
    penalty, gain, factor = _tuned(A, gram, values, vectors)
    return Dual(
        empty=empty,
        Q=torch.tensor(Q),
        f=torch.tensor(f),
        A=A,
        h=h,
        width=w,
        gram=padded,
        independent=not m or float(values[0]) > INDEPENDENT,
        one_sided=bool(torch.isinf(w).all()),
        narrow=A.float(),
        gain=gain,
        factor=factor,
        reach=w.float(),
        bounds=h.abs(),
        narrow_gram=gram.float(),
        penalty=penalty,
        smallest=float(values[0]) if m else 1.0,
        largest=float(values[-1]) if m else 1.0,
        iterations=_iterations(values),
    )


def _tuned(A: Tensor, gram: Tensor, values: Tensor, vectors: Tensor) -> tuple[float, Tensor, Tensor]:
    """The penalty that is nearest to the optimum of random points soonest, and the matrices of its steps."""

    def matrices(penalty: float) -> tuple[float, Tensor, Tensor]:
        K = (vectors / (1 + penalty * values)) @ vectors.mT
        identity = torch.eye(len(K), dtype=K.dtype)
        return penalty, (RELAXATION * K).float(), (RELAXATION * K - RELAXATION / 2 * identity).float()

    if not 1 < len(A) <= MOST_TUNED:
        return matrices(2.0)
    generator = torch.Generator().manual_seed(0)
    e = (torch.randn(TRIALS, A.shape[1], generator=generator, dtype=A.dtype) @ A.mT).float()
    gram = gram.float()

    def residual(candidate: tuple[float, Tensor, Tensor]) -> float:
        penalty, gain, factor = candidate
        first = e @ gain
        w = first
        for _ in range(TRIAL_STEPS):
            w = torch.addmm(first + (1 - RELAXATION / 2) * w, w.abs(), factor)
        u = penalty * w.relu()
        return float(torch.minimum(u, u @ gram - e).norm())

    return min((matrices(penalty) for penalty in PENALTIES), key=residual)


def _iterations(values: Tensor) -> int:
    """How many give a factor of 1e-6, if no more than `MOST_ITERATIONS`."""
    if not len(values) or values[0] <= INDEPENDENT:
        return 0
    condition = float(values[-1] / values[0])
    rate = (condition - 1) / (condition + 1)
    needed = 1 if rate < 1e-6 else math.ceil(math.log(1e-6) / math.log(rate))
    return needed if needed <= MOST_ITERATIONS else 0
