"""What other threads or cold caches change: the rows that no figure and no other table shows."""

from __future__ import annotations

from .._numbers import count, interval, number, times
from .._tables_io import Tables
from ..analyses import other_settings
from ._document import Block, Heading, Paragraph, Table, code

HEADER = ("problem", "method", "dtype", "batch", "cache", "threads", "us a sample", "time / main")


def settings(tables: Tables) -> list[Block]:
    """One row a cell and method; nothing where all rows are of one setting."""
    rows = [
        (
            row["problem"],
            code(row["method"]),
            row["dtype"],
            str(row["batch"]),
            str(row["cache"]),
            count(row["threads"]),
            interval(row["us_per_sample"], row["us_q25"], row["us_q75"], number),
            times(row["ratio"]),
        )
        for row in other_settings(tables)
    ]
    if not rows:
        return []
    return [
        Heading(3, "Other threads and caches"),
        Paragraph(
            "Everything else is about the threads and caches that most rows were measured with; these rows "
            "were measured with others. Time / main: over the time of the same cell and method with those, "
            "not interleaved, so that the state of the machine is in the ratio."
        ),
        Table(HEADER, tuple(rows), left=3),
    ]
