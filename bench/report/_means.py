"""Geometric means of the ratios over the problems, and over which problems each of them is."""

from __future__ import annotations

from .._cells import distinct, places
from .._numbers import NONE, times
from .._tables_io import Row
from ..analyses import means as means_of
from ..analyses.means import RATIOS
from ._document import Block, Paragraph, Table, code

HEADER = ("method", "dtype", "batch", "answered", "x osqp", "x best", "x Linear", "x floor", "without")


def means(rows: list[Row]) -> list[Block]:
    """One row a method, dtype and batch."""
    everywhere = distinct(rows, "problem")
    return [
        Paragraph(
            "Means of the ratios over the problems that the method answered; where that is not all of them, "
            "the mean is over an easier set and must not be compared with one over another set. Without: "
            "the problems that it has no time on, refused, failed or not measured; in brackets the number of "
            "problems in a mean, where it is smaller than the number answered. Strict variants are measured "
            "on a few problems only and have a table of their own."
        ),
        Table(HEADER, tuple(_row(line, everywhere) for line in means_of(rows)), left=2),
    ]


def _row(line: Row, everywhere: list[str]) -> tuple[str, ...]:
    left_out = line["left_out"]
    return (
        code(line["method"]),
        line["dtype"],
        str(line["batch"]),
        f"{line['answered']} of {line['problems']}",
        *(_mean(line, ratio) for ratio in RATIOS),
        places(left_out, everywhere) if left_out else NONE,
    )


def _mean(line: Row, ratio: str) -> str:
    few = f" ({line[f'{ratio}_problems']})" if 0 < line[f"{ratio}_problems"] < line["answered"] else ""
    return times(line[ratio]) + few
