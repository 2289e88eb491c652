"""What can be measured here: derived from the tuples, never kept by hand."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from baselines import PROJECTIONS
from baselines.peers import PEERS, AbstractPeer
from baselines.peers._versions import versions
from constrained.engines import ENGINES
from constrained.errors import MissingDependencyError
from constrained.parameterizations import PARAMETERIZATIONS

from .grid import all_grids
from .methods import METHODS
from .problems import FAMILIES


def listing() -> str:
    """Everything by kind, solvers with version and availability."""
    lines = ["methods (as measured):", *(f"  {m.role:11} {m.name}" for m in METHODS)]
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
    return "\n".join(lines)


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
