"""The parameterizations: one file each, listed once, here."""

from ._base import AbstractParameterization, Strict
from .blocks import Blocks
from .box import Box
from .gauge import Gauge
from .half_spaces import HalfSpaces
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
    Blocks,
    Shift,
    Gauge,
    Refined,
    Rays,
)
"""Closed-form projections first, then by what they cost; `plan` has the rules of `method="auto"`."""

__all__ = ["PARAMETERIZATIONS", "AbstractParameterization", "Strict"]
__all__ += [entry.__name__ for entry in PARAMETERIZATIONS]
