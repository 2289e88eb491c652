"""The tasks, listed once, here."""

from __future__ import annotations

from ._base import AbstractTask, Samples
from .fuel import Fuel
from .quantiles import Quantiles
from .stance import Stance

TASKS: tuple[type[AbstractTask], ...] = (Fuel, Quantiles, Stance)

__all__ = ["TASKS", "AbstractTask", "Samples"]
