"""The whole inference table, problem by problem, and geometric means across problems."""

from __future__ import annotations

import math

from .._cells import distinct, geometric_mean, ok, plain_maps, where
from .._columns import LEGEND
from .._numbers import NONE, count, error, interval, number, share, times
from .._tables_io import Row
from ._document import Block, Bullets, Heading, Paragraph, Table, code, literal

HEADER = (
    "method", "role", "dtype", "batch", "status", "us a sample", "rounds", "solver us", "x osqp", "x best",
    "x Linear", "x floor", "x plain", "set-up ms", "peak MB", "violation", "infeasible", "distance",
    "within 1e-6", "excess",
)  # fmt: skip
MEANS = ("method", "dtype", "batch", "answered", "x osqp", "x best", "x Linear", "x floor")
RATIOS = ("speedup_osqp", "speedup_best", "ratio_linear", "ratio_floor")


def inference(rows: list[Row]) -> list[Block]:
    """A table for each problem; a row that failed, timed out or was refused has its reason."""
    blocks: list[Block] = [Heading(3, "Inference, problem by problem"), legend()]
    for problem in distinct(rows, "problem"):
        mine = [row for row in where(rows, problem=problem) if not _said(row, rows)]
        blocks.append(Heading(4, f"{problem} (n = {mine[0]['n']}, m = {mine[0]['m']})"))
        blocks.append(Table(HEADER, tuple(_row(row) for row in mine), left=5))
    return blocks


def _said(row: Row, rows: list[Row]) -> bool:
    """Whether a strict variant is refused or times out where its plain map does: one line says it for all."""
    same = {name: row[name] for name in ("problem", "batch", "dtype", "status")}
    return row["status"] in ("refused", "timeout") and bool(where(rows, **same, method=row["plain"]))


def legend() -> Bullets:
    """What the columns mean."""
    return Bullets(tuple(f"**{name}**: {text}" for name, text in LEGEND.items()))


def means(rows: list[Row]) -> list[Block]:
    """Geometric means of the ratios across problems, by method."""
    cells = {(row["method"], row["dtype"], row["batch"]): None for row in plain_maps(rows)}
    return [
        Heading(3, "Geometric means across problems"),
        Paragraph(
            "Means of the ratios over the problems that the method answered; where that is not all of them, "
            "the mean is over an easier set and must not be compared with one over another set. Strict "
            "variants are measured on a few problems only and have a table of their own."
        ),
        Table(MEANS, tuple(_mean(rows, *cell) for cell in cells), left=2),
    ]


def _mean(rows: list[Row], method: str, dtype: str, batch: int) -> tuple[str, ...]:
    mine = where(rows, method=method, dtype=dtype, batch=batch)
    answered = ok(mine)
    ratios = (times(geometric_mean(row[ratio] for row in answered)) for ratio in RATIOS)
    return code(method), dtype, str(batch), f"{len(answered)} of {len(mine)}", *ratios


def _row(row: Row) -> tuple[str, ...]:
    start = (code(row["method"]), row["role"], row["dtype"], str(row["batch"]))
    if row["status"] != "ok":
        reason = f"{row['status']}: {literal(row['reason'])}".rstrip(": ")
        return (*start, reason, *[NONE] * (len(HEADER) - 5))
    return (*start, "ok", *_times(row), *_ratios(row), *_quality(row))


def _times(row: Row) -> tuple[str, ...]:
    time = interval(row["us_per_sample"], row["us_q25"], row["us_q75"], number)
    mark = r" \*" if row["stable"] == 0 else ""
    return time + mark, count(row["rounds"]), number(row["solver_us_per_sample"])


def _ratios(row: Row) -> tuple[str, ...]:
    names = (*RATIOS, "ratio_plain")
    osqp, best, *others = (interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names)
    named = f" {code(row['best_projection'])}" if math.isfinite(row["speedup_best"]) else ""
    return osqp, best + named, *others


def _quality(row: Row) -> tuple[str, ...]:
    return (
        number(row["setup_ms"]),
        number(row["peak_mb"]),
        error(row["violation"]),
        share(row["infeasible_share"]),
        error(row["distance"]),
        share(row["success_1e6"]),
        number(row["excess"]),
    )
