"""OptNet's layer, by qpth: the projection as a quadratic program, solved by a batched interior-point method.

    theirs   min 1/2 x'Q x + p'x,  G x <= h,  A x = b
    ours     Q = I, p = -y, G, h = the finite sides of lower <= A x <= b, A, b = C, d

Promise: the nearest point; gradients by the implicit function theorem at the optimum. It stops after
`maxIter` 20 iterations or when no longer improving, with a line on the standard output, whatever the
residual. Cost: one batch of KKT factorisations an iteration. It computes in double, as OptNet's own
models do, whose conversions are part of the call here too. Tuned: nothing; its defaults.
Source: Amos, Kolter, "OptNet: Differentiable Optimization as a Layer in Neural Networks", ICML 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._base import Problem
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor

State = tuple["Tensor", "Tensor", "Tensor", "Tensor", "Tensor"]


class Qpth(AbstractTorchPeer):
    """`QPFunction`, see `AbstractPeer`."""

    name, citation, environment = "qpth", "amos2017", "torch"
    requires, reads = ("qpth.qp",), ("qpth", "torch")
    kind = "projection"

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """Its interior-point method needs slacks."""
        return None if len(problem.inequalities()[0]) else "it needs at least one inequality"

    def setup(self, problem: Problem, tuning: np.ndarray) -> State:
        """The constants, in double."""
        G, h = problem.inequalities()
        C, d = (problem.C, problem.d) if len(problem.C) else (np.zeros(0), np.zeros(0))
        Q, G, h, C, d = (self.tensor(v, "float64") for v in (np.eye(problem.n), G, h, C, d))
        return Q, G, h, C, d

    def forward(self, state: State, y: Tensor) -> Tensor:
        """One call of the layer, silent (`verbose=-1`)."""
        from qpth.qp import QPFunction  # pyright: ignore[reportMissingImports]

        Q, G, h, C, d = state
        return QPFunction(verbose=-1)(Q, -y.double(), G, h, C, d).to(y.dtype)
