"""SCS: operator splitting on the homogeneous self-dual embedding, sparse, one point at a time.

    theirs   min 1/2 x'P x + c'x,  R x + s = r,  s in {0}^p x R_+^m
    ours     P = I, c = -y, R = [C; G], r = [d; h],  G x <= h the finite bounds of `lower <= A x <= b`

One factorisation a set, then only `c` changes. Each point starts from the answer of the one before, as
is SCS's default, so an answer depends on its predecessors within the tolerance. In a cone, r = 0, a
point of size s > 1 is solved as y / s: near the apex the relative part of SCS's tolerance vanishes and
the absolute part is out of reach for large numbers.
Accuracy: `tol` bounds residuals and gap, absolute and relative. Cost: from some tens to thousands of
iterations a point, each a sparse triangular solve.
Source: O'Donoghue, "Operator splitting for a homogeneous embedding of the linear complementarity
problem", SIAM Journal on Optimization 31, 2021.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

STATUS = {1: Status.SOLVED, 2: Status.INACCURATE, -2: Status.INFEASIBLE, -7: Status.INFEASIBLE}


class Scs(AbstractPointwise):
    """Projection by SCS, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is SCS's own 1e-4; 1e-8 by default.
        max_iters: iterations before a point is given up as INACCURATE; SCS's own 100 000.
    """

    name, requires, citation = "scs", ("scs", "scipy"), "odonoghue2021"
    default_tol = 1e-8
    settings = accuracies(default=1e-4)

    def start(self, rows: Rows, tol: float, max_iters: int = 100_000) -> tuple[Any, bool]:
        """One scaled and factorised problem."""
        import scs
        from scipy import sparse

        G, h = rows.one_sided()
        n = G.shape[1]
        data = {
            "P": sparse.identity(n, format="csc"),
            "A": sparse.csc_matrix(np.concatenate([rows.C, G])),
            "b": np.concatenate([rows.d, h]),
            "c": np.zeros(n),
        }
        cone = {"z": len(rows.C), "l": len(G)}
        solver = scs.SCS(data, cone, eps_abs=tol, eps_rel=tol, max_iters=max_iters, verbose=False)
        return solver, not data["b"].any()

    def nearest(self, solver: tuple[Any, bool], point: np.ndarray) -> tuple[Any, Status]:
        """One update of `c` and one solve."""
        workspace, cone = solver
        size = max(1.0, float(np.abs(point).max())) if cone else 1.0
        workspace.update(c=-point / size)
        solution = workspace.solve()
        return size * solution["x"], STATUS.get(solution["info"]["status_val"], Status.FAILED)
