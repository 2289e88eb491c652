"""One cell, measured: every method gets ready, is judged, and is timed in the same interleaved pass.

A method that is missing, does not apply, fails or takes too long becomes a row with its status and
the reason; the others are not affected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from constrained.errors import (
    BudgetExceededError,
    EngineError,
    MissingDependencyError,
    TrivialSetError,
    UnsupportedSetError,
)

from .exact_projection import nearest_points
from .grid import Cell, Grid
from .machine import device_name
from .memory import with_peak
from .methods import AbstractMethod, Prepared, Target
from .metrics import broken_share, distance, excess, infeasible_share, success, violations
from .probing import probe
from .problems._base import Instance
from .timing import Cache, OwnSeconds, Timing, clock, measure

JUDGED = 32
"""Points of a batch whose true projection is computed."""
SUCCESS = {"success_1e3": 1e-3, "success_1e6": 1e-6, "success_1e9": 1e-9}
"""Shares of the judged points within these tolerances of the true projection, and of the set."""
MOST_JUDGED = 4096
"""Of a larger batch so many points are judged, spread evenly over it."""
JUDGED_ENTRIES = 2**20
"""Sets with more entries in their rows than this have no true projection, unless it is a closed form."""
STAGES = ("harness", "set-up", "first call", "timing")
Stage = Literal["harness", "set-up", "first call", "timing"]

STATUS = (
    (MissingDependencyError, "skipped"),
    (UnsupportedSetError, "refused"),
    (TrivialSetError, "refused"),
    (BudgetExceededError, "timeout"),
    (TimeoutError, "timeout"),
    (Exception, "failed"),
)

Row = dict[str, Any]
Watch = Callable[[str, Stage], None]
"""Told which method is at work, "" for none of them, and at what."""


def unwatched(method: str, stage: Stage) -> None:
    """The `Watch` where nobody looks."""


@dataclass
class Contestant:
    """A method in a cell: its row, and the call to time if it got that far."""

    method: AbstractMethod
    row: Row
    call: Callable[[], Any] | None = None
    solver_seconds: list[float] = field(default_factory=list)
    close: Callable[[], None] = lambda: None


def measure_cell(
    cell: Cell,
    grid: Grid,
    device: torch.device,
    methods: Sequence[AbstractMethod],
    table: str = "inference",
    watch: Watch = unwatched,
) -> list[Row]:
    """One row a method, ratios between them meaningful since their rounds are interleaved."""
    watch("", "harness")
    instance = cell.generate()
    judge = Judge(instance, cell)
    dtype, cold = getattr(torch, cell.dtype), grid.cache == "cold"
    target = Target(device, dtype, grid.setup_limit, grid.peer_limit, cold)
    common = common_row(table, cell, instance, device, grid.cache)
    contestants = [Contestant(m, common | identity(m)) for m in methods]
    rows = {contestant.method.name: contestant.row for contestant in contestants}
    for contestant in contestants:
        plain = rows.get(contestant.method.plain, {})
        if plain.get("status") == "timeout":  # a strict variant has the same set-up, and more
            contestant.row |= {"status": "timeout", "reason": plain["reason"]}
            continue
        try:
            with _same_threads():
                _get_ready(contestant, instance, target, grid, judge, watch)
        except Exception as error:
            contestant.row |= {"status": _status(error), "reason": _sentence(error)}
            contestant.call = None
    try:
        _time(contestants, device, grid, watch)
    finally:
        for contestant in contestants:
            contestant.close()
    return [contestant.row for contestant in contestants]


class Judge:
    """Scores outputs against the set and against the true nearest points."""

    def __init__(self, instance: Instance, cell: Cell) -> None:
        self.instance = instance
        self.points = torch.tensor(instance.points, dtype=getattr(torch, cell.dtype))  # (batch, n)
        P = instance.polyhedron
        self.knows = instance.project is not None or (P.m + P.p) * P.n <= JUDGED_ENTRIES
        """Whether true nearest points can be had."""
        self._nearest: np.ndarray | None = None

    @property
    def nearest(self) -> np.ndarray:
        """True projections of the first JUDGED points, as rounded to the cell's dtype."""
        if self._nearest is None:
            self._nearest = nearest_points(self.instance, self.points[:JUDGED].double().numpy())
        return self._nearest

    def score(self, method: AbstractMethod, prepared: Prepared, x: Tensor) -> Row:
        """Violation, infeasible share, and nearness where the method takes a point to project."""
        every = x[:: max(1, len(x) // MOST_JUDGED)].double().cpu().numpy()
        worst = float(violations(self.instance.polyhedron, every).max())
        row: Row = {
            "violation": worst if np.isfinite(worst) else None,
            "infeasible_share": infeasible_share(self.instance.polyhedron, every),
            "broken_share": broken_share(self.instance.polyhedron, every),
        }
        if prepared.projects and self.knows:
            y, point = (points[:JUDGED].double().cpu().numpy() for points in (self.points, x))
            row["excess"] = _number(excess(y, point, self.nearest))
            if method.role != "embedded":
                row["distance"] = _number(distance(point, self.nearest))
                for name, tolerance in SUCCESS.items():
                    row[name] = success(self.instance.polyhedron, point, self.nearest, tolerance)
        return row


def identity(method: AbstractMethod) -> Row:
    """What a row says about its method."""
    return {"method": method.name, "role": method.role, "plain": method.plain} | method.origin


def common_row(table: str, cell: Cell, instance: Instance, device: torch.device, cache: Cache) -> Row:
    """What the rows of a pass have in common; the pass begins now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    P = instance.polyhedron
    return {
        "table": table,
        "pass": f"{table} {cell} {now}",
        "cell": str(cell),
        "problem": instance.name,
        "family": cell.family,
        "n": P.n,
        "m": P.m,
        "seed": cell.seed,
        "batch": cell.batch,
        "dtype": cell.dtype,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "cache": cache,
        "clock": clock(device),
    }


def _get_ready(
    contestant: Contestant, instance: Instance, target: Target, grid: Grid, judge: Judge, watch: Watch
) -> None:
    method, row = contestant.method, contestant.row
    watch(method.name, "set-up")
    start = perf_counter()

    def first() -> tuple[Prepared, float, Tensor, Tensor]:
        prepared = method.prepare(instance, target)
        contestant.close = prepared.close
        setup = perf_counter() - start
        watch(method.name, "first call")
        inputs = _inputs(prepared, judge.points, target)
        probe(prepared, inputs, target.device, grid.call_limit)
        output = prepared.run(inputs)
        if prepared.clock is not None and (seconds := prepared.clock()) > grid.call_limit:
            raise TimeoutError(f"> {grid.call_limit:g} s a batch ({seconds:.0f} s)")
        return prepared, setup, inputs, output

    (prepared, setup, inputs, output), peak = with_peak(first, target.device)
    watch("", "harness")
    row |= {"status": "ok", "reason": "", "setup_seconds": setup, "peak_mb": peak}
    if method.feasible:
        row |= judge.score(method, prepared, output)

    def call() -> OwnSeconds | None:
        if prepared.clock is not None:
            return OwnSeconds(prepared.clock())
        prepared.run(inputs)
        if prepared.solver_seconds is not None:
            contestant.solver_seconds.append(prepared.solver_seconds())

    contestant.call = call


@contextmanager
def _same_threads() -> Iterator[None]:
    """Raises if a method leaves another number of threads to those after it, and sets it back.

    A solver that sets OpenMP's sets torch's, since the two share it.
    """
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if (after := torch.get_num_threads()) != before:
            torch.set_num_threads(before)
            raise EngineError(
                f"it changed how many threads the process computes with, from {before} to {after}"
            )


def _inputs(prepared: Prepared, points: Tensor, target: Target) -> Tensor:
    """The points of the cell, or as many normal latent points where the width differs."""
    if prepared.in_features != points.shape[1]:
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(len(points), prepared.in_features, generator=generator)
    return points.to(target.device, target.dtype)


def _time(contestants: Sequence[Contestant], device: torch.device, grid: Grid, watch: Watch) -> None:
    calls = {c.method.name: c.call for c in contestants if c.call is not None}
    timings = measure(calls, device, grid.budget, grid.cache, lambda name: watch(name, "timing"))
    for contestant in contestants:
        if (timing := timings.get(contestant.method.name)) is not None:
            contestant.row |= {"seconds": timing.seconds, "calls": timing.calls}
            if contestant.solver_seconds:
                contestant.row["solver_seconds"] = _by_round(contestant.solver_seconds, timing)


def _by_round(solver_seconds: list[float], timing: Timing) -> list[float]:
    """The mean of the calls of each round, out of those of every call, one ahead of each round included."""
    shape = len(timing.seconds), timing.ahead + timing.calls
    rounds = np.array(solver_seconds[-shape[0] * shape[1] :]).reshape(shape)
    return rounds[:, timing.ahead :].mean(axis=1).tolist()


def _status(error: Exception) -> str:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
