"""The stopwatch: who is called when, and what the numbers mean; nothing here asserts a duration."""

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
    calls = {"a": clock(0.03), "b": clock(0.5), "c": clock(9.0)}
    seconds = {name: found.seconds for name, found in timing.measure(calls, CPU, budget=1.0).items()}
    assert {name: len(v) for name, v in seconds.items()} == {"a": 33, "b": timing.MIN_ROUNDS, "c": 3}
    assert np.allclose(seconds["a"], 0.03) and np.allclose(seconds["c"], 9.0)
    assert clock.calls[9.0] == 3 + 1  # one warm-up only: it is over the budget
    assert clock.calls[0.03] == 33 + 1 + 2 * timing.WARM_UP


def test_a_short_call_is_made_several_times_a_round_and_once_before(clock):
    found = timing.measure({"a": clock(3e-4)}, CPU, budget=1.0)["a"]
    assert (found.calls, found.ahead, len(found.seconds)) == (4, 1, timing.MAX_ROUNDS)
    assert np.allclose(found.seconds, 3e-4)
    assert clock.calls[3e-4] == 200 * 5 + 1 + 2 * timing.WARM_UP


def test_cold_caches_are_overwritten_before_each_call(monkeypatch):
    events = []
    monkeypatch.setattr(timing, "_flush", lambda device: lambda: events.append("flush"))
    found = timing.measure({"a": lambda: events.append("call")}, CPU, budget=0.0, cache="cold")["a"]
    assert (found.calls, found.ahead) == (1, 0)
    assert events[-6:] == ["flush", "call"] * 3


def test_overwriting_the_caches_counts_as_time_of_the_budget(clock, monkeypatch):
    monkeypatch.setattr(timing, "_flush", lambda device: clock(0.2))
    found = timing.measure({"a": clock(0.03)}, CPU, budget=1.0, cache="cold")["a"]
    assert len(found.seconds) == 4 and np.allclose(found.seconds, 0.03)


def test_the_flushed_buffer_is_larger_than_the_cache():
    size = timing._cpu_cache()
    assert size >= 2**18 and timing._flush(CPU)().numel() == 2 * size


def test_warming_up_goes_on_while_a_call_gets_faster(monkeypatch):
    """A call that takes 8, 4, 2, then 1 s for good; each three times."""
    now, made = [0.0], []
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def call():
        now[0] += max(1.0, 8.0 / 2 ** (len(made) // 3))
        made.append(1)

    found = timing.measure({"a": call}, CPU, budget=400.0)["a"].seconds
    assert set(found) == {1.0} and len(found) == timing.MAX_ROUNDS
    assert len(made) == timing.MAX_ROUNDS + 1 + 4 * timing.WARM_UP


def test_warming_up_ends_with_its_share_of_the_budget(monkeypatch):
    """Of a call that gets faster for ever."""
    now, made = [0.0], []
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def call():
        made.append(1)
        now[0] += 0.8 ** len(made)

    timing.measure({"a": call}, CPU, budget=2.0)
    assert len(made) == 1 + timing.WARM_UP + timing.MIN_ROUNDS


def test_whoever_asks_is_told_who_is_at_work():
    told = []
    calls = {"a": lambda: told.append("a called"), "b": lambda: told.append("b called")}
    timing.measure(calls, CPU, budget=0.0, cache="cold", starts=told.append)
    assert told == [name for at in "ab" * 4 for name in (at, f"{at} called")]


def test_the_collector_is_off_while_timing_and_on_again():
    import gc

    states = []
    timing.measure({"a": lambda: states.append(gc.isenabled())}, CPU, budget=0.0)
    assert states[-1] is False and gc.isenabled()


def test_what_was_timed_elsewhere_counts_as_it_was_told():
    seconds = timing.measure({"a": lambda: timing.OwnSeconds(42.0)}, CPU, budget=1.0)["a"].seconds
    assert seconds == [42.0] * timing.MIN_ROUNDS


def test_cuda_is_timed_by_events_of_its_stream(monkeypatch):
    log = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.name = f"event {sum(entry == 'made' for entry in log)}"
            log.append("made")

        def record(self, stream):
            log.append(f"{self.name} on {stream}")

        def elapsed_time(self, other):
            assert log[-1] == "sync"
            return 12.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "stream")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append("sync"))
    assert timing.timed(lambda: log.append("call"), torch.device("cuda"), calls=3) == 0.004
    assert log[2:] == ["event 0 on stream", *["call"] * 3, "event 1 on stream", "sync"]
    assert timing.clock(torch.device("cuda")) == "events" and timing.clock(CPU) == "perf_counter"


@pytest.mark.cuda
def test_cuda_caches_are_read_after_they_are_overwritten():
    device = torch.device("cuda")
    size = timing._cuda_cache(device)
    assert size >= 2**20
    assert timing._flush(device)().item() == 0
    product = torch.ones(64, 64, device=device)
    found = timing.measure({"a": lambda: product @ product}, device, 0.05, "cold")["a"]
    assert found.calls == 1 and min(found.seconds) > 0
