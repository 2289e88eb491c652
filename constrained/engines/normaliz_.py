"""Normaliz: exact, from the other side.  Citation: Bruns and Ichim 2010.

Exact, with integers of any size, by Fourier-Motzkin elimination and pyramid decomposition of the dual
cone: none of PPL's code, so that one checks the other. Often the faster of the two on thousands of
rays. It cannot say how many rays it holds, so `max_rays` is seen only at the end; `max_seconds` and the
limit of half the machine's memory stop it on the way. Through `pynormaliz` (GPL-2.0-or-later, Normaliz
itself GPL-3.0-or-later), the extra "rays".

Normaliz 3.11.0 sometimes returns rays that are not extreme beside those that are, where inequalities
hold with equality on the whole cone. `{x in R^4 : g x <= 0}` with the rows g = (0,0,2,1), (0,-1,-2,-2),
(0,0,-2,-1), (1,1,2,0), (0,2,1,1), (1,-1,1,1), (1,2,1,2), (1,1,1,1) has 4 rays; it returns 6. Given these
rows as equations it returns 4. So such cones are run a second time with equations in their place, and
that result is verified (`constrained/verification.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..exact import Vector, dot, independent_rows, to_unit
from ._base import AbstractEngine, Budget, Cone, run_worker


class Normaliz(AbstractEngine):
    """`engine="normaliz"`; `processes` is its number of threads."""

    name, exact, requires, parallel = "normaliz", True, "PyNormaliz", True

    @classmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """Always in a child process: it cannot be interrupted at a budget."""
        found = run_worker(cls.name, cone, budget, budget.processes)
        # The sum of the rays lies in the relative interior: what it meets, the whole cone meets.
        middle = [sum(column) for column in zip(*found, strict=True)]
        implied = {row for row in cone.inequalities if found and not dot(row, middle)}
        if not implied:
            return found
        rest = [row for row in cone.inequalities if row not in implied]
        narrow = Cone(rest, [*cone.equalities, *sorted(implied)], cone.n)
        return list(_verified(cone, run_worker(cls.name, narrow, budget, budget.processes)))


def _verified(cone: Cone, found: Sequence[Sequence[int]]) -> list[Vector]:
    from ..verification import verified_rays  # which needs the engines itself

    rows = [*cone.equalities, *cone.inequalities]
    row_space = [rows[i] for i in independent_rows(rows, cone.n)]
    return verified_rays(cone, to_unit(found, cone.n).tolist(), row_space)
