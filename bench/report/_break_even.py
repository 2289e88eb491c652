"""Set-up cost and break-even: after how many samples a map has taken less time than projection."""

from __future__ import annotations

import math

from .._cells import distinct, main_dtype, where
from .._numbers import NONE, number
from .._tables_io import Row
from ..analyses import break_even as break_even_of
from ._document import Block, Paragraph, Table, code


def break_even(rows: list[Row]) -> list[Block]:
    """One row a map, one column a problem: samples until ahead of osqp, and of the fastest projection."""
    lines = break_even_of(rows)
    lines = where(lines, dtype=main_dtype(lines))
    if not lines:
        return [Paragraph("No embedded map has a set-up time.")]
    methods, problems = distinct(lines, "method"), distinct(lines, "problem")
    body = [
        (problem, *(_cell(where(lines, problem=problem, method=m)) for m in methods)) for problem in problems
    ]
    return [
        Paragraph(
            f"Batch {lines[0]['batch']}, {lines[0]['dtype']}: set-up in ms; samples after which the map has "
            "taken less time in all than `osqp` / than the fastest projection of the cell, the set-up "
            "of both included. 0: its set-up is the shorter one as well; never: it takes longer a sample. "
            "Set-up is measured once a cell, so a small number of samples is an order of magnitude."
        ),
        Table(("problem", *(code(m) for m in methods)), tuple(body)),
    ]


def samples(value: float) -> str:
    """A number of samples in words."""
    if math.isnan(value):
        return NONE
    return "never" if value == math.inf else f"{value:.0f}"


def _cell(rows: list[Row]) -> str:
    if not rows:
        return NONE
    row = rows[0]
    return f"{number(row['setup_ms'])} ms; {samples(row['after_osqp'])} / {samples(row['after_best'])}"
