"""The projections: the nearest point of a polyhedron, one solver a file, listed once, here.

    project = baselines.projection("osqp")(P)
    result = project(y)                       # result.x, result.status, result.info

Importing this package imports no solver; building a projection imports its own.
"""

from constrained.plugins import PROJECTION_GROUP, find

from ._answer import Projection, Status
from ._base import AbstractProjection
from ._installed import installed
from ._pointwise import AbstractPointwise
from .batched_active_set import BatchedActiveSet
from .box_ import ClosedBox
from .clarabel_ import Clarabel
from .cvxpy_ import Cvxpy
from .cvxpy_solvers_ import (
    CvxpyClarabel,
    CvxpyDaqp,
    CvxpyHighs,
    CvxpyOsqp,
    CvxpyPiqp,
    CvxpyProxqp,
    CvxpyQpalm,
    CvxpyScs,
)
from .daqp_ import Daqp
from .differentiable import DifferentiableProjection
from .highs_ import Highs
from .isotonic_ import ClosedIsotonic
from .knapsack_ import ClosedKnapsack
from .orthogonal_rows_ import ClosedOrthogonal
from .osqp_ import Osqp
from .piqp_ import Piqp
from .proxqp_ import Proxqp
from .proxqp_batch_ import ProxqpBatch
from .qpalm_ import Qpalm
from .quadprog_ import Quadprog
from .scs_ import Scs
from .simplex_ import ClosedSimplex

PROJECTIONS: tuple[type[AbstractProjection], ...] = (
    Osqp,
    Daqp,
    BatchedActiveSet,
    Quadprog,
    Proxqp,
    ProxqpBatch,
    Piqp,
    Clarabel,
    Qpalm,
    Scs,
    Highs,
    ClosedBox,
    ClosedSimplex,
    ClosedIsotonic,
    ClosedOrthogonal,
    ClosedKnapsack,
    Cvxpy,
    CvxpyOsqp,
    CvxpyDaqp,
    CvxpyProxqp,
    CvxpyPiqp,
    CvxpyClarabel,
    CvxpyQpalm,
    CvxpyScs,
    CvxpyHighs,
)


def projection(name: str) -> type[AbstractProjection]:
    """The class called `name`, of this package or of one that registers it (`constrained.plugins`).

    Raises `UnknownNameError` with the names that exist, `PluginError` if the other package's is broken.
    """
    return find("projection", name, PROJECTIONS, PROJECTION_GROUP, AbstractProjection)


def available() -> list[str]:
    """Names of the projections whose packages are installed, in the order of `PROJECTIONS`."""
    return installed(PROJECTIONS)


__all__ = [
    "PROJECTIONS",
    "AbstractPointwise",
    "AbstractProjection",
    "DifferentiableProjection",
    "Projection",
    "Status",
    "available",
    "projection",
]
