"""How long: calls timed one at a time, synchronised, their rounds interleaved.

Clocks drift, caches warm and neighbours wake up, so two methods are compared by the ratio of their
medians over rounds that were spread evenly over the same stretch of time, never by seconds from two
runs. Each call gets as many rounds as fit its budget; a slow one has few, placed among the many of
the fast ones.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

import numpy as np
import torch

Call = Callable[[], object]

MIN_ROUNDS, MAX_ROUNDS = 3, 200
WARM_UP = 3


class OwnSeconds(float):
    """What a call returns that was timed where it ran, in another process."""


def timed(call: Call, device: torch.device) -> float:
    """Seconds of one call, until its result is there: CUDA is synchronised before and after.

    Of a call that returns `OwnSeconds`, those.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = perf_counter()
    result = call()
    if isinstance(result, OwnSeconds):
        return float(result)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - start


def rounds_within(seconds: float, budget: float) -> int:
    """How many rounds of a call of so many seconds: what fits the budget, within the limits."""
    return int(np.clip(budget / max(seconds, 1e-9), MIN_ROUNDS, MAX_ROUNDS))


def schedule(rounds: Mapping[str, int]) -> Iterator[str]:
    """The names in an order in which each one's rounds are spread evenly over the whole."""
    slots = [((k + 0.5) / count, name) for name, count in rounds.items() for k in range(count)]
    yield from (name for _, name in sorted(slots))


def interleave(calls: Mapping[str, Call], device: torch.device, budget: float) -> dict[str, list[float]]:
    """Seconds of every round of every call.

    Args:
        calls: what to time, by name.
        device: where the calls compute.
        budget: seconds for each call; at least MIN_ROUNDS rounds are made all the same. The warm-up
            before them is WARM_UP calls, or one where one is already over the budget.
    """
    rounds = {name: rounds_within(_warm_up(call, device, budget), budget) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    with _no_collection():
        for name in schedule(rounds):
            seconds[name].append(timed(calls[name], device))
    return seconds


def _warm_up(call: Call, device: torch.device, budget: float) -> float:
    """Seconds of the last of the calls that warm up."""
    last = timed(call, device)
    for _ in range(WARM_UP - 1 if last < budget else 0):
        last = timed(call, device)
    return last


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


def ratio_interval(
    numerator: list[float], denominator: list[float], level: float = 0.95, resamples: int = 1000
) -> tuple[float, float, float]:
    """(ratio of the medians, lower, upper): a percentile bootstrap of both sides."""
    rng = np.random.default_rng(0)
    above, below = (np.asarray(v, dtype=np.float64) for v in (numerator, denominator))

    def medians(values: np.ndarray) -> np.ndarray:
        return np.median(rng.choice(values, (resamples, len(values))), axis=1)

    ratios = medians(above) / medians(below)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(np.median(above) / np.median(below)), float(low), float(high)


def is_stable(seconds: list[float]) -> bool:
    """pyperf's rule for a number to be trusted: standard deviation under 10 % of the mean."""
    return len(seconds) > 1 and float(np.std(seconds, ddof=1)) < 0.1 * float(np.mean(seconds))
