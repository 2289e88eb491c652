"""The parameterizations: one file each, listed once, here."""

from ..plugins import PARAMETERIZATION_GROUP, find
from ._base import AbstractParameterization, Strict
from .blocks import Blocks
from .box import Box
from .gauge import Gauge
from .half_spaces import HalfSpaces
from .knapsack import Knapsack
from .monotone import Monotone
from .rays import Rays
from .refined import Refined
from .shift import Shift
from .simplex import Simplex

PARAMETERIZATIONS: tuple[type[AbstractParameterization], ...] = (
    Box,
    Simplex,
    Monotone,
    HalfSpaces,
    Knapsack,
    Blocks,
    Shift,
    Gauge,
    Refined,
    Rays,
)
"""Closed-form projections first, then by what they cost; `plan` has the rules of `method="auto"`."""


def parameterization(name: str) -> type[AbstractParameterization]:
    """The class called `name`, of this package or of one that registers it (`plugins.py`).

    Raises `UnknownNameError` with the names that exist, `PluginError` if the other package's is broken.
    """
    return find("method", name, PARAMETERIZATIONS, PARAMETERIZATION_GROUP, AbstractParameterization)


__all__ = ["PARAMETERIZATIONS", "AbstractParameterization", "Strict", "parameterization"]
__all__ += [entry.__name__ for entry in PARAMETERIZATIONS]
