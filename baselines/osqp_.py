"""OSQP: operator splitting (ADMM), sparse, one point at a time; the baseline of the paper.

    theirs   min 1/2 x'P x + q'x,  l <= R x <= u
    ours     P = I, q = -y, R = [A; C], l = [lower; d], u = [b; d]; rows of unit norm if very unequal

Set up as in the paper: all four tolerances equal to `tol`, polishing, one factorisation a set, then
only `q` changes; as in the authors' published code each point starts from x = y. The duals start
from the previous point's, so an answer depends on its predecessors within the tolerance.
Accuracy: `tol` on the residuals, relative and absolute; near machine precision where polishing
finds the active rows. Cost: 25 to 100 iterations, each a sparse triangular solve.
Source: Stellato et al., "OSQP: an operator splitting solver for quadratic programs", Mathematical
Programming Computation 12, 2020; settings: Frerix, Niessner, Cremers, arXiv 1902.01785, sec. 4.
"""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status, accuracies

STATUS = {
    "solved": Status.SOLVED,
    "solved inaccurate": Status.INACCURATE,
    "maximum iterations reached": Status.INACCURATE,
    "primal infeasible": Status.INFEASIBLE,
}

SPREAD = 1e3
"""Rows whose norms are further apart get unit norm: a tolerance on A x would not see the smallest."""


class Osqp(AbstractProjection):
    """Projection by OSQP, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; `tol` is 1e-6 in the paper and by default;
            "default" is OSQP's own 1e-3.
        max_iter: iterations before a point is given up as INACCURATE; OSQP's default is 4000.
    """

    name, requires, citation = "osqp", ("osqp", "scipy"), "stellato2020"
    default_tol = 1e-6
    settings = accuracies(default=1e-3)

    def setup(self, polyhedron: Polyhedron, tol: float, max_iter: int = 4000) -> Any:
        """One scaled and factorised OSQP workspace."""
        import osqp
        from scipy import sparse

        rows = np.concatenate([polyhedron.A, polyhedron.C])
        low = np.concatenate([polyhedron.lower, polyhedron.d])
        high = np.concatenate([polyhedron.b, polyhedron.d])
        norms = np.linalg.norm(rows, axis=1)
        used = norms[norms > 0]
        if len(used) and used.max() > SPREAD * used.min():
            norms[norms == 0] = 1.0
            rows, low, high = rows / norms[:, None], low / norms, high / norms
        solver = osqp.OSQP()
        solver.setup(
            P=sparse.identity(polyhedron.n, format="csc"),
            q=np.zeros(polyhedron.n),
            A=sparse.csc_matrix(rows),
            l=low,
            u=high,
            eps_abs=tol,
            eps_rel=tol,
            eps_prim_inf=tol,
            eps_dual_inf=tol,
            max_iter=max_iter,
            polishing=True,
            warm_starting=True,
            verbose=False,
        )
        return solver

    def solve(self, state: Any, y: np.ndarray) -> tuple[np.ndarray, list[Status]]:
        """One update of `q` and one solve a row."""
        x, statuses = np.full_like(y, np.nan), []
        # Polishing prints a line for a point without active rows even with verbose=False:
        # https://github.com/osqp/osqp/issues/785
        with redirect_stdout(StringIO()):
            for i, point in enumerate(y):
                state.update(q=-point)
                state.warm_start(x=point)
                result = state.solve(raise_error=False)
                status = STATUS.get(result.info.status, Status.FAILED)
                if status in (Status.SOLVED, Status.INACCURATE):
                    x[i] = result.x
                statuses.append(status)
        return x, statuses
