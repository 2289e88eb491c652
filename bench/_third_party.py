"""Methods of other packages, as their entry points register them.

Those of the groups `constrained.parameterizations` and `constrained.projections` are classes as in this
tree. In the group `constrained.methods` a layer needs no class of ours: it is whatever makes an
`nn.Module` from a `Polyhedron`, see `ModuleMethod`. All of them are imported here, before anything is
timed; one that cannot be used is a method that says so, and becomes a row that was skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import nn

from constrained import Polyhedron
from constrained.errors import InvalidInputError
from constrained.plugins import Plugin, PluginError, plugins

from ._method import AbstractMethod, AbstractModuleMethod, Target
from .problems._base import Instance

PROMISES = ("projection", "feasible", "correction")


class ModuleMethod(AbstractModuleMethod):
    """A layer of another package, (*batch, in_features) -> (*batch, n), made by `factory(polyhedron)`.

    Args:
        name: in the tables.
        factory: the module's class, or a function that makes it. It may raise
            `constrained.UnsupportedSetError` for a set that it does not serve. Its attribute `kind`, if
            it has one, says what is promised: "projection" (the nearest point), "feasible" (the default)
            or "correction" (nothing, a point closer to feasible).

    The module's attribute `in_features`, if it has one, is the width of its input; otherwise n.
    Constants registered as float64 buffers lose nothing where the module is measured in float64.
    """

    role = "peer"

    def __init__(self, name: str, factory: Callable[[Polyhedron], nn.Module]) -> None:
        super().__init__(name)
        self.factory, self.kind = factory, getattr(factory, "kind", "feasible")
        if not callable(factory) or self.kind not in PROMISES:
            raise InvalidInputError(
                f"method {name!r} must be a callable that makes a module from a Polyhedron, its `kind` one "
                f"of {', '.join(PROMISES)}; found {factory!r} of kind {self.kind!r}"
            )
        self.feasible = self.kind != "correction"

    def build(self, polyhedron: Polyhedron, seconds: float) -> tuple[nn.Module, int]:
        """What the factory makes."""
        module = self.factory(polyhedron)
        if not isinstance(module, nn.Module):
            raise InvalidInputError(
                f"method {self.name!r} made a {type(module).__name__}; expected a torch.nn.Module"
            )
        return module, int(getattr(module, "in_features", polyhedron.n))  # pyright: ignore[reportArgumentType]

    def projects(self, polyhedron: Polyhedron, in_features: int) -> bool:
        """Whether it promises the nearest point."""
        return self.kind == "projection" and in_features == polyhedron.n


class Unavailable(AbstractMethod):
    """An entry that cannot be used: it says why when it is asked to get ready."""

    def __init__(self, name: str, role: str, error: PluginError) -> None:
        super().__init__(name)
        self.role, self.error = role, error

    def prepare(self, instance: Instance, target: Target) -> NoReturn:
        """Raise the reason."""
        raise self.error


@dataclass(frozen=True)
class Kind:
    """A group of entry points: the role of its entries, what they must be, and the methods made of one."""

    group: str
    role: str
    base: type | None
    methods: Callable[[str, Any], Sequence[AbstractMethod]]


@dataclass(frozen=True)
class Registered:
    """What became of one entry point: the methods that it adds, and why it cannot be used if it cannot."""

    plugin: Plugin
    methods: tuple[AbstractMethod, ...]
    error: str = ""


def third_party(kinds: Iterable[Kind], built_in: Iterable[str]) -> tuple[Registered, ...]:
    """The entries of other packages; one whose name is taken adds nothing."""
    found, names = [], set(built_in)
    for kind in kinds:
        for plugin in plugins(kind.group, names):
            entry = _registered(kind, plugin)
            for method in entry.methods:
                method.package = plugin.package
                names.add(method.name)
            found.append(entry)
    return tuple(found)


def _registered(kind: Kind, plugin: Plugin) -> Registered:
    try:
        return Registered(plugin, tuple(kind.methods(plugin.name, plugin.load(kind.base))))
    except InvalidInputError as error:
        reason = PluginError(f"{plugin}: {error}")
    except PluginError as error:
        reason = error
    methods = () if plugin.clash else (Unavailable(plugin.name, kind.role, reason),)
    return Registered(plugin, methods, str(reason))
