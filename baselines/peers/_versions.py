"""The versions of a peer's packages, read from its environment without starting it."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

from ._base import AbstractPeer
from ._environments import python


def versions(peer: type[AbstractPeer]) -> dict[str, str]:
    """Version by distribution, of those that the peer `reads` and that are installed where it runs."""
    path = None
    if peer.environment:
        root = Path(python(peer.environment)).parents[1]
        path = [str(folder) for folder in root.glob("[lL]ib*/**/site-packages")]
    found = distributions(path=path) if path is not None else distributions()
    installed = {entry.metadata["Name"].lower(): entry.version for entry in found}
    return {name: installed[name.lower()] for name in peer.reads if name.lower() in installed}
