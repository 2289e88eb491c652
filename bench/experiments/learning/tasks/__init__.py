"""The tasks, listed once, here."""

from __future__ import annotations

from ._base import AbstractTask, Samples
from .digits import DigitsBox, DigitsCone

TASKS: tuple[type[AbstractTask], ...] = (DigitsBox, DigitsCone)

__all__ = ["TASKS", "AbstractTask", "Samples"]
