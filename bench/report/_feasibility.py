"""Feasibility by dtype as a table, plain and strict."""

from __future__ import annotations

from .._numbers import error, number, share
from .._tables_io import Row
from ..analyses import feasibility as feasibility_of
from ._document import Block, Paragraph, Table, code

HEADER = (
    "method", "role", "guarantee", "dtype", "cells", "largest violation", "where a row breaks, / eps",
    "infeasible", "breaks a row",
)  # fmt: skip


def feasibility(rows: list[Row]) -> list[Block]:
    """One row a method, guarantee and dtype."""
    return [
        Paragraph(
            "Over all cells of a dtype. Infeasible: the mean share of answers with any violation at all, "
            "equalities included; breaks a row: the mean share that breaks an inequality, decided exactly; "
            "where a row breaks: the largest violation of the cells with such an answer, over the machine "
            "epsilon of the dtype, 0 without one. The strict guarantees are about inequalities."
        ),
        Table(HEADER, tuple(_row(line) for line in feasibility_of(rows)), left=4),
    ]


def _row(line: Row) -> tuple[str, ...]:
    return (
        code(line["method"]),
        line["role"],
        line["guarantee"],
        line["dtype"],
        str(line["cells"]),
        error(line["violation"]),
        number(line["broken_over_eps"]),
        share(line["infeasible_share"]),
        share(line["broken_share"]),
    )
