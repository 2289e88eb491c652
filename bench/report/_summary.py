"""The whole problem set in two sentences: geometric means of the speed-ups, and when set-up has paid."""

from __future__ import annotations

import math
from statistics import median_high

from .._cells import main_batch, main_dtype, ok, where
from .._numbers import times
from .._tables_io import COMMAND, Row, Tables
from ..analyses import break_even, means
from ._break_even import samples
from ._document import Block, Paragraph, code

GENERAL = 0.5
"""A map is named if it answers at least this share of the problems; the others are made for few sets."""


def summary(tables: Tables) -> list[Block]:
    """Sentences about the maps that answer most problems, at the batch and dtype of the figures."""
    rows = tables.find("inference")
    if not ok(rows):
        return [Paragraph(f"No measurement yet: `{COMMAND}` makes one.")]
    place = {"batch": main_batch(rows), "dtype": main_dtype(rows)}
    lines = [
        line
        for line in where(means(rows), **place, role="embedded")
        if line["speedup_osqp_problems"] >= GENERAL * line["problems"]
    ]
    if not lines:
        return [Paragraph("No embedded map answers half of the problems.")]
    named = "; ".join(_mean(line) for line in sorted(lines, key=lambda line: -line["speedup_osqp"]))
    methods = [line["method"] for line in lines]
    paid = [row for row in where(break_even(rows), **place) if row["method"] in methods]
    return [
        Paragraph(
            f"Over the {lines[0]['problems']} problems at batch {place['batch']}, geometric means of the "
            f"speed-up over `osqp` and over the fastest projection of each problem: {named}. {_paid(paid)}"
        )
    ]


def _mean(line: Row) -> str:
    osqp, best = times(line["speedup_osqp"]), times(line["speedup_best"])
    return (
        f"{code(line['method'])} {osqp} and {best} times ({line['answered']} of {line['problems']} problems)"
    )


def _paid(rows: list[Row]) -> str:
    """Medians over maps and problems, and how often never."""
    osqp, best = (
        [row[name] for row in rows if not math.isnan(row[name])] for name in ("after_osqp", "after_best")
    )
    if not osqp or not best:
        return ""
    return (
        "Their set-up has paid for itself after a median of "
        f"{samples(median_high(osqp))} samples against `osqp` and {samples(median_high(best))} against the "
        f"fastest projection, and never in {best.count(math.inf)} of {len(best)} cases there."
    )
