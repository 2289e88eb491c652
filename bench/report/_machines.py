"""Machines side by side: the speed-ups of the cells that all of them answered."""

from __future__ import annotations

from .._numbers import times
from .._tables_io import Row, Tables
from ..analyses import comparison
from ..analyses.machines import RATIOS, over_problems
from ._document import Block, Heading, Paragraph, Table, code, literal

NAMES = {"speedup_osqp": "x osqp", "speedup_best": "x best"}


def machines(devices: list[Tables]) -> list[Block]:
    """The means over the common problems, then every common cell; nothing with fewer than two machines."""
    lines = comparison(devices)
    if not lines:
        return []
    names = list(lines[0][RATIOS[0]])
    columns = [f"{NAMES[ratio]}, {literal(name)}" for ratio in RATIOS for name in names]
    means = [
        (code(row["method"]), row["dtype"], str(row["batch"]), str(row["problems"]), *_ratios(row))
        for row in over_problems(lines)
    ]
    cells = [
        (row["problem"], code(row["method"]), row["dtype"], str(row["batch"]), *_ratios(row)) for row in lines
    ]
    return [
        Heading(2, "Machines side by side"),
        Paragraph(
            "Times do not carry over from one machine to another; ratios taken on the same machine may. "
            "Speed-ups of the embedded maps over `osqp` and over the fastest projection, which may be "
            "another one on each machine, for the cells that every machine answered."
        ),
        Heading(3, "Geometric means over the common problems"),
        Table(("method", "dtype", "batch", "problems", *columns), tuple(means), left=2),
        Heading(3, "Every common cell"),
        Table(("problem", "method", "dtype", "batch", *columns), tuple(cells), left=3),
    ]


def _ratios(row: Row) -> list[str]:
    return [times(value) for ratio in RATIOS for value in row[ratio].values()]
