"""What became of each row of the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..schema import RATIOS
from ._pooled import Pass, Row, median_ratios, pooled_ratios, row_of
from ._quality import worse_quality

OURS = "batched_active_set"
"""The projection that is ours, and so gated for its time as well."""
PASSES = 3
"""A row is not called slower before it was measured so often."""
TOLERANCE = 0.25


class Verdict(StrEnum):
    """Of a row, the gravest first."""

    MISSING = "missing"
    INFEASIBLE = "infeasible"
    SLOWER = "slower"
    INCONCLUSIVE = "inconclusive"
    FASTER = "faster"
    OK = "ok"

    @property
    def fails(self) -> bool:
        """Whether the gate is red for it."""
        return self in (Verdict.MISSING, Verdict.INFEASIBLE, Verdict.SLOWER)


@dataclass(frozen=True)
class Change:
    """A ratio to a yardstick by that of the reference: 1.1 for 10 % slower, with its interval."""

    yardstick: str
    was: float
    now: float
    factor: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.factor:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Judgement:
    """A row, its verdict, why, and the changes of its ratios if its time is compared."""

    cell: str
    method: str
    verdict: Verdict
    text: str = ""
    changes: tuple[Change, ...] = ()

    def __str__(self) -> str:
        """Why, with the ratios that it rests on; empty if it is ok."""
        if self.verdict is Verdict.OK:
            return ""
        ratios = [f"to {c.yardstick} was {c.was:.4g}, is {c.now:.4g}, {c} times" for c in self.changes]
        return f"{self.text}; ratio {'; '.join(ratios)}" if ratios else self.text


def judge(
    reference: Iterable[Row], passes: Mapping[str, Sequence[Pass]], tolerance: float = TOLERANCE
) -> list[Judgement]:
    """A judgement for each row of the reference, in its order.

    Args:
        reference: rows as in the table `reference`.
        passes: for each cell the passes measured so far, the oldest first.
        tolerance: how much larger a ratio may be, 0.25 for 25 %.
    """
    return [_judge(expected, passes.get(expected["cell"], []), tolerance) for expected in reference]


def _judge(expected: Row, passes: Sequence[Pass], tolerance: float) -> Judgement:
    cell, method = expected["cell"], expected["method"]
    found = [row_of(rows, method) for rows in passes]
    rows = [row for row in found if row is not None]
    if not rows or len(rows) < len(found):
        return Judgement(cell, method, Verdict.MISSING, "the row vanished")
    for row in rows:
        if row["status"] != expected["status"]:
            text = f"status was {expected['status']}, is {row['status']}: {row['reason']}".rstrip(": ")
            return Judgement(cell, method, Verdict.MISSING, text)
    if expected["status"] != "ok":
        return Judgement(cell, method, Verdict.OK)
    for row in rows:
        if text := worse_quality(expected, row):
            return Judgement(cell, method, Verdict.INFEASIBLE, text)
    if rows[0]["role"] != "embedded" and method != OURS:
        return Judgement(cell, method, Verdict.OK)
    return _judge_time(expected, passes, tolerance)


def _judge_time(expected: Row, passes: Sequence[Pass], tolerance: float) -> Judgement:
    changes = _changes(expected, passes)
    if not changes:
        text = "no yardstick of the reference was measured"
        return Judgement(expected["cell"], expected["method"], Verdict.MISSING, text)
    each = [_factors(expected, rows) for rows in passes]
    verdict = _time_verdict(changes, each, tolerance)
    text = ""
    if verdict in (Verdict.SLOWER, Verdict.FASTER):
        text = f"over {tolerance:.0%} {verdict} than the reference"
    elif verdict is Verdict.INCONCLUSIVE:
        text = f"undecided after {len(passes)} pass(es)"
    return Judgement(expected["cell"], expected["method"], verdict, text, changes)


def _time_verdict(changes: Sequence[Change], each: Sequence[Sequence[float]], tolerance: float) -> Verdict:
    """Of the changes over all passes together, and of their factors in each pass."""
    limit = 1 + tolerance
    if _most(change.high < 1 - tolerance for change in changes):
        return Verdict.FASTER
    if not _most(change.high > limit for change in changes):
        return Verdict.OK
    certain = _most(change.low > limit for change in changes)
    always = all(_most(factor > limit for factor in one) for one in each)
    return Verdict.SLOWER if certain and always and len(each) >= PASSES else Verdict.INCONCLUSIVE


def _most(flags: Iterable[bool]) -> bool:
    """More than half: against one yardstick alone, the yardstick may have changed."""
    values = list(flags)
    return 2 * sum(values) > len(values)


def _changes(expected: Row, passes: Sequence[Pass]) -> tuple[Change, ...]:
    """Against each yardstick; the interval is that of both sides, the reference's and the one measured."""
    ratios = pooled_ratios(passes, expected["method"])
    return tuple(
        Change(
            RATIOS[name],
            expected[name],
            now,
            now / expected[name],
            low / expected[f"{name}_high"],
            high / expected[f"{name}_low"],
        )
        for name, (now, low, high) in ratios.items()
        if not math.isnan(expected[name])
    )


def _factors(expected: Row, rows: Pass) -> list[float]:
    """How each ratio changed in one pass."""
    ratios = median_ratios(rows, expected["method"])
    return [now / expected[name] for name, now in ratios.items() if not math.isnan(expected[name])]
