"""Eager against `torch.compile`: the same map, called as it is and compiled."""

from __future__ import annotations

from .._cells import where
from .._numbers import NONE, interval, number, times
from .._tables_io import Row
from ._document import Block, Heading, Paragraph, Table, code, literal

ENDING = "_compiled"
HEADER = (
    "problem",
    "method",
    "dtype",
    "batch",
    "status",
    "eager, us",
    "compiled, us",
    "eager / compiled",
    "set-up ms",
)


def compiled(rows: list[Row]) -> list[Block]:
    """One row a compiled map with the eager one of the same cell; nothing without rows."""
    lines = [_row(row, rows) for row in rows if row["method"].endswith(ENDING)]
    if not lines:
        return []
    return [
        Heading(3, "Eager and compiled"),
        Paragraph(
            "Time a sample, median [quartiles], of a map as it is and after `torch.compile`, interleaved in "
            "one run; above 1 in the ratio of the medians compiling pays. Set-up: of the compiled map, "
            "compilation included."
        ),
        Table(HEADER, tuple(lines), left=5),
    ]


def _row(row: Row, rows: list[Row]) -> tuple[str, ...]:
    name = row["method"].removesuffix(ENDING)
    place = {key: row[key] for key in ("problem", "dtype", "batch")}
    eager = next(iter(where(rows, **place, method=name, status="ok")), None)
    start = (row["problem"], code(name), row["dtype"], str(row["batch"]))
    before = _time(eager) if eager else NONE
    if row["status"] != "ok":
        reason = f"{row['status']}: {literal(row['reason'])}".rstrip(": ")
        return (*start, reason, before, NONE, NONE, NONE)
    ratio = times(eager["us_per_sample"] / row["us_per_sample"]) if eager else NONE
    return (*start, "ok", before, _time(row), ratio, number(row["setup_ms"]))


def _time(row: Row) -> str:
    return interval(row["us_per_sample"], row["us_q25"], row["us_q75"], number)
