"""Which entries of a tuple can be used here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol

from constrained.errors import MissingDependencyError


class Entry(Protocol):
    """A class with a name that says what it lacks."""

    name: ClassVar[str]

    @classmethod
    def check_available(cls) -> None:
        """Raise `MissingDependencyError` unless everything it needs is there."""


def installed(entries: Iterable[type[Entry]]) -> list[str]:
    """The names of those that lack nothing, in their order."""
    return [entry.name for entry in entries if not _lacks(entry)]


def _lacks(entry: type[Entry]) -> bool:
    try:
        entry.check_available()
    except MissingDependencyError:
        return True
    return False
