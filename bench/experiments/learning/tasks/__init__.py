"""The tasks, listed once, here."""

from __future__ import annotations

from ._base import AbstractTask, Samples

TASKS: tuple[type[AbstractTask], ...] = ()

__all__ = ["TASKS", "AbstractTask", "Samples"]
