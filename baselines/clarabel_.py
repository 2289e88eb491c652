"""Clarabel: interior point, homogeneous embedding, sparse, one point at a time.

    theirs   min 1/2 x'P x + q'x,  R x + s = r,  s in {0}^p x R_+^m
    ours     P = I, q = -y, R = [C; G], r = [d; h],  G x <= h the finite bounds of `lower <= A x <= b`

Scaled once a set, then only `q` changes. An interior-point method gains nothing from the answer of
the point before, so each starts anew.
Accuracy: `tol` is a distance; the duality gap bounds 1/2 |x - proj(y)|^2, so gap = tol^2, absolute
and relative, not below 1e-13, where Clarabel ends in rounding; residuals at most 1e-8, Clarabel's own.
Cost: about ten factorisations a point.
Source: Goulart and Chen, "Clarabel: an interior-point solver for conic programs with quadratic
objectives", arXiv 2405.12762.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

SMALLEST_GAP = 1e-13
OWN_RESIDUAL = 1e-8
STATUS = {
    "Solved": Status.SOLVED,
    "AlmostSolved": Status.INACCURATE,
    "InsufficientProgress": Status.INACCURATE,
    "MaxIterations": Status.INACCURATE,
    "PrimalInfeasible": Status.INFEASIBLE,
    "AlmostPrimalInfeasible": Status.INFEASIBLE,
}


class Clarabel(AbstractPointwise):
    """Projection by Clarabel, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is 1e-4, whose square, 1e-8, is
            Clarabel's own gap; 1e-6 by default.
    """

    name, requires, citation = "clarabel", ("clarabel", "scipy"), "goulart2024"
    default_tol = 1e-6
    settings = accuracies(default=1e-4)

    def start(self, rows: Rows, tol: float) -> Any:
        """One scaled problem."""
        from scipy import sparse

        clarabel: Any = import_module("clarabel")  # compiled: type checkers see no names in it

        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.presolve_enable = False  # it forbids updates
        settings.tol_gap_abs = settings.tol_gap_rel = max(tol**2, SMALLEST_GAP)
        settings.tol_feas = min(tol, OWN_RESIDUAL)
        G, h = rows.one_sided()
        n, p = G.shape[1], len(rows.C)
        cones = [clarabel.ZeroConeT(p)] * bool(p) + [clarabel.NonnegativeConeT(len(G))] * bool(len(G))
        return clarabel.DefaultSolver(
            sparse.identity(n, format="csc"),
            np.zeros(n),
            sparse.csc_matrix(np.concatenate([rows.C, G])),
            np.concatenate([rows.d, h]),
            cones,
            settings,
        )

    def nearest(self, solver: Any, point: np.ndarray) -> tuple[Any, Status]:
        """One update of `q` and one solve."""
        solver.update(q=-point)
        solution = solver.solve()
        return solution.x, STATUS.get(str(solution.status), Status.FAILED)
