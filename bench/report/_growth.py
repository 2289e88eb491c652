"""Scaling exponents as tables: time as a power of the batch, of n and of m."""

from __future__ import annotations

from .._cells import where
from .._numbers import number
from .._tables_io import Row
from ..analyses import growth as growth_of
from ..analyses.growth import POINTS, SIZES
from ._document import Block, Paragraph, Table, code

HEADER = ("line", "method", "role", "dtype", "points", "exponent", "standard error", "R²")
TIMES = {"batch": "seconds of a call", "n": "seconds a sample", "m": "seconds a sample"}


def growth(rows: list[Row]) -> list[Block]:
    """A table for each size that has a line of cells."""
    lines = growth_of(rows)
    if not lines:
        return [Paragraph(f"No {POINTS} cells differ in one size alone, so that no exponent can be fitted.")]
    blocks: list[Block] = [
        Paragraph(
            "log(time) = exponent · log(size) + constant, by least squares along every line of cells that "
            f"differ in one size alone and has at least {POINTS} points. A small R² says that time is no "
            "power of the size over these points: the overhead of a call comes first, the work later."
        )
    ]
    for along in SIZES:
        mine = where(lines, along=along)
        if mine:
            values = ", ".join(str(size) for size in sorted({size for row in mine for size in row["sizes"]}))
            blocks.append(Paragraph(f"{TIMES[along].capitalize()} against {along} ({values}):"))
            blocks.append(Table(HEADER, tuple(_row(row) for row in mine), left=4))
    return blocks


def _row(row: Row) -> tuple[str, ...]:
    return (
        row["line"],
        code(row["method"]),
        row["role"],
        row["dtype"],
        ", ".join(str(size) for size in row["sizes"]),
        f"{row['exponent']:.2f}",
        number(row["error"]),
        number(row["r2"]),
    )
