"""HiGHS: its active-set QP solver, sparse, one point at a time.

    theirs   min c'x + 1/2 x'Q x,  row_lower <= R x <= row_upper,  col_lower <= x <= col_upper
    ours     Q = I, c = -y, R = [A; C] without the rows of one entry, which are the column bounds

The model is passed once, then only `c` changes. HiGHS finds a feasible vertex anew for each point.
Its regularisation of Q, 1e-7 by default, is off: Q is the identity, and with it each answer is off
by 1e-7 of its size.
Accuracy: `tol` is its feasibility and optimality tolerance; it takes 1e-10 at the least. Cost: a
linear program, then one iteration for each row that enters or leaves the active set, a point.
Source: Huangfu and Hall, "Parallelizing the dual revised simplex method", Mathematical Programming
Computation 10, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

LEAST_TOLERANCE = 1e-10
TOLERANCES = ("primal_feasibility_tolerance", "dual_feasibility_tolerance")


@dataclass(frozen=True)
class _Model:
    highs: Any
    columns: np.ndarray
    status: dict[Any, Status]


class Highs(AbstractPointwise):
    """Projection by HiGHS, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is HiGHS's own 1e-7; 1e-9 by default.
    """

    name, requires, citation = "highs", ("highspy", "scipy"), "huangfu2018"
    bounds = True
    default_tol = 1e-9
    settings = accuracies(default=1e-7)

    def start(self, rows: Rows, tol: float) -> _Model:
        """The model, with `c` = 0."""
        import highspy

        highs = highspy.Highs()
        highs.silent()
        for option in TOLERANCES:
            highs.setOptionValue(option, max(tol, LEAST_TOLERANCE))
        highs.setOptionValue("qp_regularization_value", 0.0)
        highs.passModel(_model(rows))
        kinds = highspy.HighsModelStatus
        status = {
            kinds.kOptimal: Status.SOLVED,
            kinds.kIterationLimit: Status.INACCURATE,
            kinds.kInfeasible: Status.INFEASIBLE,
        }
        return _Model(highs, np.arange(len(rows.low), dtype=np.int32), status)

    def nearest(self, solver: _Model, point: np.ndarray) -> tuple[Any, Status]:
        """One change of `c` and one run."""
        solver.highs.changeColsCost(len(point), solver.columns, -point)
        solver.highs.run()
        status = solver.status.get(solver.highs.getModelStatus(), Status.FAILED)
        return solver.highs.getSolution().col_value, status


def _model(rows: Rows) -> Any:
    import highspy
    from scipy import sparse

    R: Any = sparse.csc_matrix(np.concatenate([rows.A, rows.C]))
    model: Any = highspy.HighsModel()
    lp, hessian, n = model.lp_, model.hessian_, len(rows.low)
    lp.num_row_, lp.num_col_ = R.shape
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = np.zeros(n), rows.low, rows.high
    lp.row_lower_ = np.concatenate([rows.lower, rows.d])
    lp.row_upper_ = np.concatenate([rows.upper, rows.d])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = R.indptr, R.indices, R.data
    hessian.dim_, hessian.format_ = n, highspy.HessianFormat.kTriangular
    hessian.start_, hessian.index_, hessian.value_ = np.arange(n + 1), np.arange(n), np.ones(n)
    return model
