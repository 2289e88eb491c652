"""QPALM: proximal augmented Lagrangian, sparse, one point at a time.

    theirs   min 1/2 x'Q x + q'x,  bmin <= R x <= bmax
    ours     Q = I, q = -y, R = [A; C], bmin = [lower; d], bmax = [b; d]

Scaled once a set, then only `q` changes. Each point starts anew: QPALM begins a solve by setting its
penalties back.
Accuracy: `tol` bounds the residuals, absolute and relative. Cost: some semi-smooth Newton steps a
point, each an update of a sparse LDL' factorisation.
Source: Hermans, Themelis, Patrinos, "QPALM: a proximal augmented Lagrangian method for nonconvex
quadratic programs", Mathematical Programming Computation 14, 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

INFINITY = 1e20
STATUS = {
    "solved": Status.SOLVED,
    "maximum iterations exceeded": Status.INACCURATE,
    "primal infeasible": Status.INFEASIBLE,
}


class Qpalm(AbstractPointwise):
    """Projection by QPALM, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is QPALM's own 1e-4; 1e-8 by default.
    """

    name, requires, citation = "qpalm", ("qpalm", "scipy"), "hermans2022"
    default_tol = 1e-8
    settings = accuracies(default=1e-4)

    def start(self, rows: Rows, tol: float) -> Any:
        """One scaled problem."""
        import qpalm
        from scipy import sparse

        n, m = rows.A.shape[1], len(rows.A) + len(rows.C)
        data, settings = qpalm.Data(n, m), qpalm.Settings()
        data.Q, data.q = sparse.csc_matrix(np.eye(n)), np.zeros(n)
        data.A = sparse.csc_matrix(np.concatenate([rows.A, rows.C]))
        data.bmin = np.concatenate([np.maximum(rows.lower, -INFINITY), rows.d])
        data.bmax = np.concatenate([np.minimum(rows.upper, INFINITY), rows.d])
        settings.verbose = 0
        settings.eps_abs = settings.eps_rel = tol
        settings.eps_prim_inf = settings.eps_dual_inf = min(tol, 1e-5)
        return qpalm.Solver(data, settings)

    def nearest(self, solver: Any, point: np.ndarray) -> tuple[Any, Status]:
        """One update of `q` and one solve, in this thread."""
        solver.update_q(-point)
        solver.solve(asynchronous=False)
        return solver.solution.x, STATUS.get(solver.info.status, Status.FAILED)
