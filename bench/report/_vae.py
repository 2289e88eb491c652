"""The autoencoders: ELBO of feasible images, violations, what samples cost, and constraints on codes."""

from __future__ import annotations

import math

from .._cells import ok, where
from .._numbers import count, error, interval, number, share, speedup
from .._tables_io import Row, Tables
from ._document import Block, Heading, Paragraph, Table, code, literal
from ._pictures import Pictures

COMMAND = "python -m bench run vae"
QUALITY = (
    "method", "validation ELBO (95 %)", "minus the reference", "test ELBO (95 %)", "minus the reference",
    "reconstruction", "KL", "training, s", "rate",
)  # fmt: skip
FEASIBLE = (
    "method", "reconstructions: largest violation", "infeasible", "samples: largest violation", "infeasible",
    "strict: reconstructions", "infeasible", "strict: samples", "infeasible",
)  # fmt: skip
TIMES = (
    "method", "s for 10 000 samples (quartiles)", "x osqp", "x best", "strict, s for 10 000 samples",
)  # fmt: skip
CUT = 1
"""Decimals of a nat: the intervals are wider."""


def vae(tables: Tables, pictures: Pictures) -> list[Block]:
    """Quality, feasibility and time, of images and then of codes."""
    rows = tables.find("vae")
    if not rows:
        return [Heading(3, "Autoencoders"), Paragraph(f"Not measured yet: `{COMMAND}`.")]
    measured = ok(rows)
    images, codes = where(measured, judged="images"), where(measured, judged="codes")
    blocks: list[Block] = [Heading(3, "Autoencoders"), Paragraph(_how(rows[0])), *pictures.of("vae_elbo")]
    if images:
        blocks += [Heading(4, "Images in the set"), Paragraph(_answer(images))]
        blocks += [Table(QUALITY, tuple(_quality(row) for row in _once(images))), *pictures.of("vae_samples")]
        blocks += [Table(FEASIBLE, tuple(_feasible(row) for row in images if _judged(row)))]
        blocks += [Table(TIMES, tuple(_times(row) for row in images)), Paragraph(_timing(images))]
    if codes:
        blocks += [Heading(4, "Codes in a set"), Paragraph(CODES), *pictures.of("vae_traversals")]
        blocks += [Table(QUALITY, tuple(_quality(row) for row in codes))]
        blocks += [Table(FEASIBLE, tuple(_feasible(row) for row in codes))]
    failed = where(rows, status="failed")
    return blocks + [Paragraph(f"{code(row['method'])} failed: {literal(row['reason'])}.") for row in failed]


CODES = (
    "The decoder's image is free here, its code is z = c(u) with a Gaussian u and c a map into the set. The "
    "KL is that of u, an upper bound of the one of z (data processing inequality) that is exact where c is "
    "injective, so the ELBO remains a lower bound. `exponential_code` has densities on the orthant itself, "
    "a Weibull posterior and an exponential prior, and an exact KL. Violations are of the codes."
)


def _how(row: Row) -> str:
    return (
        f"Data {code(row['data'])}; dense encoder and decoder with {count(row['hidden'])} hidden units, a "
        f"code of {count(row['latent'])} dimensions, {count(row['epochs'])} epochs of Adam in batches of "
        f"{count(row['batch_size'])}, the learning rate of a shared grid that is best for validation. "
        f"Gaussian likelihood with one standard deviation for all, {number(row['sigma'])} a pixel: about the "
        "error of the exact projection of the digits, which are not in the set themselves. ELBO in nats "
        f"an image, with {count(row['samples'])} draws of the posterior, of the images that a method shows, "
        "after projection where it projects. Differences are paired by seed; bold: the whole interval is "
        "above 0."
    )


def _answer(rows: list[Row]) -> str:
    """Whether the best embedded method is as good as the projection at test time, in numbers."""
    embedded = [row for row in where(rows, role="embedded") if math.isfinite(row["val_elbo"])]
    projected = where(rows, role="projection")
    if not embedded or not projected:
        return "Nothing to compare yet."
    best = max(embedded, key=lambda row: row["val_elbo"])
    low, high = best["val_difference_low"], best["val_difference_high"]
    difference = f"{best['val_difference']:+.{CUT}f} nats"
    if not math.isfinite(low):
        certain = ", with one seed and so without an interval"
    else:
        certain = f" (95 %: {low:+.{CUT}f} to {high:+.{CUT}f}, {count(best['seeds'])} seeds)"
    verdict = "reaches" if best["val_difference"] >= 0 else "does not reach"
    return (
        f"The best embedded method, {code(best['method'])}, {verdict} the validation ELBO of the projection "
        f"at test time: {difference}{certain}. Its samples are {speedup(best['speedup_osqp'], 'osqp')}, "
        f"{speedup(best['speedup_best'], best['best_projection'] or 'the best projection')}."
    )


def _once(rows: list[Row]) -> list[Row]:
    """One row a method."""
    return list({row["method"]: row for row in reversed(rows)}.values())[::-1]


def _judged(row: Row) -> bool:
    return math.isfinite(row["sample_violation"])


def _nats(value: float | None) -> str:
    return number(None) if value is None or not math.isfinite(value) else f"{value:.{CUT}f}"


def _quality(row: Row) -> tuple[str, ...]:
    cells = [_named(row)]
    for split in ("val", "test"):
        for what in ("elbo", "difference"):
            name = f"{split}_{what}"
            text = interval(row[name], row[f"{name}_low"], row[f"{name}_high"], _nats)
            if what == "difference" and row["method"] == row["reference"]:
                text = number(None)
            elif what == "difference" and row[f"{name}_low"] > 0:
                text = f"**{text}**"
            cells.append(text)
    return (
        *cells,
        _nats(row["val_reconstruction"]),
        _nats(row["val_divergence"]),
        number(row["train_seconds"]),
        f"{row['learning_rate']:g}",
    )


def _named(row: Row) -> str:
    """The method, and the projection where a row is about it."""
    return code(row["method"]) + (" (promises nothing)" if row["role"] == "yardstick" else "")


def _feasible(row: Row) -> tuple[str, ...]:
    cells = [_named(row)]
    for strict in ("", "strict_"):
        for what in ("reconstruction", "sample"):
            cells.append(error(row[f"{strict}{what}_violation"]))
            cells.append(share(row[f"{strict}{what}_infeasible_share"]))
    return tuple(cells)


def _times(row: Row) -> tuple[str, ...]:
    solver = f" ({code(row['projection'])})" if row["projection"] else ""
    return (
        _named(row) + solver,
        interval(row["seconds_10k"], row["seconds_10k_q25"], row["seconds_10k_q75"], number),
        *(
            interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
            for name in ("speedup_osqp", "speedup_best")
        ),
        number(row["strict_seconds_10k"]),
    )


def _timing(rows: list[Row]) -> str:
    best = rows[0]["best_projection"]
    named = code(best) if best else "none"
    return (
        "Times are of decoding draws of the prior, the projection included, all methods in turns. Over osqp "
        f"and over the fastest projection of those installed, here {named}; violations of the projection at "
        "test time are those with osqp. Infeasible counts any violation above exactly 0."
    )
