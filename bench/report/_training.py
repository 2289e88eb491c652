"""The tables of the main job in full: the networks, and how their training went."""

from __future__ import annotations

import math

from .._cells import distinct, where
from .._numbers import NONE, count, error, number, share
from .._tables_io import Row
from ..schema import TABLES
from ._document import Block, Heading, Paragraph, Table, code, literal

COUNTS = ("epochs", "epochs_planned", "inference_samples", "train_samples", "val_samples", "test_samples")
HEADER = (
    "network",
    "epochs",
    "seconds",
    "first val MSE",
    "best val MSE",
    "last val MSE",
    "optimum",
    "last rate",
)


def networks_in_full(rows: list[Row]) -> list[Block]:
    """Every column of the table as a row, a column for each network."""
    names = [name for name in TABLES["networks"].all if name != "network"]
    body = tuple((code(name), *(_cell(name, row[name]) for row in rows)) for name in names)
    return [
        Heading(3, "Networks, every column"),
        Table(("column", *(code(row["network"]) for row in rows)), body),
    ]


def training(rows: list[Row]) -> list[Block]:
    """The first, best and last epoch of each network; every epoch is in the CSV file."""
    body = tuple(_summary(where(rows, network=name)) for name in distinct(rows, "network"))
    return [
        Heading(3, "Training"),
        Paragraph("Every epoch is in training.csv."),
        Table(HEADER, body),
    ]


def _cell(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return literal(value) or NONE
    if name in COUNTS:
        return count(value)
    if name.endswith("violation"):
        return error(value)
    return share(value) if name.endswith("share") else number(value)


def _summary(rows: list[Row]) -> tuple[str, ...]:
    rows = sorted(rows, key=lambda row: row["epoch"])
    last = rows[-1]
    best = min((row["val_mse"] for row in rows if math.isfinite(row["val_mse"])), default=math.nan)
    return (
        code(last["network"]),
        str(last["epoch"]),
        number(last["seconds"]),
        number(rows[0]["val_mse"]),
        number(best),
        number(last["val_mse"]),
        number(last["optimum_val_mse"]),
        number(last["learning_rate"]),
    )
