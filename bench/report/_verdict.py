"""The verdict in sentences: how much faster, and every cell where projection wins."""

from __future__ import annotations

from .._cells import (
    BATCH,
    PROBLEM,
    best_projection,
    distinct,
    failures,
    main_cell,
    main_dtype,
    ok,
    places,
    plain_maps,
    where,
)
from .._numbers import number, speedup, times
from .._tables_io import COMMAND, Row, Tables
from ._document import Block, Bullets, Paragraph, code

WORDS = {"timeout": "timed out"}


def verdict(tables: Tables) -> list[Block]:
    """Sentences about the main cell, then the cells of the whole table where a projection beats a map."""
    rows = tables.find("inference")
    if not ok(rows):
        return [Paragraph(f"No measurement yet: `{COMMAND}` makes one.")]
    return [*_main(main_cell(rows)), *_losses(rows), *_silent(rows)]


def _main(cell: list[Row]) -> list[Block]:
    maps = sorted(ok(plain_maps(where(cell, role="embedded"))), key=lambda row: row["us_per_sample"])
    if not maps:
        return [Paragraph(f"No embedded method has a number on {PROBLEM} at batch {BATCH}.")]
    best = best_projection(cell)
    place = f"On {PROBLEM}, batch {BATCH}, {main_dtype(cell)}"
    fastest = f"where {code(best)} is the fastest projection" if best else "where no projection reached 1e-6"
    return [Paragraph(f"{place}, {fastest}: {'; '.join(_sentence(row, best) for row in maps)}.")]


def _sentence(row: Row, best: str) -> str:
    words = [speedup(row["speedup_osqp"], "`osqp`")]
    if best not in ("", "osqp"):
        words.append(speedup(row["speedup_best"], code(best)))
    return f"{code(row['method'])} takes {number(row['us_per_sample'])} µs a sample, {' and '.join(words)}"


def _losses(rows: list[Row]) -> list[Block]:
    """Where `speedup_best < 1`, cell by cell, with both times."""
    maps = ok(where(rows, role="embedded"))
    lost = [row for row in maps if row["speedup_best"] < 1]
    compared = sum(row["speedup_best"] > 0 for row in maps)
    if not compared:
        return [Paragraph("No embedded method could be compared with a projection that reached 1e-6.")]
    if not lost:
        return [
            Paragraph(
                f"In none of the {compared} comparisons of the table is the fastest projection faster than "
                "an embedded method."
            )
        ]
    several = len(distinct(rows, "dtype")) > 1
    cells: dict[tuple, list[Row]] = {}
    for row in lost:
        cells.setdefault((row["problem"], row["batch"], row["dtype"]), []).append(row)
    text = f"**The fastest projection beats an embedded method in {len(lost)} of {compared} comparisons:**"
    return [Paragraph(text), Bullets(tuple(_loss(rows, cell, several) for cell in cells.values()))]


def _loss(rows: list[Row], lost: list[Row], several: bool) -> str:
    problem, batch, dtype, best = (lost[0][name] for name in ("problem", "batch", "dtype", "best_projection"))
    cell = where(rows, problem=problem, batch=batch, dtype=dtype, method=best)
    time = f" takes {number(cell[0]['us_per_sample'])} µs a sample" if cell else ""
    place = f"{problem}, batch {batch}" + (f", {dtype}" if several else "")
    return f"{place}: {code(best)}{time}; {', '.join(_loser(row) for row in lost)}"


def _loser(row: Row) -> str:
    close = "; the 95 % interval includes 1" if row["speedup_best_high"] >= 1 else ""
    return (
        f"{code(row['method'])} {number(row['us_per_sample'])} µs "
        f"({times(1 / row['speedup_best'])} times slower{close})"
    )


def _silent(rows: list[Row]) -> list[Block]:
    """Where an embedded method has no answer, which no speed-up shows; equal gaps on one line."""
    found: dict[tuple[str, str], list[str]] = {}
    for gap in failures(plain_maps(where(rows, role="embedded"))):
        found.setdefault((gap.method, gap.status), []).extend(gap.problems)
    if not found:
        return []
    gaps: dict[str, list[str]] = {}
    for (method, status), problems in found.items():
        named = places(list(dict.fromkeys(problems)), distinct(rows, "problem"))
        gaps.setdefault(f"{WORDS.get(status, status)} on {named}", []).append(code(method))
    items = (f"{', '.join(methods)} {text}" for text, methods in gaps.items())
    return [Paragraph("Without an answer, so in no comparison:"), Bullets(tuple(items))]
