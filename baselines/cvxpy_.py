"""CVXPY: the projection as a parametrised problem, compiled once, for any QP solver it has.

    min 1/2 |x|^2 - y'x,   G x <= h,   C x = d,     y a parameter (DPP)

G, h are the finite bounds among `lower <= A x <= b`, all rows of unit norm, see `Rows`. Written this
way, rather than as |x - y|^2, the quadratic form reaches QP solvers without auxiliary variables.
`cvxpy` takes any of them as an option; `cvxpy_osqp`, `cvxpy_clarabel`, ... (`cvxpy_solvers_`) are one
each, so that what the modelling costs can be read off beside the bare solver.
Accuracy: that of the solver at the tolerances of `TOLERANCES`. Cost: the solver's, most of which factorise
anew for each point, and one pass of CVXPY, about a millisecond.
Source: Diamond and Boyd, "CVXPY: a Python-embedded modeling language for convex optimization", JMLR
17(83), 2016; Agrawal et al., "Differentiable convex optimization layers", NeurIPS 2019 (DPP).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any, ClassVar, final

import numpy as np

from constrained.errors import InvalidInputError, UnknownNameError

from ._base import Status, accuracies
from ._pointwise import AbstractPointwise
from ._rows import Rows

STATUS = {
    "optimal": Status.SOLVED,
    "optimal_inaccurate": Status.INACCURATE,
    "user_limit": Status.INACCURATE,
    "infeasible": Status.INFEASIBLE,
}

SMALLEST_GAP = 1e-13
"""Below it, interior-point solvers end in rounding and report their answers as inaccurate."""


def _clarabel(tol: float) -> dict[str, float]:
    """The gap bounds 1/2 |x - proj(y)|^2, so that a distance of `tol` takes a gap of `tol^2`."""
    gap = max(tol**2, SMALLEST_GAP)
    return {"tol_gap_abs": gap, "tol_gap_rel": gap, "tol_feas": min(tol, 1e-8)}


def _piqp(tol: float) -> dict[str, float]:
    gap, residual = max(tol**2, 1e-14), min(tol, 1e-8)
    names = "eps_duality_gap_abs", "eps_duality_gap_rel", "eps_abs", "eps_rel"
    return dict(zip(names, (gap, gap, residual, residual), strict=True))


def _highs(tol: float) -> dict[str, float]:
    """With its regularisation of 1e-7 every answer is off by 1e-7 of its size."""
    names = "primal_feasibility_tolerance", "dual_feasibility_tolerance"
    return dict.fromkeys(names, max(tol, 1e-10)) | {"qp_regularization_value": 0.0}


def _osqp(tol: float) -> dict[str, Any]:
    """CVXPY polishes the first point alone unless told; one that is not polished depends on those before."""
    return {"eps_abs": tol, "eps_rel": tol, "polishing": True}


def _proxqp(tol: float) -> dict[str, float]:
    """CVXPY does not pass on ProxQP's check of the gap, without which residuals of 1e-9 are distances
    of 1e-5."""
    residual = max(1e-5 * tol, 1e-12)
    return {"eps_abs": residual, "eps_rel": residual}


def _qpalm(tol: float) -> dict[str, float]:
    """From the multipliers of the point before, QPALM runs into its limit of iterations now and then."""
    return {"eps_abs": tol, "eps_rel": tol, "warm_start": False}


TOLERANCES: dict[str, Callable[[float], dict[str, Any]]] = {
    "CLARABEL": _clarabel,
    "DAQP": lambda tol: {"primal_tol": tol, "dual_tol": tol},
    "HIGHS": _highs,
    "OSQP": _osqp,
    "PIQP": _piqp,
    "PROXQP": _proxqp,
    "QPALM": _qpalm,
    "SCS": lambda tol: {"eps_abs": tol, "eps_rel": tol},
}
"""How `tol` reaches each solver; one that is not here runs with its own defaults."""


@dataclass(frozen=True)
class Compiled:
    """A problem of CVXPY, its variable, its parameter, and how it is solved."""

    problem: Any
    x: Any
    y: Any
    options: dict[str, Any]


class Cvxpy(AbstractPointwise):
    """Projection by a solver of CVXPY, see `AbstractPointwise`.

    Args:
        polyhedron, tol: see `AbstractProjection`. "default" is 1e-4, whose square, 1e-8, is
            Clarabel's own gap.
        solver: one of `cvxpy.installed_solvers()` that takes quadratic objectives.

    Raises:
        UnknownNameError: CVXPY finds no solver of this name here.
        InvalidInputError: the solver cannot solve a quadratic problem.
    """

    name, requires, citation = "cvxpy", ("cvxpy",), "diamond2016"
    default_tol = 1e-6
    settings = accuracies(default=1e-4)

    def start(self, rows: Rows, tol: float, solver: str = "CLARABEL") -> Compiled:
        """The compiled problem: canonicalisation happens here, not at the first point."""
        return compiled(rows, tol, solver)

    def nearest(self, solver: Compiled, point: np.ndarray) -> tuple[Any, Status]:
        """One value of the parameter and one solve."""
        return solved(solver, point)


class AbstractCvxpy(AbstractPointwise):
    """Projection by one solver through CVXPY; an entry is its names and its tolerances."""

    solver: ClassVar[str]
    citation = "diamond2016"

    @final
    def start(self, rows: Rows, tol: float) -> Compiled:
        """The compiled problem."""
        return compiled(rows, tol, self.solver)

    @final
    def nearest(self, solver: Compiled, point: np.ndarray) -> tuple[Any, Status]:
        """One value of the parameter and one solve."""
        return solved(solver, point)


def compiled(rows: Rows, tol: float, solver: str) -> Compiled:
    """The problem, canonicalised for `solver`."""
    with _quiet():
        import cvxpy
        from cvxpy.error import SolverError

        _check_installed(solver, cvxpy.installed_solvers())
        n = rows.A.shape[1]
        x, y = cvxpy.Variable(n), cvxpy.Parameter(n)
        objective = cvxpy.Minimize(0.5 * cvxpy.sum_squares(x) - y @ x)
        problem = cvxpy.Problem(objective, _constraints(rows, x))
        y.value = np.zeros(n)
        try:
            problem.get_problem_data(solver, enforce_dpp=True)
        except SolverError as error:
            raise InvalidInputError(
                f"the cvxpy solver {solver!r} cannot solve a quadratic problem ({error}); "
                "try solver='CLARABEL'"
            ) from error
    tolerances = TOLERANCES.get(solver, lambda _: {})(tol)
    return Compiled(problem, x, y, {"solver": solver, "enforce_dpp": True, **tolerances})


def solved(compiled: Compiled, point: np.ndarray) -> tuple[Any, Status]:
    """The point nearest to `point`, and what CVXPY says of it."""
    from cvxpy.error import SolverError

    compiled.y.value = point
    try:
        with _quiet():
            compiled.problem.solve(**compiled.options)
    except SolverError:  # CVXPY's way to say that the solver found no point
        return None, Status.FAILED
    status = STATUS.get(compiled.problem.status, Status.FAILED)
    return (
        compiled.x.value,
        Status.FAILED if compiled.x.value is None and status != Status.INFEASIBLE else status,
    )


def _constraints(rows: Rows, x: Any) -> list[Any]:
    G, h = rows.one_sided()
    inequalities = [G @ x <= h] if len(G) else []
    return inequalities + ([rows.C @ x == rows.d] if len(rows.C) else [])


def _check_installed(solver: str, installed: list[str]) -> None:
    if solver not in installed:
        raise UnknownNameError(
            f"unknown cvxpy solver {solver!r}; installed: {', '.join(repr(name) for name in installed)}"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings about accuracy (the status has it) or absent solvers, and no output (see `osqp_`)."""
    with warnings.catch_warnings(action="ignore"), redirect_stdout(StringIO()):
        yield
