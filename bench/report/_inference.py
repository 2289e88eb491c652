"""The whole inference table, problem by problem."""

from __future__ import annotations

import math

from .._cells import distinct, where
from .._columns import LEGEND
from .._numbers import NONE, count, error, interval, number, share
from .._tables_io import Row
from ._document import Block, Bullets, Grouped, Heading, code, literal

HEADER = (
    "method", "role", "dtype", "batch", "status", "us a sample", "rounds", "solver us", "x osqp", "x best",
    "x Linear", "x floor", "x plain", "set-up ms", "peak MB", "violation", "infeasible", "distance",
    "within 1e-6", "excess",
)  # fmt: skip
FILTERS = ("problem", "role", "dtype", "batch")
RATIOS = ("speedup_osqp", "speedup_best", "ratio_linear", "ratio_floor")


def inference(rows: list[Row]) -> list[Block]:
    """Every row, problem by problem; one that failed, timed out or was refused has its reason."""
    parts = []
    for problem in distinct(rows, "problem"):
        mine = [row for row in where(rows, problem=problem) if not _said(row, rows)]
        title = f"{problem} (n = {mine[0]['n']}, m = {mine[0]['m']})"
        parts.append((title, problem, tuple(_row(row) for row in mine)))
    return [
        Heading(3, "Inference, problem by problem"),
        legend(),
        Grouped("problem", HEADER, tuple(parts), left=5, filters=FILTERS, label="results"),
    ]


def _said(row: Row, rows: list[Row]) -> bool:
    """Whether a strict variant is refused or times out where its plain map does: one line says it for all."""
    same = {name: row[name] for name in ("problem", "batch", "dtype", "status")}
    return row["status"] in ("refused", "timeout") and bool(where(rows, **same, method=row["plain"]))


def legend() -> Bullets:
    """What the columns mean."""
    return Bullets(tuple(f"**{name}**: {text}" for name, text in LEGEND.items()))


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
