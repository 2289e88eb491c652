"""Choosing rows of the inference table: the cell of the headline, the batch and dtype of a figure.

A cell is what methods are compared in: one problem, batch size and dtype on one device.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ._tables_io import Row

PROBLEM = "checkerboard-784x16"
BATCH = 256


def where(rows: Iterable[Row], **values: object) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def ok(rows: Iterable[Row]) -> list[Row]:
    """The rows that were measured."""
    return where(rows, status="ok")


def plain_maps(rows: Iterable[Row]) -> list[Row]:
    """The rows without the strict variants, which have a table of their own."""
    return [row for row in rows if not row.get("plain")]


def distinct(rows: Iterable[Row], name: str) -> list:
    """The values of a column, in order of first appearance."""
    return list(dict.fromkeys(row[name] for row in rows))


def fewer_projections(rows: list[Row]) -> list[Row]:
    """Of the projections those alone that are the fastest somewhere, and `osqp`; peers are in the headline.

    A figure with a few dozen black markers says less than one with those that matter; the table has all.
    """
    kept = {"osqp", *(row.get("best_projection") for row in rows)}
    small = [row for row in rows if row["role"] != "peer"]
    return [row for row in small if row["role"] != "projection" or row["method"] in kept]


def main_batch(rows: Iterable[Row]) -> int:
    """The batch size that figures show: 256, or the largest if there is no 256."""
    batches = {row["batch"] for row in rows}
    return BATCH if BATCH in batches else max(batches, default=BATCH)


def main_dtype(rows: Iterable[Row]) -> str:
    """The dtype of the headline: the one with most rows, the first by name among equals."""
    counts = Counter(row["dtype"] for row in rows)
    return min(counts, key=lambda dtype: (-counts[dtype], dtype), default="float32")


def main_cell(rows: list[Row]) -> list[Row]:
    """The cell of the headline; empty if the table does not have it."""
    cell = where(rows, problem=PROBLEM, batch=BATCH)
    return where(cell, dtype=main_dtype(cell))


def sweep(rows: list[Row], along: str, fixed: str) -> list[Row]:
    """The line of problems of one family along which `along` varies most often while `fixed` does not.

    Among lines of equal length the one with the larger fixed value, then the first family.
    """
    lines: dict[tuple, set] = {}
    for row in rows:
        lines.setdefault((row["family"], row[fixed]), set()).add(row[along])
    if not lines:
        return []
    family, value = max(lines, key=lambda line: (len(lines[line]), line[1]))
    chosen = where(rows, family=family)
    return sorted(where(chosen, **{fixed: value}), key=lambda row: row[along])


def best_projection(cell: Iterable[Row]) -> str:
    """The name of the fastest projection of a cell that reached 1e-6; empty if there is none."""
    return next((row["best_projection"] for row in cell if row["best_projection"]), "")


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean of the positive finite values, NaN if there is none."""
    logs = [math.log(value) for value in values if 0 < value < math.inf]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def places(problems: list[str], everywhere: list[str]) -> str:
    """The problems in words: all of them, all but the few that are missing, or their names."""
    others = [name for name in everywhere if name not in problems]
    if len(others) >= len(problems) / 2 or len(everywhere) == 1:
        return ", ".join(problems)
    return f"every problem but {', '.join(others)}" if others else "every problem"


@dataclass(frozen=True)
class Failure:
    """Rows of one method that have the same status and, numbers aside, the same reason."""

    method: str
    status: str
    reason: str
    problems: list[str]


def failures(rows: Iterable[Row]) -> list[Failure]:
    """The rows that are not ok, gathered by method and kind; reasons may differ in their numbers only."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["status"] != "ok":
            kind = re.sub(r"[0-9.]+", "#", row["reason"])
            groups.setdefault((row["method"], row["status"], kind), []).append(row)
    return [_failure(method, status, group) for (method, status, _), group in groups.items()]


def _failure(method: str, status: str, group: list[Row]) -> Failure:
    reasons = distinct(group, "reason")
    reason = f"e.g. {reasons[0]}" if len(reasons) > 1 else reasons[0]
    return Failure(method, status, reason.strip(), distinct(group, "problem"))
