"""LinSAT: entropic projection of exp(y / tau) by Sinkhorn iterations over all rows in turn.

    x = s u,   u -> argmin_u tau <u, log u> - <y / s, u>    over lower <= A s u <= b,  C s u = d,  u >= 0

For positive linear constraints: A, b, lower, C, d >= 0 and x >= 0. Its variables lie in [0, 1], so they
are multiplied by s, the largest value that a row allows any feature, as its notes suggest.
Promise: feasible, in the limit of many iterations; it stops after `max_iter` with a warning that is
not an error. Not the Euclidean projection. Cost: a few products with the rows an iteration.
Tuned: nothing; tau and max_iter are its documented defaults.
Source: Wang, Zhang, Guo, Chen, Yang, Yan, "LinSATNet: The Positive Linear Satisfiability Neural
Networks", ICML 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import Problem
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor

TAU, ITERATIONS = 0.05, 100


class LinSat(AbstractTorchPeer):
    """`linsat_layer`, see `AbstractPeer`."""

    name, citation, environment = "linsat", "wang2023", "torch"
    requires, reads = ("LinSATNet",), ("LinSATNet", "torch")
    kind = "feasible"

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Positive linear constraints that bound every feature."""
        rows, nonnegative = _positive(problem)
        if not nonnegative.all():
            return "it serves sets of non-negative points only, with a row x_i >= 0 for each feature"
        if any((side < 0).any() for side in (rows.A, rows.b, rows.C, rows.d)):
            return "it serves positive linear constraints only: A, b, C, d and lower must not be negative"
        if (rows.lower[np.isfinite(rows.lower)] < 0).any():
            return "it serves positive linear constraints only: lower must not be negative"
        if not np.isfinite(_largest(rows)):
            return "its variables lie in [0, 1] times a factor, and some feature has no upper bound"
        return None

    def setup(self, problem: Problem, tuning: np.ndarray) -> tuple[Any, float]:
        """Its initialised constraints and the factor."""
        from LinSATNet import init_constraints  # pyright: ignore[reportMissingImports]

        rows, _ = _positive(problem)
        scale = _largest(rows)
        above, below = np.isfinite(rows.b), np.isfinite(rows.lower) & (rows.lower > 0)
        blocks = (
            *(("A", "b", rows.A[above], rows.b[above]), ("C", "d", rows.A[below], rows.lower[below])),
            ("E", "f", rows.C, rows.d),
        )
        given = {}
        for matrix, side, left, right in blocks:
            if len(left):
                values = (self.tensor(value, "float32") for value in (left * scale, right))
                given |= dict(zip((matrix, side), values, strict=True))
        self.tuned = {"scale": scale, "tau": TAU, "max_iter": ITERATIONS}
        return init_constraints(problem.n, **given), scale

    def forward(self, state: tuple[Any, float], y: Tensor) -> Tensor:
        """One call of the layer, which makes float32 arrays itself and accepts no other dtype."""
        from LinSATNet import linsat_layer  # pyright: ignore[reportMissingImports]

        constraints, scale = state
        u = linsat_layer(
            y.float() / scale, constr_dict=constraints, tau=TAU, max_iter=ITERATIONS, no_warning=True
        )
        return (u * scale).to(y.dtype)


def _positive(problem: Problem) -> tuple[Problem, np.ndarray]:
    """(the rows that are not x_i >= 0, (n,) whether feature i has such a row)."""
    single = np.count_nonzero(problem.A, axis=1) == 1
    A, b, lower = problem.A.copy(), problem.b.copy(), problem.lower.copy()
    flip = single & (A.sum(1) < 0)
    A[flip], b[flip], lower[flip] = -A[flip], -lower[flip], -b[flip]
    sign = single & (lower == 0)
    covered = np.any(A[sign] > 0, axis=0)
    lower[sign] = -np.inf
    keep = np.isfinite(b) | np.isfinite(lower)
    return Problem(A[keep], b[keep], lower[keep], problem.C, problem.d), covered


def _largest(rows: Problem) -> float:
    """The largest value that the rows allow any feature, all others being at least 0."""
    G = np.concatenate([rows.A, rows.C])
    h = np.concatenate([rows.b, rows.d])
    with np.errstate(divide="ignore", invalid="ignore"):
        caps = np.where(G > 0, h[:, None] / np.where(G > 0, G, 1), np.inf)
    return float(caps.min(axis=0, initial=np.inf).max())
