"""CVXPY: the projection as a parametrised problem, compiled once, for any QP solver it has.

    min 1/2 |x|^2 - y'x,   G x <= h,   C x = d,     y a parameter (DPP)

G, h are the finite bounds among `lower <= A x <= b`. Written this way, rather than as |x - y|^2,
the quadratic form reaches QP solvers without auxiliary variables.
Accuracy: that of the solver at the tolerances of `TOLERANCES`. Cost: the solver's, which factorises
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
from typing import Any

import numpy as np

from constrained.errors import InvalidInputError, UnknownNameError
from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status

STATUS = {
    "optimal": Status.SOLVED,
    "optimal_inaccurate": Status.INACCURATE,
    "user_limit": Status.INACCURATE,
    "infeasible": Status.INFEASIBLE,
}

SMALLEST_GAP = 1e-13
"""Below it, Clarabel ends in rounding and reports its answers as inaccurate."""


def _clarabel(tol: float) -> dict[str, float]:
    """The gap bounds 1/2 |x - proj(y)|^2, so that a distance of `tol` takes a gap of `tol^2`."""
    gap = max(tol**2, SMALLEST_GAP)
    return {"tol_gap_abs": gap, "tol_gap_rel": gap, "tol_feas": tol}


TOLERANCES: dict[str, Callable[[float], dict[str, float]]] = {
    "CLARABEL": _clarabel,
    "DAQP": lambda tol: {"primal_tol": tol, "dual_tol": tol},
    "OSQP": lambda tol: {"eps_abs": tol, "eps_rel": tol},
    "SCS": lambda tol: {"eps_abs": tol, "eps_rel": tol},
}
"""How `tol` reaches each solver; one that is not here runs with its own defaults."""


@dataclass(frozen=True)
class _State:
    problem: Any
    x: Any
    y: Any
    options: dict[str, Any]


class Cvxpy(AbstractProjection):
    """Projection by a solver of CVXPY, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`.
        solver: one of `cvxpy.installed_solvers()` that takes quadratic objectives.

    Raises:
        UnknownNameError: CVXPY finds no solver of this name here.
        InvalidInputError: the solver cannot solve a quadratic problem.
    """

    name, requires, citation = "cvxpy", ("cvxpy",), "diamond2016"
    default_tol = 1e-6

    def setup(self, polyhedron: Polyhedron, tol: float, solver: str = "CLARABEL") -> _State:
        """The compiled problem: canonicalisation happens here, not at the first point."""
        with _quiet():
            import cvxpy
            from cvxpy.error import SolverError

            _check_installed(solver, cvxpy.installed_solvers())
            x, y = cvxpy.Variable(polyhedron.n), cvxpy.Parameter(polyhedron.n)
            objective = cvxpy.Minimize(0.5 * cvxpy.sum_squares(x) - y @ x)
            problem = cvxpy.Problem(objective, _constraints(polyhedron, x))
            y.value = np.zeros(polyhedron.n)
            try:
                problem.get_problem_data(solver, enforce_dpp=True)
            except SolverError as error:
                raise InvalidInputError(
                    f"the cvxpy solver {solver!r} cannot solve a quadratic problem ({error}); "
                    "try solver='CLARABEL'"
                ) from error
        tolerances = TOLERANCES.get(solver, lambda _: {})(tol)
        return _State(problem, x, y, {"solver": solver, "enforce_dpp": True, **tolerances})

    def solve(self, state: _State, y: np.ndarray) -> tuple[np.ndarray, list[Status]]:
        """One value of the parameter and one solve a row."""
        x, statuses = np.full_like(y, np.nan), []
        with _quiet():
            for i, point in enumerate(y):
                state.y.value = point
                status = _solve(state)
                if status in (Status.SOLVED, Status.INACCURATE):
                    x[i] = state.x.value
                statuses.append(status)
        return x, statuses


def _solve(state: _State) -> Status:
    from cvxpy.error import SolverError

    try:
        state.problem.solve(**state.options)
    except SolverError:  # CVXPY's way to say that the solver found no point
        return Status.FAILED
    return STATUS.get(state.problem.status, Status.FAILED)


def _constraints(polyhedron: Polyhedron, x: Any) -> list[Any]:
    G, h = polyhedron.inequalities()
    inequalities = [G @ x <= h] if len(G) else []
    return inequalities + ([polyhedron.C @ x == polyhedron.d] if polyhedron.p else [])


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
