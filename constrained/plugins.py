"""Entries of other packages: found by their entry points, imported when they are asked for.

A package that is installed beside this one states in its `pyproject.toml`

    [project.entry-points."constrained.parameterizations"]
    my_map = "my_package:MyMap"

and `constrain(P, method="my_map")` finds the class. A package that cannot be imported, or whose name is
taken, costs its own entry only: the error names the package, and nothing else is affected.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import MissingDependencyError, lookup

PARAMETERIZATION_GROUP = "constrained.parameterizations"
PROJECTION_GROUP = "constrained.projections"
METHOD_GROUP = "constrained.methods"
PROBLEM_GROUP = "constrained.problems"
GROUPS = (PARAMETERIZATION_GROUP, PROJECTION_GROUP, METHOD_GROUP, PROBLEM_GROUP)


class PluginError(MissingDependencyError):
    """An entry that another package registers cannot be used; the text names both and says why."""


@dataclass(frozen=True)
class Plugin:
    """One registered entry.

    Attributes:
        entry: the entry point; `entry.value` is "module:attribute".
        clash: why its name cannot be used; empty if it can.
    """

    entry: EntryPoint
    clash: str = ""

    @property
    def name(self) -> str:
        """What it is asked for by."""
        return self.entry.name

    @property
    def package(self) -> str:
        """The distribution and its version, e.g. "my-package 0.3"."""
        dist = self.entry.dist
        return "an unknown package" if dist is None else f"{dist.name} {dist.version}"

    def load(self, base: type | None = None) -> Any:
        """The registered object, imported now; with `base`, a concrete subclass of it with this name.

        Raises:
            PluginError: its name is taken, importing it fails, or it is not what was expected.
        """
        if self.clash:
            raise PluginError(f"{self}: {self.clash}")
        try:
            loaded = self.entry.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module does when it is imported
            raise PluginError(f"{self} cannot be imported: {type(error).__name__}: {error}") from error
        if base is not None and (wrong := _not_a(base, loaded, self.name)):
            raise PluginError(f"{self}: {wrong}")
        return loaded

    def __str__(self) -> str:
        return f"{self.name!r} ({self.entry.group}, {self.entry.value}) of {self.package}"


def _not_a(base: type, loaded: Any, name: str) -> str | None:
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        return f"expected a subclass of {base.__name__}, found {loaded!r}"
    if inspect.isabstract(loaded):
        missing = ", ".join(sorted(loaded.__abstractmethods__))  # pyright: ignore[reportAttributeAccessIssue]
        return f"{loaded.__name__} does not define {missing}"
    if (own := getattr(loaded, "name", None)) != name:
        return f"the attribute `name` of {loaded.__name__} is {own!r}; it must be that of the entry point"
    return None


def plugins(group: str, taken: Iterable[str] = ()) -> tuple[Plugin, ...]:
    """The entries of a group by name, none imported; one whose name is `taken` or there twice has a clash."""
    found = sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value))
    count, taken = Counter(entry.name for entry in found), set(taken)

    def clash(name: str) -> str:
        if name in taken:
            return "the name is that of a built-in entry; rename the entry point"
        return "several packages register this name; uninstall all but one" if count[name] > 1 else ""

    return tuple(Plugin(entry, clash(entry.name)) for entry in found)


def versions() -> dict[str, str]:
    """The packages that register anything, with their versions."""
    dists = (plugin.entry.dist for group in GROUPS for plugin in plugins(group))
    return {dist.name: dist.version for dist in dists if dist is not None}


def find(kind: str, name: str, built_in: tuple, group: str, base: type) -> type:
    """The class called `name`: a built-in one, otherwise one of another package.

    Raises:
        UnknownNameError: neither has the name; the text lists those that exist.
        PluginError: the entry of the other package cannot be used.
    """
    if any(entry.name == name for entry in built_in):  # without a look at the installed packages
        return lookup(kind, name, built_in)
    others = tuple(plugin for plugin in plugins(group) if name == plugin.name or not plugin.clash)
    found: Any = lookup(kind, name, (*built_in, *others))
    return found.load(base)
