"""What the kernels were written to reach on a CUDA device, beside what the tables say that they reach.

    memory       fused `shift` at 784x16, batch 65 536: share of the bandwidth of a copy, both dtypes
    product      fused `shift` at 1024x1024, batch 65 536: time of the float32 product of the same points with
                 the same rows, as a share of its own
    projection   `shift` against the batched exact projection on the device, per call
    peers        `shift` against Pi-net and cvxpylayers on the same points, per call, with what either breaks
    network      inference with `shift` in a CUDA graph, over that of the network without it

Every number is a ratio of times of one run; those of the kernels are taken in a graph, where no launch is
between the calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from .._cells import distinct, where
from .._tables_io import Row, Tables

MAP = "shift"
LARGEST = 65536
MEMORY, PRODUCT, PROJECTION, PEER, NETWORK = 0.8, 0.7, 10.0, 100.0, 1.1
"""The targets; the last one is an upper bound, the others are lower ones."""
PROBLEMS = ("checkerboard-784x16", "random_cone-784x16")
BATCHED, PEERS = "batched_active_set", ("pinet", "cvxpylayers")
DTYPES = ("float32", "bfloat16")
KERNELS = (
    (784, 16, "share_of_copy", "a copy's bandwidth", MEMORY),
    (1024, 1024, "share_of_own_product", "its own product's rate", PRODUCT),
)
"""Size, column, what it is a share of, and the target."""
NAN = math.nan


def targets(tables: Tables) -> list[Row]:
    """A row for each target and place; nothing without rows of a CUDA device.

    `value` is what was reached, NaN where it was not measured, for the `reason`; `met` is 1.0, 0.0 or NaN;
    `violations`, of a comparison, the largest of the other and of the map.
    """
    limits = tables.find("limits")
    inference = [row for row in tables.find("inference") if row["device"] != "cpu"]
    found = [*_kernels(limits), *_networks(limits)] if limits else []
    return found + [*_speedups(inference)]


def _kernels(limits: list[Row]) -> Iterator[Row]:
    for n, m, column, other, asked in KERNELS:
        for dtype in DTYPES:
            for strict in (0.0, 1.0):
                cell = {"what": "map", "map": MAP, "strict": strict, "path": "fused", "launch": "graph"}
                place = {"n": n, "m": m, "batch": LARGEST, "dtype": dtype, "l2": "warm"}
                rows = where(limits, **cell, **place)
                yield _target(
                    f"fused {_name(strict)}: share of {other}", f"{n}x{m}, batch {LARGEST}, {dtype}", asked,
                    rows[0][column] if rows else NAN, rows, unit="share",
                )  # fmt: skip


def _networks(limits: list[Row]) -> Iterator[Row]:
    rows = where(limits, what="network", launch="graph")
    for hidden in distinct(rows, "hidden"):
        for batch in distinct(rows, "batch"):
            for strict in (0.0, 1.0):
                mine = where(rows, map=MAP, strict=strict, hidden=hidden, batch=batch)
                yield _target(
                    f"network with {_name(strict)} in a graph: time / that without",
                    f"hidden {hidden}, batch {batch}, float32", NETWORK,
                    mine[0]["ratio_unconstrained"] if mine else NAN, mine, above=False,
                )  # fmt: skip


def _speedups(inference: list[Row]) -> Iterator[Row]:
    for other, asked in {BATCHED: PROJECTION, **dict.fromkeys(PEERS, PEER)}.items():
        for problem in PROBLEMS:
            cells = where(inference, problem=problem, dtype="float32")
            for row in where(cells, method=other):
                ours = where(cells, method=MAP, batch=row["batch"])
                value = row["us_per_sample"] / ours[0]["us_per_sample"] if ours else NAN
                place = f"{problem}, batch {row['batch']}, float32"
                line = _target(f"{MAP}: times faster than {other}", place, asked, value, [row, *ours])
                yield line | {"violations": [each["violation"] for each in (row, *ours)]}


def _target(
    target: str,
    place: str,
    asked: float,
    value: float,
    rows: list[Row],
    unit: str = "times",
    above: bool = True,
) -> Row:
    """A row; without a number the reason is that of the first of its `rows` that has one."""
    known = math.isfinite(value)
    reasons = [f"{row['status']}: {row['reason']}".rstrip(": ") for row in rows if row["status"] != "ok"]
    return {
        "target": target,
        "place": place,
        "asked": asked,
        "above": above,
        "unit": unit,
        "value": value if known else NAN,
        "met": float(value >= asked if above else value <= asked) if known else NAN,
        "reason": "" if known else (reasons[0] if reasons else "not measured"),
        "violations": [],
    }


def _name(strict: float) -> str:
    return f"{MAP}, strict" if strict else MAP
