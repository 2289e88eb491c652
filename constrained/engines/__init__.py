"""Ray engines: other people's enumerations, one file each, listed once, here."""

from ._base import AbstractEngine, Budget
from .cdd_ import Cdd
from .lrs_ import Lrs
from .normaliz_ import Normaliz
from .ppl_ import Ppl

ENGINES: tuple[type[AbstractEngine], ...] = (Ppl, Normaliz, Lrs, Cdd)

__all__ = ["ENGINES", "AbstractEngine", "Budget"]
