"""The tasks, listed once, here."""

from __future__ import annotations

from ._base import AbstractTask, Samples
from .digits import DigitsBox, DigitsCone
from .fuel import Fuel
from .quantiles import Quantiles
from .stance import Stance

TASKS: tuple[type[AbstractTask], ...] = (DigitsBox, DigitsCone, Fuel, Quantiles, Stance)

__all__ = ["TASKS", "AbstractTask", "Samples"]
