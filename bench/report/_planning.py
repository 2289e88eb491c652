"""Planning: the time from the numbers of a set to a layer, by size."""

from __future__ import annotations

from .._cells import distinct, where
from .._numbers import NONE, interval, number
from .._tables_io import Row
from ._document import Block, Heading, Paragraph, Table, code, literal


def planning(rows: list[Row]) -> list[Block]:
    """One row a problem, one column a piece of planning."""
    methods, problems = distinct(rows, "method"), distinct(rows, "problem")
    body = [(p, *(_cell(where(rows, problem=p, method=m)) for m in methods)) for p in problems]
    return [
        Heading(3, "Planning"),
        Paragraph("Milliseconds, median [quartiles]; the set is built anew for each round."),
        Table(("problem", *(code(method) for method in methods)), tuple(body)),
    ]


def _cell(rows: list[Row]) -> str:
    if not rows:
        return NONE
    row = rows[0]
    if row["status"] != "ok":
        return f"{row['status']}: {literal(row['reason'])}".rstrip(": ")
    # One call is one sample here.
    return interval(row["us_per_sample"] / 1e3, row["us_q25"] / 1e3, row["us_q75"] / 1e3, number)
