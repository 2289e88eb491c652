"""The parameterizations: one file each, listed once, here."""

from ._base import AbstractParameterization
from .half_spaces import HalfSpaces
from .rays import Rays

PARAMETERIZATIONS: tuple[type[AbstractParameterization], ...] = (HalfSpaces, Rays)
"""In the order in which `constrain(P, method="auto")` tries them."""

__all__ = ["PARAMETERIZATIONS", "AbstractParameterization", "HalfSpaces", "Rays"]
