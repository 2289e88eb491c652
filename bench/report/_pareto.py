"""Time against nearness in words: the methods of each main problem that no other beats in both."""

from __future__ import annotations

import math

from .._cells import distinct, where
from .._numbers import error, number
from .._tables_io import Row
from ..analyses import pareto as pareto_of
from ..analyses.pareto import DIGITS, FEASIBLE
from ._document import Block, Paragraph, Table, code

HEADER = ("problem", "method", "role", "us a sample", "moves", "violation")


def pareto(rows: list[Row]) -> list[Block]:
    """The front of each problem, the fastest first."""
    lines = pareto_of(rows)
    front = where(lines, front=1.0)
    if not front:
        return [Paragraph("No method has both a time and a distance from the exact projection.")]
    return [
        Paragraph(
            "The methods that no other beats in time and nearness at once, all projections and peers "
            "considered. Moves: the distance as a multiple of the exact projection's, median; equal when "
            f"{DIGITS} decimals are.{_without(lines)}"
        ),
        Table(HEADER, tuple(_row(row) for row in front), left=3),
    ]


def _without(lines: list[Row]) -> str:
    names = ", ".join(map(code, distinct([row for row in lines if math.isnan(row["front"])], "method")))
    why = f"no point to project, no finite answer, or a row broken by more than {FEASIBLE:g}"
    return f" Without a place on some problem ({why}): {names}." if names else ""


def _row(row: Row) -> tuple[str, ...]:
    return (
        row["problem"],
        code(row["method"]),
        row["role"],
        number(row["us_per_sample"]),
        f"{row['excess']:.{DIGITS}f}x",
        error(row["violation"]),
    )
