"""The tables of the training comparison: learning, learned, learning_rates."""

from __future__ import annotations

import pandera.pandas as pa

from ._kinds import Table, count, flag, number, table_schema, text

COMMAND = "python -m bench run learning"


def _interval(name: str, meaning: str, at_least: float | None = None) -> dict[str, pa.Column]:
    """A mean over seeds and the ends of its interval, as three columns."""
    return {
        name: number(meaning, at_least=at_least),
        f"{name}_low": number(f"lower end of the 95 % interval of {name}"),
        f"{name}_high": number(f"upper end of the 95 % interval of {name}"),
    }


def _method() -> dict[str, pa.Column]:
    return {
        "task": text("the task"),
        "method": text("what follows the backbone"),
        "role": text("its role", allowed=("embedded", "projection")),
        "changes": text("for a variant of the ablation, what it changes", empty=True),
    }


LEARNING = Table(
    "learning",
    "a method on a task after an epoch, over the seeds, at its best learning rate",
    table_schema(
        {
            **_method(),
            "epoch": count("epochs done; 0 is before training"),
            "optimum_val": number("least validation loss of any feasible output, where it is known"),
            **_interval("val_loss", "validation loss of the feasible output, mean over seeds"),
            "seconds": number("training time so far, evaluation left out, mean", "s", at_least=0),
            "train_loss": number("loss seen while training, mean"),
            "raw_val_loss": number("validation loss before any projection, mean"),
            "infeasible_share": number("outputs with any violation before projection, mean", "share", 0, 1),
            "active_share": number("feasible outputs at which an inequality is active, mean", "share", 0, 1),
            "gradient_norm": number("median norm of the gradient in the epoch, mean over seeds", at_least=0),
            "violation": number("largest violation before projection, of any seed, in float64", at_least=0),
            "gradient_norm_max": number("largest norm of the gradient in the epoch, of any seed", at_least=0),
        },
        key=("task", "method", "epoch"),
    ),
    command=COMMAND,
)
LEARNED = Table(
    "learned",
    "a method on a task after training",
    table_schema(
        {
            **_method(),
            "status": text("whether it was trained", allowed=("ok", "refused", "failed")),
            "reason": text("why not", empty=True),
            "loss_name": text("what the loss is"),
            "features": number("n of the set", at_least=1),
            "rows": number("rows of the set, equalities included", at_least=0),
            "train_samples": number("samples trained on", at_least=0),
            "val_samples": number("samples for validation", at_least=0),
            "test_samples": number("samples for the test", at_least=0),
            "batch_size": number("samples a step", at_least=1),
            "learning_rate": number("the best one of those tried, by validation loss", at_least=0),
            "weight": number("the same of the penalty's weight; 0 without a penalty", at_least=0),
            "seeds": number("runs at that learning rate", at_least=1),
            "epochs": number("epochs done, the least of any seed", at_least=0),
            "epochs_planned": number("epochs asked for", at_least=1),
            "stopped": text("why training ended", empty=True),
            "parameters": number("trained weights", at_least=0),
            "strict": flag("whether every inequality holds exactly at evaluation"),
            "feasible": flag("whether the output needs no projection"),
            "optimum_val": number("least validation loss of any feasible output, where it is known"),
            "optimum_test": number("the same on the test samples"),
            **_interval("val_loss", "validation loss of the feasible output in the end, mean over seeds"),
            **_interval("test_loss", "the same on the test samples"),
            **_interval("test_difference", "test_loss minus that of the projection at test time, same seed"),
            **_interval("val_loss_at_time", "validation loss when the projection at test time had ended"),
            **_interval("difference_at_time", "that minus the last one of the projection at test time"),
            "raw_test_loss": number("test loss before any projection, mean"),
            "violation": number(
                "largest violation before projection, of any epoch and seed, in float64", at_least=0
            ),
            "test_violation": number("the same on the test samples in the end", at_least=0),
            "test_infeasible_share": number(
                "test outputs with any violation before projection", "share", 0, 1
            ),
            "train_seconds": number("training time, median over seeds", "s", at_least=0),
            "seconds_per_epoch": number("median time of an epoch", "s", at_least=0),
            "relative_time": number("an epoch's time over that of the projection at test time", at_least=0),
            "peak_mb": number("memory above what was in use before, in an epoch of the first seed", "MB", 0),
            "gradient_norm": number("median norm of the gradient, over epochs and seeds", at_least=0),
            "gradient_norm_max": number("largest norm of the gradient in any step", at_least=0),
            "active_share": number("feasible outputs at which an inequality is active", "share", 0, 1),
        },
        key=("task", "method"),
    ),
    command=COMMAND,
)
LEARNING_RATES = Table(
    "learning_rates",
    "a method on a task with one learning rate and weight, first seed",
    table_schema(
        {
            **_method(),
            "learning_rate": number("of Adam", at_least=0),
            "weight": number("of the penalty; 0 without one", at_least=0),
            "epochs": number("epochs done", at_least=0),
            "val_loss": number("validation loss of the feasible output in the end"),
            "test_loss": number("the same on the test samples"),
        },
        key=("task", "method", "learning_rate", "weight"),
    ),
    command=COMMAND,
)
