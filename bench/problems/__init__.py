"""The families of problems: one file each, listed once, here."""

from constrained.errors import lookup

from ._base import AbstractFamily, Instance
from .checkerboard import Checkerboard
from .random_cone import RandomCone

FAMILIES: tuple[type[AbstractFamily], ...] = (Checkerboard, RandomCone)


def family(name: str) -> AbstractFamily:
    """The family called `name`, or `UnknownNameError` with the names that exist."""
    return lookup("problem family", name, FAMILIES)()


__all__ = ["FAMILIES", "AbstractFamily", "Checkerboard", "Instance", "RandomCone", "family"]
