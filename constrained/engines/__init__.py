"""Ray engines: double description by other people's libraries, one file each, listed once, here."""

from ._base import AbstractEngine, Budget
from .cdd_ import Cdd
from .ppl_ import Ppl

ENGINES: tuple[type[AbstractEngine], ...] = (Ppl, Cdd)

__all__ = ["ENGINES", "AbstractEngine", "Budget"]
