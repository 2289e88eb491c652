"""The training step: what a constrained layer adds to forward and backward of a linear layer."""

from __future__ import annotations

from .._cells import distinct, main_batch, main_dtype, where
from .._numbers import NONE, error, interval, number
from .._tables_io import COMMAND, Row, Tables
from ._document import Block, Heading, Paragraph, Table, code, literal

HEADER = ("problem", "method", "batch", "status", "us a sample", "x Linear", "peak MB", "violation")


def training_step(tables: Tables) -> list[Block]:
    """One row a method, one column a problem: the time as a multiple of that of Linear(n, n)."""
    rows = tables.find("training_step")
    if not rows:
        return [Paragraph(f"No training step measured yet: `{COMMAND}` measures it.")]
    batch, dtype = main_batch(rows), main_dtype(rows)
    shown = where(rows, batch=batch, dtype=dtype)
    problems = distinct(shown, "problem")
    answering = {row["method"] for row in shown if row["status"] != "refused"}
    body = [
        (code(m), *(_cell(shown, m, p) for p in problems))
        for m in distinct(shown, "method")
        if m in answering
    ]
    others = ", ".join(code(m) for m in distinct(shown, "method") if m not in answering)
    return [
        Table(("training step / that of Linear(n, n)", *problems), tuple(body)),
        *([Paragraph(f"Made for other sets, and refused by these: {others}.")] if others else []),
        Paragraph(
            f"Batch {batch}, {dtype}: forward and backward of Linear(n, k) and the layer after it, k being "
            "the latent features of the layer, without an optimiser, over forward and backward of "
            "Linear(n, n) alone, interleaved in one run; in brackets the 95 % interval, for `linear` the "
            "time a sample."
        ),
    ]


def training_step_in_full(rows: list[Row]) -> list[Block]:
    """Every row with its time, or the reason why there is none."""
    return [
        Heading(3, "Training step, every row"),
        Table(HEADER, tuple(_row(row) for row in rows), left=4),
    ]


def _cell(rows: list[Row], method: str, problem: str) -> str:
    row = next(iter(where(rows, method=method, problem=problem)), None)
    if row is None or row["status"] != "ok":
        return NONE if row is None else row["status"]
    if row["role"] == "yardstick":
        return f"1 ({number(row['us_per_sample'])} µs)"
    return interval(row["ratio_linear"], row["ratio_linear_low"], row["ratio_linear_high"])


def _row(row: Row) -> tuple[str, ...]:
    start = (row["problem"], code(row["method"]), str(row["batch"]))
    if row["status"] != "ok":
        return (*start, f"{row['status']}: {literal(row['reason'])}".rstrip(": "), *[NONE] * 4)
    return (
        *start,
        "ok",
        interval(row["us_per_sample"], row["us_q25"], row["us_q75"], number),
        interval(row["ratio_linear"], row["ratio_linear_low"], row["ratio_linear_high"]),
        number(row["peak_mb"]),
        error(row["violation"]),
    )
