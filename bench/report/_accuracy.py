"""What accuracy costs: every projection at its own tolerance, at 1e-6 and at 1e-9."""

from __future__ import annotations

from .._cells import distinct, where
from .._numbers import NONE, error, number, share, times
from .._tables_io import Row
from ._document import Block, Heading, Paragraph, Table, code, literal

HEADER = (
    "projection", "tolerance", "status", "us a sample", "x osqp", "distance", "violation",
    "within 1e-3", "within 1e-6", "within 1e-9",
)  # fmt: skip


def accuracy(rows: list[Row]) -> list[Block]:
    """A table for each problem; empty without rows."""
    if not rows:
        return []
    blocks: list[Block] = [
        Heading(3, "What accuracy costs"),
        Paragraph(
            "float64. Each projection at its own default tolerance, at 1e-6 (mid) and at 1e-9 (high); what "
            "the number means to a solver is said in its adapter. x osqp: time of `osqp` at mid / time; "
            "distance from the exact projection, relative, the largest; within: share of the answers within "
            "a tolerance of the exact projection and of the set."
        ),
    ]
    for problem in distinct(rows, "problem"):
        mine = where(rows, problem=problem)
        blocks.append(Paragraph(f"{problem}, batch {mine[0]['batch']}:"))
        blocks.append(Table(HEADER, tuple(_row(row) for row in mine if row["status"] != "refused"), left=3))
    return blocks


def _row(row: Row) -> tuple[str, ...]:
    name, _, setting = row["method"].partition("@")
    if row["status"] != "ok":
        reason = f"{row['status']}: {literal(row['reason'])}".rstrip(": ")
        return (code(name), setting, reason, *[NONE] * (len(HEADER) - 3))
    return (
        code(name),
        setting,
        "ok",
        number(row["us_per_sample"]),
        times(row["speedup_osqp"]),
        error(row["distance"]),
        error(row["violation"]),
        *(share(row[f"success_1e{digits}"]) for digits in (3, 6, 9)),
    )
