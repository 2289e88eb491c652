"""The families of problems, listed once, here."""

from constrained.plugins import PROBLEM_GROUP, PluginError, find, plugins

from ._base import AbstractFamily, Instance
from .checkerboard import Checkerboard
from .contact_wrench import ContactWrench
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
    ContactWrench,
)
BUILT_IN = FAMILIES


def _registered() -> tuple[type[AbstractFamily], ...]:
    """The families of other packages; one that cannot be used is left out here, `bench list` says why."""
    found = []
    for plugin in plugins(PROBLEM_GROUP, {entry.name for entry in BUILT_IN}):
        try:
            found.append(plugin.load(AbstractFamily))
        except PluginError:
            continue
    return tuple(found)


FAMILIES += _registered()


def family(name: str) -> AbstractFamily:
    """The family called `name`.

    Raises `UnknownNameError` with the names that exist, `PluginError` if another package's is broken.
    """
    return find("problem family", name, BUILT_IN, PROBLEM_GROUP, AbstractFamily)()


__all__ = [
    "FAMILIES",
    "AbstractFamily",
    "BoxSet",
    "Checkerboard",
    "ContactWrench",
    "Instance",
    "MonotoneSet",
    "RandomCone",
    "RandomPolytope",
    "SimplexSet",
    "family",
]
