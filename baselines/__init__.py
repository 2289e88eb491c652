"""The projections: the nearest point of a polyhedron, one solver a file, listed once, here.

    project = baselines.projection("osqp")(P)
    result = project(y)                       # result.x, result.status, result.info

Importing this package imports no solver; building a projection imports its own.
"""

from constrained.errors import MissingDependencyError, lookup

from ._base import AbstractProjection, Projection, Status
from .cvxpy_ import Cvxpy
from .daqp_ import Daqp
from .differentiable import DifferentiableProjection
from .osqp_ import Osqp

PROJECTIONS: tuple[type[AbstractProjection], ...] = (Osqp, Daqp, Cvxpy)


def projection(name: str) -> type[AbstractProjection]:
    """The projection class called `name`; `UnknownNameError` with the names that exist otherwise."""
    return lookup("projection", name, PROJECTIONS)


def available() -> list[str]:
    """Names of the projections whose packages are installed, in the order of `PROJECTIONS`."""
    return [entry.name for entry in PROJECTIONS if _installed(entry)]


def _installed(entry: type[AbstractProjection]) -> bool:
    try:
        entry.check_available()
    except MissingDependencyError:
        return False
    return True


__all__ = [
    "PROJECTIONS",
    "AbstractProjection",
    "DifferentiableProjection",
    "Projection",
    "Status",
    "available",
    "projection",
]
