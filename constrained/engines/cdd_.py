"""cddlib in floating point: what the paper used.  Citation: Fukuda and Prodon 1996.

Fast and unreliable: rounding can lose rays without a word. Whatever it returns is therefore checked
in exact arithmetic (`constrained/verification.py`) and refused when wrong. Through
`pycddlib-standalone` or `pycddlib` (GPL-2.0-or-later), the extra "rays".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._base import AbstractEngine, Budget, Cone, run_worker


class Cdd(AbstractEngine):
    """`engine="cdd"`."""

    name, exact, requires = "cdd", False, "cdd"

    @classmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """Always in a child process: cddlib cannot be interrupted."""
        return run_worker(cls.name, cone, budget)
