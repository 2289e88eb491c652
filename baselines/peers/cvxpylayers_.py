"""cvxpylayers: a CVXPY problem as a torch layer, solved by SCS point by point, differentiated by diffcp.

    minimise 1/2 ||x||^2 - y'x   subject to   lower <= A x <= b,  C x = d

Promise: the nearest point, to SCS's tolerance; an error where SCS finds none. Gradients by implicit
differentiation of the optimality conditions of the cone program. Cost: one solve a point, `threads` at
a time. The objective is written without `sum_squares(x - y)`, which adds a variable and a row a feature
and with which the gradients of ECOS and Clarabel were off by up to 0.4 on a cone; so written, all agree.
Solver: of those its documentation names, Moreau (recommended) needs a licence; of the others SCS is the
default and was about as fast as ECOS and Clarabel, and is run with the tolerance that it gives as the
example for accuracy, 1e-8. Tuned: nothing else.
On CUDA: its ways to a solver on the device are Moreau, whose CUDA build needs the licence as well;
CuClarabel, which needs Julia, takes no tolerance from the layer and solves one point after another too;
and MPAX, which has no backward pass. SCS is therefore run there as well, on the host: the package takes
no CUDA tensors for it, so points and gradients are moved to the host and back, within the timed call.
Source: Agrawal, Amos, Barratt, Boyd, Diamond, Kolter, "Differentiable Convex Optimization Layers",
NeurIPS 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import Problem
from ._torch import AbstractTorchPeer

if TYPE_CHECKING:
    from torch import Tensor

ARGUMENTS = {"solve_method": "SCS", "eps": 1e-8}


class Cvxpylayers(AbstractTorchPeer):
    """`CvxpyLayer`, see `AbstractPeer`."""

    name, citation, environment = "cvxpylayers", "agrawal2019", "torch"
    requires, reads = ("cvxpylayers.torch",), ("cvxpylayers", "diffcp", "scs", "cvxpy", "torch")
    kind = "projection"

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """A cone program needs a cone."""
        rows = len(problem.inequalities()[0]) + len(problem.C)
        return None if rows else "it needs at least one constraint"

    def setup(self, problem: Problem, tuning: np.ndarray) -> Any:
        """Its canonicalised problem."""
        import cvxpy as cp
        from cvxpylayers.torch import CvxpyLayer  # pyright: ignore[reportMissingImports]

        x, y = cp.Variable(problem.n), cp.Parameter(problem.n)
        G, h = problem.inequalities()
        rows = ([G @ x <= h] if len(G) else []) + ([problem.C @ x == problem.d] if len(problem.C) else [])
        task = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(x) - y @ x), rows)
        return CvxpyLayer(task, parameters=[y], variables=[x])

    def forward(self, state: Any, y: Tensor) -> Tensor:
        """One call of the layer."""
        jobs = {"n_jobs_forward": self.threads}
        if y.requires_grad:  # without a gradient diffcp hands an argument for the backward pass on to SCS
            jobs["n_jobs_backward"] = self.threads
        (x,) = state(y.cpu(), solver_args=ARGUMENTS | jobs)
        return x.to(y)  # float64 on the host whatever it is given
