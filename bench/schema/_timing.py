"""The tables of the timing grid: inference, training step, compiled maps, planning, accuracy."""

from __future__ import annotations

import math

import pandera.pandas as pa

from ._kinds import Table, count, flag, number, table_schema, text, with_interval

ROLES = ("embedded", "projection", "peer", "yardstick")
STATUSES = ("ok", "skipped", "refused", "failed", "timeout", "crashed")
CACHES = ("warm", "cold")
KEY = ("problem", "method", "batch", "dtype", "threads", "cache")

CELL = {
    "problem": text("family and size, n x m"),
    "family": text("the family that the problem was drawn from"),
    "n": count("features of the constrained activation"),
    "m": count("inequality constraints"),
    "method": text("the name that `python -m bench list` shows"),
    "role": text(
        "embedded: a map into the set, part of the network; projection: nearest point, afterwards; "
        "peer: another paper's layer; yardstick: what the others are compared with",
        ROLES,
    ),
    "device": text('"cpu", or the name of the CUDA device'),
    "dtype": text("the type of the tensors"),
    "batch": count("points in one call"),
    "status": text(
        "ok; skipped: not installed; refused: does not apply to this set; failed: an error; timeout: over "
        "the limit of the grid; crashed: the process of the method died",
        STATUSES,
    ),
    "reason": text("a sentence about a status that is not ok", empty=True),
}
TIMES = {
    "us_per_sample": number("median time of one call, tensor in to tensor out, by the batch", "us"),
    "us_q25": number("lower quartile of the same", "us", at_least=0),
    "us_q75": number("upper quartile of the same", "us", at_least=0),
    "rounds": number("interleaved rounds that were timed", at_least=1),
    "stable": flag("whether the standard deviation of the rounds is under 10 % of their mean"),
    "calls": number("calls that one round consists of", at_least=1),
    "threads": number("threads of torch in the process that was timed", at_least=1),
    "cache": text("warm: called on the same points as before; cold: caches emptied before each call", CACHES),
}
SETUP = {"setup_ms": number("from the constraints to the first call being possible", "ms", at_least=0)}
MEMORY = {"peak_mb": number("peak memory of set-up and first call", "MB", at_least=0)}
SOLVER = {
    "solver_us_per_sample": number("the part of the time inside a solver that is not torch", "us", at_least=0)
}
VIOLATION = {
    "violation": number("largest max(A x - b) of the answers, in float64, from the returned numbers")
}
INFEASIBLE = {"infeasible_share": number("answers with any violation at all", "share", 0, 1)}
DISTANCE = {
    "distance": number("projections and peers: largest relative distance to the exact projection", "1", 0)
}
SUCCESS = {
    f"success_1e{k}": number(f"answers within 1e-{k} of the exact projection and of the set", "share", 0, 1)
    for k in (3, 6, 9)
}
OSQP = with_interval("speedup_osqp", "time of osqp / time of the method, in the same pass")
LINEAR = with_interval("ratio_linear", "time of the method / time of Linear(n, n), in the same pass")
FLOOR = with_interval("ratio_floor", "time of the method / time of the floor, in the same pass")

POSITIVE = pa.Check(
    lambda rows: (rows["status"] != "ok") | rows["us_per_sample"].between(0, math.inf, inclusive="neither"),
    error="a row that is ok needs a positive time",
    ignore_na=False,
)


def _timing(name: str, meaning: str, columns: dict[str, pa.Column]) -> Table:
    return Table(name, meaning, table_schema(columns, KEY, {"us_per_sample": POSITIVE}))


INFERENCE = _timing(
    "inference",
    "a method at one problem, batch and dtype: one forward pass",
    {
        **CELL,
        "plain": text("of a strict variant, the map without the guarantee", empty=True),
        **TIMES,
        **SOLVER,
        **OSQP,
        "best_projection": text(
            "the fastest projection of the pass that came within 1e-6 of the exact one", empty=True
        ),
        **with_interval("speedup_best", "time of best_projection / time of the method, in the same pass"),
        **LINEAR,
        **FLOOR,
        **with_interval("ratio_plain", "time / time of the map without the guarantee, in the same pass"),
        **SETUP,
        **MEMORY,
        **VIOLATION,
        **INFEASIBLE,
        "broken_share": number("answers that break an inequality, decided exactly", "share", 0, 1),
        **DISTANCE,
        "excess": number(
            "how far a point is moved, as a multiple of its distance to the exact projection (median)",
            at_least=0,
        ),
        **SUCCESS,
    },
)
STEP = {**CELL, **TIMES, **LINEAR, **SETUP, **MEMORY, **VIOLATION, **INFEASIBLE}
TRAINING_STEP = _timing("training_step", "a method as a layer: forward and backward pass", STEP)
COMPILED = _timing("compiled", "a map and the same map under torch.compile: one forward pass", STEP)
PLANNING = _timing("planning", "a piece of planning, from the set's numbers", {**CELL, **TIMES, **MEMORY})
ACCURACY = _timing(
    "accuracy",
    "a projection that is asked for one accuracy",
    {**CELL, **TIMES, **SOLVER, **OSQP, **SETUP, **VIOLATION, **DISTANCE, **SUCCESS},
)
