"""Normaliz: exact, from the other side.  Citation: Bruns and Ichim 2010.

Exact, with integers of any size, by Fourier-Motzkin elimination and pyramid decomposition of the dual
cone: none of PPL's code, so that one checks the other. Often the faster of the two on thousands of
rays. It cannot say how many rays it holds, so `max_rays` is seen only at the end; `max_seconds` and the
limit of half the machine's memory stop it on the way. Through `pynormaliz` (GPL-2.0-or-later, Normaliz
itself GPL-3.0-or-later), the extra "rays".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._base import AbstractEngine, Budget, Cone, run_worker


class Normaliz(AbstractEngine):
    """`engine="normaliz"`; `processes` is its number of threads."""

    name, exact, requires, parallel = "normaliz", True, "PyNormaliz", True

    @classmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """Always in a child process: it cannot be interrupted at a budget."""
        return run_worker(cls.name, cone, budget, budget.processes)
