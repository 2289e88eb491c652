"""The stopwatch: who is called when, and what the numbers mean; nothing here asserts a duration."""

from itertools import count

import numpy as np
import pytest
import torch

from bench import timing

CPU = torch.device("cpu")


def test_rounds_are_spread_evenly_over_the_whole():
    order = list(timing.schedule({"fast": 100, "slow": 4}))
    assert order.count("fast") == 100 and order.count("slow") == 4
    places = [i for i, name in enumerate(order) if name == "slow"]
    assert np.allclose(np.diff(places), 26) and 10 <= places[0] <= 15


@pytest.fixture
def clock(monkeypatch):
    """A clock on which each call takes what the test says."""
    now = [0.0]
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def taking(seconds):
        def call():
            now[0] += seconds
            calls[seconds] = calls.get(seconds, 0) + 1

        return call

    calls: dict[float, int] = {}
    taking.calls = calls
    return taking


def test_each_call_gets_the_rounds_that_fit_its_budget(clock):
    seconds = timing.interleave({"a": clock(0.01), "b": clock(0.5), "c": clock(9.0)}, CPU, budget=1.0)
    assert {name: len(v) for name, v in seconds.items()} == {"a": 100, "b": timing.MIN_ROUNDS, "c": 3}
    assert np.allclose(seconds["a"], 0.01) and np.allclose(seconds["c"], 9.0)
    assert clock.calls[9.0] == 3 + 1  # one warm-up only: it is over the budget
    assert clock.calls[0.01] == 100 + timing.WARM_UP


def test_the_collector_is_off_while_timing_and_on_again():
    import gc

    states = []
    timing.interleave({"a": lambda: states.append(gc.isenabled())}, CPU, budget=0.0)
    assert states[-1] is False and gc.isenabled()


def test_the_ratio_is_that_of_the_medians_and_the_interval_holds_it():
    rng = np.random.default_rng(1)
    slow, fast = (list(scale * rng.lognormal(0, 0.1, 50)) for scale in (3.0, 1.0))
    ratio, low, high = timing.ratio_interval(slow, fast)
    assert ratio == pytest.approx(np.median(slow) / np.median(fast))
    assert low < ratio < high and 2.7 < low and high < 3.3
    assert timing.ratio_interval(slow, fast) == (ratio, low, high)


def test_stability_follows_the_spread():
    assert timing.is_stable([1.0, 1.01, 0.99])
    assert not timing.is_stable([1.0, 2.0, 1.0])
    assert not timing.is_stable([1.0])


def test_cuda_is_synchronised_before_and_after(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("sync"))
    numbers = count()
    monkeypatch.setattr(timing, "perf_counter", lambda: (events.append("clock"), float(next(numbers)))[1])
    timing.timed(lambda: events.append("call"), torch.device("cuda"))
    assert events == ["sync", "clock", "call", "sync", "clock"]
