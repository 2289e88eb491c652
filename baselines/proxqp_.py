"""ProxQP: proximal augmented Lagrangian, dense, one point at a time.

    theirs   min 1/2 x'H x + g'x,  A x = b,  l <= C x <= u
    ours     H = I, diagonal, g = -y; their A, b are C, d; their C, l, u are A, lower, b

Scaled and factorised once a set, then only `g` changes. Each point starts, as is ProxQP's default,
from the solution of the equalities alone.
Accuracy: `tol` is a distance; the duality gap bounds 1/2 |x - proj(y)|^2, so its check, which ProxQP
leaves out by default, is on, with gap = tol^2, absolute and relative, not below 1e-14. Without it
residuals of 1e-9 are reported as solved at a distance of 1e-5. Residuals at most `tol`, absolute and
relative. Cost: some semi-smooth Newton steps a point, each an update of a dense LDL' factorisation.
Source: Bambade, El-Kazdadi, Taylor, Carpentier, "ProxQP: yet another quadratic programming solver for
robotics and beyond", RSS 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

INFINITY = 1e20
SMALLEST_GAP = 1e-14
SMALLEST_CLAIM = 1e-9


class Proxqp(AbstractPointwise):
    """Projection by ProxQP, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is 1e-5, ProxQP's own
            residual; 1e-6 by default.
    """

    name, requires, citation = "proxqp", ("proxsuite",), "bambade2022"
    default_tol = 1e-6
    settings = accuracies(default=1e-5)

    def start(self, rows: Rows, tol: float) -> Any:
        """One scaled and factorised problem."""
        from proxsuite import proxqp

        n, dense = rows.A.shape[1], proxqp.dense
        solver = dense.QP(n, len(rows.C), len(rows.A), False, dense.HessianType.Diagonal)
        initialise(solver, rows, tol)
        return solver

    def nearest(self, solver: Any, point: np.ndarray) -> tuple[Any, Status]:
        """One update of `g` and one solve."""
        solver.update(g=-point)
        solver.solve()
        return solver.results.x, status_of(solver)


def initialise(solver: Any, rows: Rows, tol: float) -> None:
    """Give a problem of ProxQP its numbers and tolerances."""
    settings, gap = solver.settings, max(tol**2, SMALLEST_GAP)
    settings.eps_abs = settings.eps_rel = tol
    settings.check_duality_gap = True
    settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = gap
    # With its own 1e-4 it calls sets empty that are not, for points a thousand times their size away.
    settings.eps_primal_inf = SMALLEST_CLAIM
    equalities, inequalities = len(rows.C) > 0, len(rows.A) > 0
    n = rows.A.shape[1]
    solver.init(
        np.eye(n),
        np.zeros(n),
        rows.C if equalities else None,
        rows.d if equalities else None,
        rows.A if inequalities else None,
        np.maximum(rows.lower, -INFINITY) if inequalities else None,
        np.minimum(rows.upper, INFINITY) if inequalities else None,
    )


def status_of(solver: Any) -> Status:
    """What ProxQP says of its answer."""
    from proxsuite import proxqp

    return {
        proxqp.QPSolverOutput.PROXQP_SOLVED: Status.SOLVED,
        proxqp.QPSolverOutput.PROXQP_MAX_ITER_REACHED: Status.INACCURATE,
        proxqp.QPSolverOutput.PROXQP_PRIMAL_INFEASIBLE: Status.INFEASIBLE,
    }.get(solver.results.info.status, Status.FAILED)
