"""What a set is before anything is built on it: empty, flat, unbounded, redundant, how deep and where."""

from ._analysis import Analysis, analyse
from ._farkas import Farkas
from ._rows import Hull, Inequalities

__all__ = ["Analysis", "Farkas", "Hull", "Inequalities", "analyse"]
