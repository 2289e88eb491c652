"""The tables of the autoencoders: vae, vae_training, vae_images."""

from __future__ import annotations

import pandera.pandas as pa

from ._kinds import Table, count, flag, number, table_schema, text, with_interval

COMMAND = "python -m bench run vae"
NATS = "nat"
SPLITS = {"val": "validation", "test": "test"}
TERMS = {
    "elbo": "evidence lower bound of the {} images, after a projection where there is one, mean over seeds",
    "reconstruction": "its first term on the {} images, E log p(y | x), constant included",
    "divergence": "its second term there, KL(q || p) of the code, or the upper bound of it",
}
JUDGED = {"reconstruction": "of test images, reconstructed", "sample": "of samples of the prior"}


def _mean(name: str, meaning: str, unit: str = "1") -> dict[str, pa.Column]:
    """A mean over seeds and the ends of its interval, as three columns."""
    return {
        name: number(meaning, unit),
        f"{name}_low": number(f"lower end of the 95 % interval of {name}", unit),
        f"{name}_high": number(f"upper end of the 95 % interval of {name}", unit),
    }


def _terms() -> dict[str, pa.Column]:
    columns: dict[str, pa.Column] = {}
    for split, images in SPLITS.items():
        for term, meaning in TERMS.items():
            columns |= _mean(f"{split}_{term}", meaning.format(images), NATS)
        columns |= _mean(
            f"{split}_difference",
            f"{split}_elbo minus that of the reference, same seed; above 0: better",
            NATS,
        )
    return columns


def _judged() -> dict[str, pa.Column]:
    columns: dict[str, pa.Column] = {}
    for prefix, strict in (("", ""), ("strict_", ", the strict version of the same weights")):
        for name, what in JUDGED.items():
            columns[f"{prefix}{name}_violation"] = number(
                f"largest violation {what}{strict}, of any seed, in float64", at_least=0
            )
            columns[f"{prefix}{name}_infeasible_share"] = number(
                f"those with any violation at all, {what}{strict}; decided exactly", "share", 0, 1
            )
    return columns


def _seconds(prefix: str, what: str) -> dict[str, pa.Column]:
    name = f"{prefix}seconds_10k"
    return {
        name: number(
            f"median time of 10 000 samples{what}, scaled from the images of a round", "s", at_least=0
        ),
        f"{name}_q25": number("lower quartile of the same", "s", at_least=0),
        f"{name}_q75": number("upper quartile of the same", "s", at_least=0),
    }


VAE = Table(
    "vae",
    "an autoencoder after training; with a projection at test time once for each that it was timed with",
    table_schema(
        {
            "method": text("the method's name"),
            "projection": text("the projection behind it, if it has one", empty=True),
            "fastest": flag("whether that projection was the fastest of those tried"),
            "role": text("its role", allowed=("embedded", "projection", "yardstick")),
            "judged": text("what has to be in a set", allowed=("images", "codes")),
            "reference": text("the method that its ELBO is compared with"),
            "status": text("whether it was trained", allowed=("ok", "failed")),
            "reason": text("why not", empty=True),
            "data": text("where the digits come from"),
            "seeds": number("trainings at that learning rate", at_least=1),
            "learning_rate": number("the best one of those tried, by validation ELBO", at_least=0),
            "epochs": number("epochs of a training", at_least=1),
            "batch_size": number("images a step", at_least=1),
            "latent": number("dimensions of the code", at_least=1),
            "hidden": number("width of the hidden layers", at_least=1),
            "samples": number("draws of the posterior for each image when an ELBO is judged", at_least=1),
            "sigma": number("standard deviation of the likelihood of a pixel", at_least=0),
            "parameters": number("trained weights", at_least=0),
            **_mean("train_seconds", "training time, evaluation left out, mean over seeds", "s"),
            **_terms(),
            **_judged(),
            **_seconds("", ""),
            **_seconds("strict_", ", the strict version"),
            **with_interval("speedup_osqp", "time of the projection at test time with osqp / time of this"),
            "best_projection": text("the fastest projection of those tried", empty=True),
            **with_interval("speedup_best", "the same over that projection"),
        },
        key=("method", "projection"),
    ),
    command=COMMAND,
)
VAE_TRAINING = Table(
    "vae_training",
    "an autoencoder after an epoch, at its best learning rate",
    table_schema(
        {
            "method": text("the method's name"),
            "epoch": count("epochs done; 0 is before training"),
            "seeds": number("trainings that came to it", at_least=1),
            "learning_rate": number("the largest one of the schedule", at_least=0),
            **_mean("seconds", "training time so far, evaluation left out, mean over seeds", "s"),
            **_mean("train_elbo", "ELBO seen while training, before any projection", NATS),
            **_mean("val_elbo", "ELBO of the validation images, after a projection where there is one", NATS),
            **_mean("val_reconstruction", "its first term", NATS),
            **_mean("val_divergence", "its second term", NATS),
        },
        key=("method", "epoch"),
    ),
    command=COMMAND,
)
VAE_IMAGES = Table(
    "vae_images",
    "an image of the first seed; its pixels follow as p0, p1, ..., row by row, from -1 to 1",
    table_schema(
        {
            "panel": text("input, or the method that made it"),
            "kind": text("what it is", allowed=("reconstruction", "sample", "walk")),
            "row": count("of walks, which of the dimensions that are used most"),
            "column": count("its place in the row"),
            "label": text("of reconstructions, the digit that it shows", empty=True),
        },
        key=("panel", "kind", "row", "column"),
    ),
    pixels=True,
    command=COMMAND,
)
