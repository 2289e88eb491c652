"""CVXPY with one solver each: the projections of `cvxpy_` by the solvers that the suite also runs bare.

Same model, same meaning of `tol` and the same defaults as the bare solver; the difference in time is
what CVXPY's modelling costs a point, and that the solver begins anew each time.
Formula, accuracy, cost and source: those of `cvxpy_` and of the bare solver's file.
"""

from __future__ import annotations

from .clarabel_ import Clarabel
from .cvxpy_ import AbstractCvxpy
from .daqp_ import Daqp
from .highs_ import Highs
from .osqp_ import Osqp
from .piqp_ import Piqp
from .proxqp_ import Proxqp
from .qpalm_ import Qpalm
from .scs_ import Scs


class CvxpyOsqp(AbstractCvxpy):
    """OSQP through CVXPY, see `Osqp` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_osqp", "osqp", "OSQP", ("cvxpy", "osqp")
    default_tol, settings = Osqp.default_tol, Osqp.settings


class CvxpyDaqp(AbstractCvxpy):
    """DAQP through CVXPY, see `Daqp` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_daqp", "daqp", "DAQP", ("cvxpy", "daqp")
    default_tol, settings = Daqp.default_tol, Daqp.settings


class CvxpyProxqp(AbstractCvxpy):
    """ProxQP through CVXPY, see `Proxqp` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_proxqp", "proxqp", "PROXQP", ("cvxpy", "proxsuite")
    default_tol, settings = Proxqp.default_tol, Proxqp.settings


class CvxpyPiqp(AbstractCvxpy):
    """PIQP through CVXPY, see `Piqp` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_piqp", "piqp", "PIQP", ("cvxpy", "piqp")
    default_tol, settings = Piqp.default_tol, Piqp.settings


class CvxpyClarabel(AbstractCvxpy):
    """Clarabel through CVXPY, see `Clarabel` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_clarabel", "clarabel", "CLARABEL", ("cvxpy", "clarabel")
    default_tol, settings = Clarabel.default_tol, Clarabel.settings


class CvxpyQpalm(AbstractCvxpy):
    """QPALM through CVXPY, see `Qpalm` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_qpalm", "qpalm", "QPALM", ("cvxpy", "qpalm")
    default_tol, settings = Qpalm.default_tol, Qpalm.settings


class CvxpyScs(AbstractCvxpy):
    """SCS through CVXPY, see `Scs` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_scs", "scs", "SCS", ("cvxpy", "scs")
    default_tol, settings = Scs.default_tol, Scs.settings


class CvxpyHighs(AbstractCvxpy):
    """HiGHS through CVXPY, see `Highs` and `AbstractPointwise`."""

    name, wraps, solver, requires = "cvxpy_highs", "highs", "HIGHS", ("cvxpy", "highspy")
    default_tol, settings = Highs.default_tol, Highs.settings
