"""PPL: exact double description over the integers.  Citation: Bagnara, Hill, Zaffanella 2008.

Exact, with integers of any size. Through `pplpy` (GPL-3.0), the extra "rays".
Method: double description (Motzkin et al. 1953; Fukuda and Prodon 1996) with the improvements of
Chernikova and Le Verge.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ..exact import independent_rows
from ._base import AbstractEngine, Budget, Cone, check_count, run_worker
from ._worker import OverBudget, ppl_rays

# What may run in this process, where no budget can interrupt it: about a second. Inserting a row
# into r rays makes at most r^2 / 4 new ones, of n integers whose length grows with n.
IN_PROCESS_RAYS_TIMES_N = 4_000
IN_PROCESS_LEAD_TIMES_N = 13_000


class Ppl(AbstractEngine):
    """The default engine, `engine="exact"`."""

    name, exact, requires = "exact", True, "ppl"

    @classmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """Small cones here, the others in a child process."""
        # In PPL's own order; in another one it was up to twice as slow on random cones.
        rows = sorted(cone.inequalities, reverse=True)
        lead = independent_rows(rows, cone.n)
        rest = sorted(set(range(len(rows))) - set(lead))
        ordered = Cone([rows[i] for i in (*lead, *rest)], cone.equalities, cone.n)
        # Signal handlers can be set in the main thread only, see `_worker._import_ppl`.
        here = threading.current_thread() is threading.main_thread()
        if not here or len(lead) * cone.n > IN_PROCESS_LEAD_TIMES_N:
            return run_worker(cls.name, ordered, budget, len(lead))
        try:
            limit = IN_PROCESS_RAYS_TIMES_N // cone.n
            quick = ppl_rays(
                ordered.inequalities, cone.equalities, cone.n, len(lead), limit if rest else None
            )
        except OverBudget:
            return run_worker(cls.name, ordered, budget, len(lead))
        check_count(len(quick), budget)
        return list(quick)
