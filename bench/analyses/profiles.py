"""Performance profiles: the share of problems that a method solves within a factor of the fastest.

    rho_s(t) = |{p : time(p, s) <= t min_s' time(p, s')}| / |{p}|

E. D. Dolan, J. J. More, Benchmarking optimization software with performance profiles, Math. Program. 91
(2002). A method that failed, timed out, refused or was not measured on a problem has not solved it.
"""

from __future__ import annotations

import math

from .._cells import distinct, fewer_projections, main_batch, main_dtype, ok, plain_maps, where
from .._tables_io import Row

NEAR = 1.01
"""The second set: answers that move a point at most so many times as far as the exact projection (median)."""
SETS = {"feasible": math.inf, "near": NEAR}
"""The largest excess by which an answer solves a problem; infinity asks for none, so rays count as well."""
FACTORS = (1, 2, 10, 100)


def profiles(rows: list[Row]) -> list[Row]:
    """A row for each set, method and problem: `ratio` to the fastest of the problem, infinite if unsolved.

    The methods are the embedded maps, `osqp` and the projections that are the fastest somewhere.
    """
    rows = [row for row in fewer_projections(plain_maps(rows)) if row["role"] in ("embedded", "projection")]
    rows = where(rows, batch=main_batch(rows))
    rows = where(rows, dtype=main_dtype(rows))
    return [line for name, most in SETS.items() for line in _set(rows, name, most)]


def shares(lines: list[Row]) -> list[Row]:
    """A row for each set and method: problems `solved` of `problems`, the share `within_<factor>` of each."""
    found = []
    for name in distinct(lines, "set"):
        for method in distinct(where(lines, set=name), "method"):
            mine = where(lines, set=name, method=method)
            ratios = [row["ratio"] for row in mine]
            found.append(
                {"set": name, "method": method, "role": mine[0]["role"]}
                | {"solved": sum(ratio < math.inf for ratio in ratios), "problems": len(ratios)}
                | {f"within_{t}": sum(ratio <= t for ratio in ratios) / len(ratios) for t in FACTORS}
            )
    return found


def _set(rows: list[Row], name: str, most: float) -> list[Row]:
    solved = [row for row in ok(rows) if most == math.inf or row["excess"] <= most]
    time = {(row["problem"], row["method"]): row["us_per_sample"] for row in solved}
    roles = {row["method"]: row["role"] for row in rows}
    lines = []
    for problem in distinct(rows, "problem"):
        fastest = min((time[key] for key in time if key[0] == problem), default=math.nan)
        for method, role in roles.items():
            mine = time.get((problem, method))
            ratio = math.inf if mine is None else mine / fastest
            lines.append({"set": name, "problem": problem, "method": method, "role": role, "ratio": ratio})
    return lines
