"""The tables of networks trained end to end: training, networks, digits."""

from __future__ import annotations

from ._kinds import Table, count, flag, number, table_schema, text

MSE = "mean squared error"

TRAINING = Table(
    "training",
    "a network after an epoch",
    table_schema(
        {
            "network": text("the network's name"),
            "epoch": count("epochs done; 0 is before training"),
            "seconds": number("training time so far, evaluation left out", "s", at_least=0),
            "train_mse": number(f"{MSE} on the training samples", at_least=0),
            "val_mse": number(f"{MSE} on the validation samples", at_least=0),
            "optimum_val_mse": number(f"{MSE} of the exact projection, on the same samples", at_least=0),
            "box_scaling": flag("whether outputs are scaled into the box"),
            "learning_rate": number("of the optimiser", at_least=0),
        },
        key=("network", "epoch"),
    ),
)
NETWORKS = Table(
    "networks",
    "a trained network on the test samples",
    table_schema(
        {
            "network": text("the network's name"),
            "data": text("where the digits come from"),
            "train_samples": number("images trained on", at_least=0),
            "val_samples": number("images for validation", at_least=0),
            "test_samples": number("images for the test", at_least=0),
            "epochs": number("epochs done", at_least=0),
            "epochs_planned": number("epochs asked for", at_least=0),
            "stopped": text("why training ended", empty=True),
            "train_seconds": number("training time", "s", at_least=0),
            "projection": text("the projection behind the network, if it has one", empty=True),
            "val_mse": number(f"{MSE} on the validation samples", at_least=0),
            "optimum_val_mse": number(f"{MSE} of the exact projection there", at_least=0),
            "test_mse": number(f"{MSE} on the test samples", at_least=0),
            "optimum_test_mse": number(f"{MSE} of the exact projection there", at_least=0),
            "inference_ms": number("median time of one call on all test samples", "ms", at_least=0),
            "inference_ms_q25": number("lower quartile of the same", "ms", at_least=0),
            "inference_ms_q75": number("upper quartile of the same", "ms", at_least=0),
            "inference_samples": number("images in that call", at_least=0),
            "us_per_sample": number("its median by the number of images", "us", at_least=0),
            "violation": number("largest violation of any constraint by an output, in float64"),
            "cone_violation": number("the same, of the cone's rows"),
            "box_violation": number("the same, of the box"),
            "infeasible_share": number("outputs with any violation at all", "share", 0, 1),
            "feasible": flag("whether no output is farther outside than rounding allows"),
        },
        key=("network",),
    ),
)
DIGITS = Table(
    "digits",
    "an image; its pixels follow as p0, p1, ..., row by row, from -1 to 1",
    table_schema(
        {
            "panel": text("input, projection, or the network whose output it is"),
            "index": count("of the image among the test samples"),
            "label": text("the digit that it shows", empty=True),
        },
        key=("panel", "index"),
    ),
    pixels=True,
)
