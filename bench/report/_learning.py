"""The training comparison: what every method reached on every task, and why the published layer is behind."""

from __future__ import annotations

import math

from .._cells import distinct, ok, where
from .._numbers import NONE, count, error, interval, number, share, times
from .._tables_io import Row, Tables
from ..experiments.learning.methods import REFERENCE
from ..plots.ablation import ANCHORS
from ._document import Block, Heading, Paragraph, Table, code, literal
from ._pictures import Pictures

COMMAND = "python -m bench run learning"
HEADER = (
    "method", "test loss (95 %)", "minus projection at test time",
    "validation loss at equal time, minus the same", "loss before projection", "largest violation",
    "time an epoch / the same", "peak MB", "gradient norm (largest)", "active", "rate",
)  # fmt: skip


def learning(tables: Tables, pictures: Pictures) -> list[Block]:
    """A table a task, the ablation, the learning rates."""
    rows = tables.find("learned")
    if not rows:
        return [Heading(3, "Training comparison"), Paragraph(f"Not measured yet: `{COMMAND}`.")]
    compared = [row for row in rows if not row["changes"]]
    blocks: list[Block] = [
        Heading(3, "Training comparison"),
        Paragraph(_how(compared)),
        *pictures.of("learned", "learning_curves", "stability"),
    ]
    for task in distinct(compared, "task"):
        blocks += _task(where(compared, task=task))
    return [*blocks, *_ablation(rows, pictures), *_rates(tables.find("learning_rates"))]


def better(row: Row, name: str) -> bool:
    """Whether a paired difference is below 0 with its whole interval."""
    return row[f"{name}_high"] < 0


def worse(row: Row, name: str) -> bool:
    """Whether it is above 0 with its whole interval."""
    return row[f"{name}_low"] > 0


def _how(rows: list[Row]) -> str:
    measured = ok(rows)
    seeds = sorted({int(row["seeds"]) for row in measured})
    return (
        "Every method has the same backbone, `Linear` and its own last step into the set, Adam, and that "
        "learning rate of a shared grid which is best on the validation samples; "
        f"{'/'.join(map(str, seeds))} seeds. Losses are those of feasible outputs: what is not feasible by "
        f"itself is projected exactly first. Differences to `{REFERENCE}` (the unconstrained network, "
        "projected when it is evaluated) are paired by seed; equal time: the validation loss when its "
        "training had ended. Bold: the whole interval is below 0. Violations are of the output itself, over "
        "all epochs and seeds, in float64; an embedded map that can be strict breaks nothing in any epoch, "
        "or its row would say that it failed. Active: outputs with an active inequality. Memory is that of "
        "an epoch, above what was in use."
    )


def _task(rows: list[Row]) -> list[Block]:
    measured, first = ok(rows), rows[0]
    optimum = next((row["optimum_test"] for row in measured if math.isfinite(row["optimum_test"])), None)
    least = "" if optimum is None else f" Least test loss of any feasible output: {number(optimum)}."
    refused = where(rows, status="refused")
    failed = where(rows, status="failed")
    notes = [f"Not for this set: {', '.join(code(row['method']) for row in refused)}."] if refused else []
    notes += [f"{code(row['method'])} failed: {literal(row['reason'])}." for row in failed]
    blocks: list[Block] = [
        Heading(4, f"Task {code(first['task'])}"),
        Paragraph(
            f"Loss: {first['loss_name']}. {count(first['features'])} features, {count(first['rows'])} rows; "
            f"{count(first['train_samples'])} samples to train, {count(first['val_samples'])} to validate, "
            f"{count(first['test_samples'])} to test; {count(first['epochs_planned'])} epochs.{least}"
        ),
        Table(HEADER, tuple(_row(row) for row in measured)),
    ]
    return [*blocks, Paragraph(" ".join(notes))] if notes else blocks


def _row(row: Row) -> tuple[str, ...]:
    stopped = "" if row["stopped"] == "all epochs" else f" ({count(row['epochs'])} epochs)"
    weight = f", weight {row['weight']:g}" if row["weight"] else ""
    return (
        code(row["method"]) + stopped,
        with_ends(row, "test_loss"),
        NONE if row["method"] == REFERENCE else _difference(row, "test_difference"),
        NONE if row["method"] == REFERENCE else _difference(row, "difference_at_time"),
        number(row["raw_test_loss"]),
        error(row["violation"]),
        times(row["relative_time"]),
        number(row["peak_mb"]),
        f"{number(row['gradient_norm'])} ({number(row['gradient_norm_max'])})",
        share(row["active_share"]),
        f"{row['learning_rate']:g}{weight}",
    )


def with_ends(row: Row, name: str) -> str:
    """A mean over seeds with its interval."""
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"], number)


def _difference(row: Row, name: str) -> str:
    text = with_ends(row, name)
    return f"**{text}**" if better(row, name) else text


def _ablation(rows: list[Row], pictures: Pictures) -> list[Block]:
    """One line a variant, one column a task."""
    variants = [row for row in rows if row["changes"]]
    if not variants:
        return []
    tasks = distinct(variants, "task")
    anchors = [row for row in rows if row["method"] in ANCHORS and row["task"] in tasks]
    lines = []
    for name in distinct([*anchors, *variants], "method"):
        mine = where([*anchors, *variants], method=name)
        changes = mine[0]["changes"] or ANCHORS[name]
        lines.append((code(name), literal(changes), *(_excess(where(mine, task=task)) for task in tasks)))
    return [
        Heading(3, "Why the published layer is behind"),
        Paragraph(
            "Validation loss above the least feasible one, after training at the best learning rate, mean "
            "of the seeds and 95 % interval. Each variant changes the published layer (BatchNorm, weights "
            "uniform in +-1/784, absolute values, two coefficients a line) as it says."
        ),
        *pictures.of("ablation"),
        Table(("variant", "change", *(code(task) for task in tasks)), tuple(lines), left=2),
    ]


def _excess(rows: list[Row]) -> str:
    if not rows or rows[0]["status"] != "ok":
        return NONE
    row = rows[0]
    least = row["optimum_val"] if math.isfinite(row["optimum_val"]) else 0.0
    value, low, high = (row[f"val_loss{end}"] - least for end in ("", "_low", "_high"))
    return interval(value, low, high, number)


def _rates(rows: list[Row]) -> list[Block]:
    """One line a method and weight, one column a learning rate, for each task."""
    if not rows:
        return []
    rates = sorted(distinct(rows, "learning_rate"))
    lines = []
    for task in distinct(rows, "task"):
        for method in distinct(where(rows, task=task), "method"):
            mine = where(rows, task=task, method=method)
            for weight in distinct(mine, "weight"):
                cells = (
                    next(
                        (number(r["val_loss"]) for r in where(mine, weight=weight, learning_rate=rate)), NONE
                    )
                    for rate in rates
                )
                name = code(method) + (f", weight {weight:g}" if weight else "")
                lines.append((code(task), name, *cells))
    return [
        Heading(3, "Learning rates"),
        Paragraph("Validation loss of the first seed in the end at each learning rate of the shared grid."),
        Table(("task", "method", *(f"{rate:g}" for rate in rates)), tuple(lines), left=2),
    ]
