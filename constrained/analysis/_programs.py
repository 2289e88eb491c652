"""Linear programs, solved by HiGHS through SciPy, for what cheaper means leave open."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import EngineError

TINY = 1e-10  # HiGHS's smallest feasibility tolerance
OPTIMAL = 0


class MarginProgram(NamedTuple):
    """`max s : F y + s <= r, s <= 1`: its value, a maximiser and the multipliers of the rows."""

    margin: float
    y: np.ndarray
    multipliers: np.ndarray


def _solve(
    cost: np.ndarray, rows: np.ndarray, bound: np.ndarray, limits: list
) -> tuple[np.ndarray, np.ndarray]:
    """`min cost x : rows x <= bound, limits`: the minimiser and the rows' multipliers, >= 0."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    table = csr_array(rows) if np.count_nonzero(rows) < rows.size / 4 else rows
    for presolve in (True, False):
        options = {
            "primal_feasibility_tolerance": TINY,
            "dual_feasibility_tolerance": TINY,
            "presolve": presolve,
        }
        result = linprog(cost, A_ub=table, b_ub=bound, bounds=limits, method="highs", options=options)
        if result.status == OPTIMAL:
            return result.x, np.maximum(-result.ineqlin.marginals, 0.0)
    raise EngineError(f"HiGHS did not solve a linear program that has a solution: {result.message}")


def largest_margin(F: np.ndarray, r: np.ndarray) -> MarginProgram:
    """The program for unit rows F (q, n), r (q,) of size about 1; `margin < 0`: no point at all."""
    q, n = F.shape
    cost = np.append(np.zeros(n), -1.0)
    x, multipliers = _solve(cost, np.column_stack([F, np.ones(q)]), r, [(None, None)] * n + [(None, 1.0)])
    return MarginProgram(float(x[-1]), x[:-1], multipliers)


def never_strict(F: np.ndarray, r: np.ndarray, reach: float) -> np.ndarray:  # (q, n), (q,) -> (q,)
    """Which rows hold with equality at every point of a non-empty `{F y <= r}`, as a mask.

    `max sum s : F z + s <= r t, 0 <= s <= 1, 1 <= t <= reach`. Scaling (z, t) up gives every row that
    is ever strict its s = 1, so one program answers for all (Freund, Roundy, Todd 1985). A slack
    below `1 / reach` counts as none.
    """
    q, n = F.shape
    rows = np.column_stack([F, np.eye(q), -r])
    cost = np.concatenate([np.zeros(n), -np.ones(q), [0.0]])
    limits = [(None, None)] * n + [(0.0, 1.0)] * q + [(1.0, reach)]
    slack = _solve(cost, rows, np.zeros(q), limits)[0][n:-1]
    return slack < 0.5


def steepest(F: np.ndarray, row: np.ndarray, r: np.ndarray, bound: float) -> float:
    """`max row y : F y <= r, row y <= bound`; the set is not empty."""
    rows, right = np.concatenate([F, row[None]]), np.append(r, bound)
    y, _ = _solve(-row, rows, right, [(None, None)] * len(row))
    return float(row @ y)


def proper_recession(F: np.ndarray) -> bool:
    """Whether some e has `F e <= 0` and `F e != 0`: the cone is more than its lineality space."""
    q, n = F.shape
    rows = np.column_stack([F, np.eye(q)])
    cost = np.concatenate([np.zeros(n), -np.ones(q)])
    x, _ = _solve(cost, rows, np.zeros(q), [(None, None)] * n + [(0.0, 1.0)] * q)
    return bool(x[n:].max(initial=0.0) > 0.5)
