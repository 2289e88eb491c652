"""PIQP: proximal interior point, dense, one point at a time.

    theirs   min 1/2 x'P x + c'x,  A x = b,  h_l <= G x <= h_u,  x_l <= x <= x_u
    ours     P = I, c = -y; their A, b are C, d; their G the rows of A with more than one entry

Scaled once a set, then only `c` changes; each point starts anew, as PIQP has no warm start.
Accuracy: `tol` is a distance; the duality gap bounds 1/2 |x - proj(y)|^2, so gap = tol^2, absolute
and relative, not below 1e-14; residuals at most 1e-8, PIQP's own. Cost: about ten dense Cholesky
factorisations of n features a point.
Source: Schwan, Jiang, Kuhn, Jones, "PIQP: a proximal interior-point quadratic programming solver",
IEEE CDC 2023.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

SMALLEST_GAP = 1e-14
OWN_RESIDUAL = 1e-8


class Piqp(AbstractPointwise):
    """Projection by PIQP, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is 1e-4, whose square, 1e-8, is PIQP's
            own gap; 1e-7 by default, as it stops close to its gap.
    """

    name, requires, citation = "piqp", ("piqp",), "schwan2023"
    bounds = True
    default_tol = 1e-7
    settings = accuracies(default=1e-4)

    def start(self, rows: Rows, tol: float) -> Any:
        """One scaled problem."""
        import piqp

        solver, n = piqp.DenseSolver(), len(rows.low)
        options = solver.settings
        options.eps_duality_gap_abs = options.eps_duality_gap_rel = max(tol**2, SMALLEST_GAP)
        options.eps_abs = options.eps_rel = min(tol, OWN_RESIDUAL)
        options.preconditioner_reuse_on_update = True
        columns = np.asfortranarray  # what the binding takes without a copy
        solver.setup(
            columns(np.eye(n)),
            np.zeros(n),
            columns(rows.C) if len(rows.C) else None,
            rows.d if len(rows.C) else None,
            columns(rows.A) if len(rows.A) else None,
            rows.lower if len(rows.A) else None,
            rows.upper if len(rows.A) else None,
            rows.low,
            rows.high,
        )
        return solver

    def nearest(self, solver: Any, point: np.ndarray) -> tuple[Any, Status]:
        """One update of `c` and one solve."""
        import piqp

        solver.update(c=-point)
        status = solver.solve()
        if status == piqp.PIQP_SOLVED:
            return solver.result.x, Status.SOLVED
        if status == piqp.PIQP_PRIMAL_INFEASIBLE:
            return None, Status.INFEASIBLE
        late = status == piqp.PIQP_MAX_ITER_REACHED
        return solver.result.x, Status.INACCURATE if late else Status.FAILED
