"""What the figures of the training comparison share: a panel a task, styles, what is compared there."""

from __future__ import annotations

import math

from .._cells import distinct
from .._tables_io import Row
from ._style import Style, styles


def compared(rows: list[Row]) -> list[Row]:
    """The rows of the methods that are compared, without the variants of the ablation."""
    return [row for row in rows if not row["changes"]]


def task_styles(rows: list[Row]) -> dict[str, Style]:
    """A style for each method that is compared."""
    mine = compared(rows)
    return styles(distinct(mine, "method"), {row["method"]: row["role"] for row in mine})


def excess_of(row: Row, value: str, optimum: str) -> float:
    """By how much a loss is above the least one; the loss itself where that is not known."""
    least = row[optimum]
    return row[value] - (least if math.isfinite(least) else 0.0)


def loss_label(rows: list[Row], optimum: str) -> str:
    """What `excess_of` gives for these rows."""
    known = any(math.isfinite(row[optimum]) for row in rows)
    return "loss - least feasible loss" if known else "loss"
