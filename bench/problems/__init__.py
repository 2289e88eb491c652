"""The families of problems, listed once, here."""

from constrained.errors import lookup

from ._base import AbstractFamily, Instance
from .checkerboard import Checkerboard
from .named_sets import BoxSet, MonotoneSet, SimplexSet
from .random_cone import RandomCone
from .random_polytope import RandomPolytope

FAMILIES: tuple[type[AbstractFamily], ...] = (
    Checkerboard,
    RandomCone,
    RandomPolytope,
    BoxSet,
    SimplexSet,
    MonotoneSet,
)


def family(name: str) -> AbstractFamily:
    """The family called `name`, or `UnknownNameError` with the names that exist."""
    return lookup("problem family", name, FAMILIES)()


__all__ = [
    "FAMILIES",
    "AbstractFamily",
    "BoxSet",
    "Checkerboard",
    "Instance",
    "MonotoneSet",
    "RandomCone",
    "RandomPolytope",
    "SimplexSet",
    "family",
]
