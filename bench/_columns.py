"""The columns of the result tables, and what each of them means."""

from __future__ import annotations

from dataclasses import dataclass

CELL = ("problem", "family", "method", "role", "device", "dtype", "status")
SIZES = ("n", "m", "batch")
TIMES = ("us_per_sample", "us_q25", "us_q75", "rounds")
SUCCESS = ("success_1e3", "success_1e6", "success_1e9")
KEY = ("problem", "method", "batch", "dtype")

ROLES = ("embedded", "projection", "peer", "yardstick")
STATUSES = ("ok", "skipped", "refused", "failed", "timeout")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by kind; other columns may follow and are ignored."""

    names: tuple[str, ...]
    """Text, never empty."""
    counts: tuple[str, ...] = ()
    """Whole numbers, never empty."""
    text: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    """True or False; read as 1.0, 0.0 or NaN."""
    key: tuple[str, ...] = ()
    """The columns that no two rows share."""
    pixels: bool = False
    """Whether columns p0, p1, ... follow, the pixels of a square image."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that must be there."""
        return self.names + self.counts + self.text + self.numbers + self.flags


TABLES = {
    "inference": Columns(
        names=CELL,
        counts=SIZES,
        text=("reason", "plain", "best_projection"),
        numbers=(
            *TIMES, "solver_us_per_sample",
            "speedup_osqp", "speedup_osqp_low", "speedup_osqp_high",
            "speedup_best", "speedup_best_low", "speedup_best_high",
            "ratio_linear", "ratio_linear_low", "ratio_linear_high",
            "ratio_floor", "ratio_floor_low", "ratio_floor_high",
            "ratio_plain", "ratio_plain_low", "ratio_plain_high",
            "setup_ms", "peak_mb", "violation", "infeasible_share", "broken_share", "distance", "excess",
            *SUCCESS,
        ),
        flags=("stable",),
        key=KEY,
    ),
    "training_step": Columns(
        names=CELL,
        counts=SIZES,
        text=("reason",),
        numbers=(
            *TIMES, "ratio_linear", "ratio_linear_low", "ratio_linear_high",
            "setup_ms", "peak_mb", "violation", "infeasible_share",
        ),
        flags=("stable",),
        key=KEY,
    ),
    "planning": Columns(
        names=CELL, counts=SIZES, text=("reason",), numbers=(*TIMES, "peak_mb"), flags=("stable",), key=KEY
    ),
    "accuracy": Columns(
        names=CELL,
        counts=SIZES,
        text=("reason",),
        numbers=(
            *TIMES, "solver_us_per_sample", "speedup_osqp", "speedup_osqp_low", "speedup_osqp_high",
            "setup_ms", "violation", "distance", *SUCCESS,
        ),
        flags=("stable",),
        key=KEY,
    ),
    "robustness": Columns(
        names=("method", "role", "input", "outcome"),
        text=("origin", "reason"),
        numbers=("violation", "distance"),
        key=("method", "input"),
    ),
    "training": Columns(
        names=("network",),
        counts=("epoch",),
        numbers=("seconds", "train_mse", "val_mse", "optimum_val_mse", "learning_rate"),
        flags=("box_scaling",),
        key=("network", "epoch"),
    ),
    "networks": Columns(
        names=("network", "data"),
        text=("stopped", "projection"),
        numbers=(
            "train_samples", "val_samples", "test_samples", "epochs", "epochs_planned", "train_seconds",
            "val_mse", "optimum_val_mse", "test_mse", "optimum_test_mse",
            "inference_ms", "inference_ms_q25", "inference_ms_q75", "inference_samples", "us_per_sample",
            "violation", "cone_violation", "box_violation", "infeasible_share",
        ),
        flags=("feasible",),
        key=("network",),
    ),
    "digits": Columns(
        names=("panel",), counts=("index",), text=("label",), key=("panel", "index"), pixels=True
    ),
}  # fmt: skip

LEGEND = {
    "problem": "family and size n x m: n features, m constraints",
    "role": "embedded: a map into the set, part of the network; projection: nearest point of the set, "
    "afterwards; peer: another paper's layer, in its own process; yardstick: a plain Linear(n, n), and the "
    "floor, the least that looks at every constraint",
    "batch": "points in one call",
    "status": "ok, skipped (not installed), refused (does not apply to this set), failed or timeout",
    "us a sample": "time of one call, tensor in to tensor out, divided by the batch: median [quartiles]; "
    r"\* marks a timing that was not stable",
    "rounds": "interleaved calls that were timed",
    "solver us": "the part of the time inside the solver, where the solver is not torch",
    "x osqp": "time of `osqp` / time of the method, in the same run [95 % interval]; below 1: osqp is faster",
    "x best": "the same over the fastest projection of the cell that reached 1e-6, which is named",
    "x Linear": "time of the method / time of Linear(n, n) [95 % interval]",
    "x floor": "time of the method / time of `X @ A.T` and `X.clone()`, the least that looks at every "
    "constraint and returns a vector [95 % interval]",
    "x plain": "strict variants: time / time of the map without the guarantee [95 % interval]",
    "set-up ms": "from the constraints to the first call being possible",
    "peak MB": "peak memory of the call",
    "violation": "largest max(A x - b) of the answers, in float64, from the returned numbers",
    "infeasible": "share of the answers with any violation at all, rounding included; decided exactly",
    "distance": "projections and peers: largest relative distance to the exact projection",
    "within 1e-6": "projections and peers: share of the answers within 1e-6 of the exact projection and of "
    "the set, relative",
    "excess": "embedded maps that take a point to project: how far they move it, as a multiple of the "
    "distance to the exact projection (median); 1 is nearest",
}
"""The columns of the printed tables, in Markdown."""
