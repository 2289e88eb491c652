"""How long: calls timed in rounds that are interleaved, so that a drift of the machine hits all alike.

    warm-up     until a call gets no faster any more, within a share of the budget
    round       one call, or as many as a clock needs (ROUND_SECONDS); seconds are those of one call
    order       the rounds of every call are spread evenly over the same stretch of time
    ratio       of the medians of rounds that were near in time (`bench/intervals.py`)

Clocks drift, caches warm and neighbours wake up. A slow call has few rounds, placed among the many of the
fast ones. On CUDA the time is that between two events on the current stream, around all calls of a round, so
that of calls shorter than their launch it is the time between launches; otherwise `perf_counter`'s. The cache
is "warm", a call right before the round that is not timed, or "cold", overwritten before each call.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch

from .intervals import is_stable, ratio_interval

__all__ = [
    "Cache",
    "Call",
    "OwnSeconds",
    "Timing",
    "clock",
    "is_stable",
    "measure",
    "ratio_interval",
    "rounds_within",
    "schedule",
    "timed",
]

Call = Callable[[], object]
Cache = Literal["warm", "cold"]

MIN_ROUNDS, MAX_ROUNDS = 3, 200
ROUND_SECONDS, MAX_CALLS = 1e-3, 1000
"""A round lasts at least this long, by several calls if need be; starting one costs up to a microsecond, a
thousandth of it."""
WARM_UP = 3
"""Calls that are compared as a block while warming up."""
WARM_UP_SHARE, STEADY = 0.5, 0.95
"""Warming up ends at this share of the budget, or with a block whose best call is not below STEADY of the
best before."""
LONG_SECONDS = 0.01
"""A call of this length fills the caches itself; none is made before it."""
CACHE_BYTES = 32 * 2**20
"""Overwritten for a cold cache where the system does not tell how large its last-level cache is."""


class OwnSeconds(float):
    """What a call returns that was timed where it ran, in another process."""


@dataclass(frozen=True)
class Timing:
    """The rounds of one call.

    Attributes:
        seconds: of one call, in each round.
        calls: how many calls a round consists of.
        ahead: how many calls that are not timed come before each round.
    """

    seconds: list[float]
    calls: int
    ahead: int


def measure(
    calls: Mapping[str, Call],
    device: torch.device,
    budget: float,
    cache: Cache = "warm",
    starts: Callable[[str], None] = lambda name: None,
) -> dict[str, Timing]:
    """The rounds of every call, interleaved, with the garbage collector off.

    Args:
        calls: what to time, by name.
        device: where the calls compute.
        budget: seconds for each call, what comes before a round included (overwriting a large cache takes
            longer than most calls); at least MIN_ROUNDS rounds are made all the same.
        cache: the state of the caches when a round starts.
        starts: told the name before each warm-up and each round, outside the clock.
    """
    flush = _flush(device) if cache == "cold" else None
    flush_seconds = _warm_up(flush, device, 0.0) if flush is not None else None
    plans: dict[str, _Plan] = {}
    with _no_collection():
        for name, call in calls.items():
            starts(name)
            plans[name] = _plan(_warm_up(call, device, budget), budget, flush_seconds)
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for name in schedule({name: plan.rounds for name, plan in plans.items()}):
            starts(name)
            seconds[name].append(_round(calls[name], device, plans[name], flush))
    return {name: Timing(seconds[name], plan.calls, plan.ahead) for name, plan in plans.items()}


def timed(call: Call, device: torch.device, calls: int = 1) -> float:
    """Seconds of one call, the mean of so many without a pause, until the results are there.

    Of a call that returns `OwnSeconds`, those.
    """
    if device.type == "cuda":
        return _timed_on_cuda(call, device, calls)
    start = perf_counter()
    result = call()
    for _ in range(calls - 1):
        call()
    seconds = (perf_counter() - start) / calls
    return float(result) if isinstance(result, OwnSeconds) else seconds


def _timed_on_cuda(call: Call, device: torch.device, calls: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    stream = torch.cuda.current_stream(device)
    # Not after a synchronisation: behind the call ahead, or what overwrites the cache, the first of these
    # calls is queued while the device is at work, so that its launch is not between the events.
    start.record(stream)
    result = call()
    if isinstance(result, OwnSeconds):  # a mean already, of as many calls as a clock needs
        return float(result)
    for _ in range(calls - 1):
        call()
    end.record(stream)
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1e3 / calls


@dataclass(frozen=True)
class _Plan:
    """Rounds of a call; of each round the calls that are timed, and those that come before."""

    rounds: int
    calls: int
    ahead: int


def _plan(estimate: float, budget: float, flush_seconds: float | None) -> _Plan:
    """The rounds of a call of so many seconds that fit the budget; None: the cache is not overwritten."""
    if flush_seconds is not None:
        return _Plan(rounds_within(estimate + flush_seconds, budget), 1, 0)
    calls = int(np.clip(math.ceil(ROUND_SECONDS / max(estimate, 1e-9)), 1, MAX_CALLS))
    ahead = int(estimate < LONG_SECONDS)
    return _Plan(rounds_within((calls + ahead) * estimate, budget), calls, ahead)


def rounds_within(seconds: float, budget: float) -> int:
    """How many rounds of so many seconds: what fits the budget, within the limits."""
    return int(np.clip(budget / max(seconds, 1e-9), MIN_ROUNDS, MAX_ROUNDS))


def schedule(rounds: Mapping[str, int]) -> Iterator[str]:
    """The names in an order in which each one's rounds are spread evenly over the whole."""
    slots = [((k + 0.5) / count, name) for name, count in rounds.items() for k in range(count)]
    yield from (name for _, name in sorted(slots))


def _round(call: Call, device: torch.device, plan: _Plan, flush: Call | None) -> float:
    if flush is not None:
        flush()
    for _ in range(plan.ahead):
        call()
    return timed(call, device, plan.calls)


def _warm_up(call: Call, device: torch.device, budget: float) -> float:
    """Seconds of a call once it gets no faster; one that takes its share of the budget is made only once."""
    last = timed(call, device)
    if last > WARM_UP_SHARE * budget:
        return last
    spent, best = last, math.inf
    while True:
        block = [timed(call, device) for _ in range(WARM_UP)]
        spent += sum(block)
        if min(block) >= STEADY * best or spent > WARM_UP_SHARE * budget:
            return float(np.median(block))
        best = min(block)


def _flush(device: torch.device) -> Call:
    """A call that overwrites as many bytes as the last-level cache holds, twice over.

    On CUDA it reads them after that: lines that are not written back yet would be at the cost of the call.
    """
    size = _cuda_cache(device) if device.type == "cuda" else _cpu_cache()
    if device.type != "cuda":
        buffer = torch.empty(2 * size, dtype=torch.uint8, device=device)
        return lambda: buffer.fill_(0)
    numbers = torch.empty(2 * size // 4, device=device)
    return lambda: numbers.fill_(0).sum()


def clock(device: torch.device) -> str:
    """What seconds are taken with, for rows to say."""
    return "events" if device.type == "cuda" else "perf_counter"


def _cuda_cache(device: torch.device) -> int:
    return int(getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)) or CACHE_BYTES


def _cpu_cache() -> int:
    """Bytes of the largest cache that Linux lists for the first core."""
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0").glob("cache/*/size")]
    return max((int(size[:-1]) * 1024 for size in sizes if size.endswith("K")), default=CACHE_BYTES)


@contextmanager
def _no_collection() -> Iterator[None]:
    """The garbage collector off, as `timeit` does: its pauses belong to no call in particular."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
