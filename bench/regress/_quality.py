"""What does not depend on the clock: feasibility, and how far points are moved."""

from __future__ import annotations

import math

from ._pooled import Row

SLACK = 4.0
"""Violation and distance depend on rounding: worse means more than this factor and ABSOLUTE."""
ABSOLUTE = 1e-6
SHARE = 0.1
EXCESS = 0.05
"""How much farther points may be moved, as a share; rounding alone changes less."""


def worse_quality(expected: Row, row: Row) -> str:
    """Everything that is worse about a row that is ok, as text; empty if nothing is."""
    texts = [_worse_number(name, expected[name], row.get(name)) for name in ("violation", "distance")]
    texts += [_less_feasible(expected["infeasible_share"], row), _farther(expected["excess"], row)]
    return "; ".join(text for text in texts if text)


def _worse_number(name: str, was: float, now: float | None) -> str:
    if math.isnan(was) or (now is not None and now <= SLACK * was + ABSOLUTE):
        return ""
    return f"{name} was {was:.2g}, is {'not finite' if now is None else format(now, '.2g')}"


def _less_feasible(was: float, row: Row) -> str:
    if row.get("plain") and row["broken_share"] > 0:
        return f"a strict map breaks an inequality at {row['broken_share']:.2g} of the points"
    share = row.get("infeasible_share")
    if share is None or share <= was + SHARE:
        return ""
    return f"infeasible share was {was:.2g}, is {share:.2g}"


def _farther(was: float, row: Row) -> str:
    now = row.get("excess")
    if math.isnan(was) or (now is not None and now <= was * (1 + EXCESS)):
        return ""
    return f"excess was {was:.4g}, is {'not finite' if now is None else format(now, '.4g')}"
