"""What can be measured here: derived from the tuples, never kept by hand."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from baselines import PROJECTIONS
from baselines.peers import PEERS, AbstractPeer
from baselines.peers._versions import versions
from constrained.engines import ENGINES
from constrained.errors import MissingDependencyError
from constrained.parameterizations import PARAMETERIZATIONS
from constrained.plugins import PROBLEM_GROUP, Plugin, PluginError, plugins

from .grid import all_grids
from .methods import METHODS, REGISTERED, AbstractMethod
from .problems import BUILT_IN, FAMILIES, AbstractFamily


def listing() -> str:
    """Everything by kind, solvers with version and availability."""
    lines = ["methods (as measured):", *(f"  {m.role:11} {m.name}{_from(m)}" for m in METHODS)]
    lines += ["parameterizations:"]
    lines += [f"  {p.name:15} {_first_line(p)}" for p in PARAMETERIZATIONS]
    lines += ["projections:"]
    lines += [f"  {p.name:19} {_available(p)}" for p in PROJECTIONS]
    lines += ["peers (other papers' layers):"]
    lines += [f"  {p.name:15} {_peer(p)}" for p in PEERS]
    lines += ["ray engines:", *(f"  {e.name:15} {_first_line(e)}" for e in ENGINES)]
    lines += ["problem families:", *(f"  {f.name:15} {len(f.sizes)} sizes" for f in FAMILIES)]
    lines += ["grids:"]
    lines += [f"  {g.name:15} {len(g.cells)} cells, {g.budget:g} s a method" for g in all_grids()]
    lines += ["of other packages, by entry point:", *(_registered() or ["  none"])]
    return "\n".join(lines)


def _from(method: AbstractMethod) -> str:
    return f"  ({method.package})" if method.package else ""


def _registered() -> list[str]:
    """Every entry of another package, with the reason if it cannot be used."""
    lines = [_line(entry.plugin, entry.error) for entry in REGISTERED]
    for plugin in plugins(PROBLEM_GROUP, [entry.name for entry in BUILT_IN]):
        try:
            plugin.load(AbstractFamily)
        except PluginError as error:
            lines.append(_line(plugin, str(error)))
        else:
            lines.append(_line(plugin))
    return lines


def _line(plugin: Plugin, error: str = "") -> str:
    state = f"not available: {error}" if error else plugin.entry.value
    return f"  {plugin.name:15} {plugin.entry.group}, {plugin.package}: {state}"


def _first_line(entry: type) -> str:
    import inspect

    module = inspect.getmodule(entry)
    return ((module.__doc__ if module else None) or "").strip().partition("\n")[0]


def _available(entry: type) -> str:
    try:
        entry.check_available()
    except MissingDependencyError as error:
        return f"not available: {error}"
    return ", ".join(f"{module} {_version(module)}" for module in entry.requires) or "built in"


def _peer(entry: type[AbstractPeer]) -> str:
    """What it promises, and the versions in its environment."""
    try:
        entry.check_available()
    except MissingDependencyError as error:
        return f"{entry.kind}; not available: {error}"
    found = versions(entry)
    return f"{entry.kind}; " + ", ".join(f"{name} {number}" for name, number in found.items())


def _version(module: str) -> str:
    try:
        return version(module)
    except PackageNotFoundError:
        return "(version unknown)"
