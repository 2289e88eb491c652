"""The versions of a peer's packages, read from its environment without starting it."""

from __future__ import annotations

from importlib.metadata import distributions

from ._base import AbstractPeer
from ._environments import site_packages


def versions(peer: type[AbstractPeer]) -> dict[str, str]:
    """Version by distribution, of those that the peer `reads` and that are installed where it runs."""
    found = distributions(path=site_packages(peer.environment)) if peer.environment else distributions()
    # Of two with the same name the first is imported.
    installed = {entry.metadata["Name"].lower(): entry.version for entry in reversed(list(found))}
    return {name: installed[name.lower()] for name in peer.reads if name.lower() in installed}
