"""The networks of the main job: how well they learn, what inference costs, how feasible it is."""

from __future__ import annotations

import math

from .._numbers import count, error, interval, number, share, times
from .._tables_io import COMMAND, Row, Tables
from ._document import Block, Paragraph, Table, code, literal

HEADER = (
    "network", "epochs", "test MSE", "optimum", "MSE / optimum", "inference over the split, ms (quartiles)",
    "µs a sample", "x faster than the slowest", "largest violation", "infeasible",
)  # fmt: skip


def networks(tables: Tables) -> list[Block]:
    """One row a network in the table's order."""
    rows = tables.find("networks")
    if not rows:
        return [Paragraph(f"No network trained yet: `{COMMAND}` trains them.")]
    slowest = max((row["us_per_sample"] for row in rows if row["us_per_sample"] > 0), default=math.nan)
    return [
        Table(HEADER, tuple(_row(row, slowest) for row in rows)),
        Paragraph(
            f"{_data(rows)} Optimum: the error of the true projection of the same inputs. Inference: the "
            "whole test split, projection at test time included where the network has one. A network that "
            "promises nothing may come below the optimum, outside the set."
        ),
    ]


def _row(row: Row, slowest: float) -> tuple[str, ...]:
    optimum, time = row["optimum_test_mse"], row["us_per_sample"]
    return (
        code(row["network"])
        + (f" ({code(row['projection'])})" if row["projection"] else "")
        + (" (promises nothing)" if row["feasible"] == 0 else ""),
        _epochs(row),
        number(row["test_mse"]),
        number(optimum),
        f"{row['test_mse'] / optimum:.3f}"
        if optimum > 0 and math.isfinite(row["test_mse"])
        else number(None),
        interval(row["inference_ms"], row["inference_ms_q25"], row["inference_ms_q75"], number),
        number(time),
        times(slowest / time if time > 0 else math.nan),
        error(row["violation"]),
        share(row["infeasible_share"]),
    )


def _epochs(row: Row) -> str:
    """How far the training came, and why it went no further."""
    text = f"{count(row['epochs'])} of {count(row['epochs_planned'])}"
    return f"{text}, {literal(row['stopped'])}" if row["stopped"] else text


def _data(rows: list[Row]) -> str:
    """The data sets with their splits, in a sentence each."""
    splits = dict.fromkeys(
        (row["data"], *(count(row[f"{part}_samples"]) for part in ("train", "val", "test"))) for row in rows
    )
    return " ".join(
        f"Data {code(data)}: {train} digits to train, {val} to validate, {test} to test."
        for data, train, val, test in splits
    )
