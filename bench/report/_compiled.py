"""Eager against `torch.compile` and CUDA graphs: the same map, called as it is, compiled and captured."""

from __future__ import annotations

from .._cells import where
from .._numbers import NONE, interval, number, times
from .._tables_io import Row
from ._document import Block, Heading, Paragraph, Table, code, literal

HEADER = ("problem", "method", "dtype", "batch", "status", "eager, us", "{0}, us", "eager / {0}", "set-up ms")
KINDS = {
    "compiled": (
        "Eager and compiled",
        "Time a sample, median [quartiles], of a map as it is and after `torch.compile`, interleaved in "
        "one run; above 1 in the ratio of the medians compiling pays. Set-up: of the compiled map, "
        "compilation included.",
    ),
    "graph": (
        "Eager and in a CUDA graph",
        "Time a sample, median [quartiles], of a map as it is and replayed as a captured graph of its "
        "kernels, interleaved in one run. Set-up: of the map; the capture is part of the first call.",
    ),
}
"""By the ending of the method's name: heading and text."""


def compiled(rows: list[Row]) -> list[Block]:
    """One row a compiled or captured map with the eager one of the same cell; nothing without rows."""
    blocks: list[Block] = []
    for kind, (title, text) in KINDS.items():
        lines = [_row(row, rows, kind) for row in rows if row["method"].endswith(f"_{kind}")]
        if lines:
            header = tuple(name.format(kind) for name in HEADER)
            blocks += [Heading(3, title), Paragraph(text), Table(header, tuple(lines), left=5)]
    return blocks


def _row(row: Row, rows: list[Row], kind: str) -> tuple[str, ...]:
    name = row["method"].removesuffix(f"_{kind}")
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
