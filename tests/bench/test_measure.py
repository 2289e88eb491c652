"""A cell measured: rows for everything, whatever happens to a method."""

import numpy as np
import pytest
import torch

from baselines.peers import peer
from bench import measure
from bench.grid import Cell, Grid, grid
from bench.methods import METHODS, AbstractMethod, Embedded, Peer, Prepared
from bench.problems import Instance
from bench.timing import Timing
from constrained import BudgetExceededError, MissingDependencyError, Polyhedron, UnknownNameError

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("osqp", reason="the extra 'baselines' is not installed: osqp")

CPU = torch.device("cpu")
OWN = [method for method in METHODS if not method.field]
"""Everything but the peers, which have processes of their own, and the modelling tools."""
TINY = Grid("tiny", (), budget=0.0)


class Fake(AbstractMethod):
    """A projection that does what the test says."""

    role = "projection"

    def __init__(self, name, run=None, error=None):
        super().__init__(name)
        self._run, self._error = run, error

    def prepare(self, instance, target):
        if self._error is not None:
            raise self._error
        return Prepared(self._run or (lambda y: y), instance.polyhedron.n, True, True, lambda: 0.0)


def rows(cell, *methods, chosen=TINY):
    return {row["method"]: row for row in measure.measure_cell(cell, chosen, CPU, methods)}


@pytest.mark.parametrize(
    "cell", [Cell("checkerboard", (4, 4, 2), batch=5), Cell("random_cone", (5, 3), batch=7)]
)
def test_every_method_gives_a_complete_row(cell):
    found = rows(cell, *OWN)
    assert list(found) == [m.name for m in OWN]
    for method in OWN:
        row = found[method.name]
        if row["status"] in ("refused", "skipped"):
            assert row["reason"] and "seconds" not in row
            assert (
                method.role == "embedded" or method.name.startswith("closed_") or row["status"] == "skipped"
            )
            continue
        assert row["status"] == "ok", row["reason"]
        assert row["plain"] == method.plain and (not method.plain or row["broken_share"] == 0)
        assert len(row["seconds"]) >= 3 and row["setup_seconds"] > 0 and row["batch"] == cell.batch
        if method.role != "yardstick":
            assert row["violation"] <= 1e-4 and 0 <= row["infeasible_share"] <= 1
        if method.role == "projection":
            assert (
                row["distance"] <= 1e-5
                and row["success_1e3"] == 1
                and len(row["solver_seconds"]) == len(row["seconds"])
            )
        assert row["calls"] >= 1 and row["threads"] == torch.get_num_threads() and row["cache"] == "warm"
    assert len({row["pass"] for row in found.values()}) == 1
    assert {"linear", "floor", "half_spaces", "rays"} <= {name for name in found if "seconds" in found[name]}


def test_every_map_that_takes_a_point_says_how_far_it_moves_it():
    cell = Cell("random_cone", (6, 4), batch=20)
    chosen = [m for m in METHODS if isinstance(m, Embedded) and m.entry.projection]
    found = rows(cell, *chosen)
    told = {name: row["excess"] for name, row in found.items() if row["status"] == "ok"}
    assert told and all(value is not None and value >= 1 - 1e-6 for value in told.values())
    assert rows(cell, *OWN)["rays"].get("excess") is None


def test_a_strict_map_that_breaks_a_row_is_found_out():
    """By less than float64 can see in `A x - b`: the judge decides exactly."""
    A = np.array([[1e16, 1.0, -1e16]])
    judge = measure.Judge(Instance("thin", Polyhedron(A), np.zeros((1, 3))), Cell("random_cone", (3, 1)))
    fake = Fake("strict")
    row = judge.score(fake, Prepared(lambda y: y, 3, projects=False), torch.ones(2, 3))
    assert row["infeasible_share"] == row["broken_share"] == 1.0 and row["violation"] == 1.0


def test_the_judge_finds_a_method_that_does_not_project():
    row = rows(Cell("random_cone", (5, 3), batch=20), Fake("identity"))["identity"]
    assert row["violation"] > 0.1 and row["infeasible_share"] > 0.5 and row["distance"] > 0.1
    assert row["excess"] == 0.0


def test_a_point_that_is_not_finite_counts_as_infeasible():
    nan = Fake("nan", lambda y: torch.full_like(y, float("nan")))
    row = rows(Cell("random_cone", (5, 3), batch=4), nan)["nan"]
    assert row["violation"] is None and row["infeasible_share"] == 1.0 and row["distance"] is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MissingDependencyError("no solver"), "skipped"),
        (BudgetExceededError("too many rays"), "timeout"),
        (RuntimeError("broken"), "failed"),
        (ValueError(), "failed"),
    ],
)
def test_trouble_is_a_row_and_the_others_are_measured(error, status):
    found = rows(Cell("random_cone", (5, 3), batch=4), Fake("bad", error=error), Fake("good"))
    assert found["bad"]["status"] == status and found["bad"]["reason"] and "seconds" not in found["bad"]
    assert found["good"]["status"] == "ok" and found["good"]["seconds"]


@pytest.mark.parametrize(
    ("limit", "status"), [(30.0, "ok"), (0.0, "timeout")], ids=["in time", "out of time"]
)
def test_a_method_that_changes_the_threads_of_the_others_has_failed(limit, status):
    before = torch.get_num_threads()

    def greedy(y):
        torch.set_num_threads(before + 1)
        return y

    chosen = Grid("tiny", (), budget=0.0, call_limit=limit)
    found = rows(Cell("random_cone", (5, 3), 40), Fake("greedy", greedy), Fake("other"), chosen=chosen)
    assert torch.get_num_threads() == before == found["other"]["threads"]
    assert found["greedy"]["status"] == "failed" and "seconds" not in found["greedy"]
    assert found["greedy"]["reason"].endswith(f"from {before} to {before + 1}")
    assert found["other"]["status"] == status


def test_a_set_that_a_method_refuses_is_a_row_with_the_reason():
    row = rows(Cell("random_cone", (3, 6), batch=4), *OWN)["half_spaces"]
    assert row["status"] == "refused" and "linearly dependent" in row["reason"]


def test_a_batch_that_would_take_too_long_is_a_timeout():
    chosen = Grid("tiny", (), budget=0.0, call_limit=0.0)
    row = rows(Cell("random_cone", (5, 3), batch=40), Fake("slow"), chosen=chosen)["slow"]
    assert row["status"] == "timeout" and row["reason"].startswith("> 0 s a batch")


def test_enumeration_is_stopped_at_the_limit_of_the_grid():
    chosen = Grid("tiny", (), budget=0.0, setup_limit=0.5)
    found = rows(Cell("random_cone", (30, 70), batch=2), *OWN, chosen=chosen)
    assert found["rays"]["status"] == found["paper_layer"]["status"] == "timeout"
    assert "enumeration stopped after 0.5 s" in found["rays"]["reason"]
    assert found["osqp"]["status"] == "ok"


def test_a_strict_variant_does_not_wait_for_the_limit_a_second_time():
    asked = []

    class Slow(Fake):
        def __init__(self, name, plain=""):
            super().__init__(name, error=BudgetExceededError("too many rays"))
            self.plain = plain

        def prepare(self, instance, target):
            asked.append(self.name)
            return super().prepare(instance, target)

    cell = Cell("random_cone", (5, 3), batch=4)
    found = rows(cell, Slow("slow"), Slow("slow_strict", "slow"), Slow("alone_tight", "alone"))
    assert asked == ["slow", "alone_tight"]
    assert found["slow_strict"]["status"] == "timeout" and found["slow_strict"]["reason"] == "too many rays"


def test_unknown_grid():
    names = "'smoke', 'short', 'quick', 'cuda', 'default', 'full'"
    with pytest.raises(UnknownNameError, match=f"'huge'; available: {names}"):
        grid("huge")


def test_the_default_grid_has_the_papers_problem_first():
    first = grid("default").cells[0].generate()
    assert first.polyhedron.A.shape == (16, 784) and len(first.points) == 256


def test_the_solvers_part_is_that_of_the_timed_calls_of_each_round():
    timing = Timing(seconds=[1.0, 1.0], calls=2, ahead=1)
    every_call = [9.0, 9.0, 100.0, 1.0, 3.0, 100.0, 5.0, 5.0]  # warm-up, then twice: one ahead and two
    assert measure._by_round(every_call, timing) == [2.0, 5.0]


def test_those_who_watch_are_told_who_is_at_work_on_what():
    told = []
    cell = Cell("random_cone", (5, 3), batch=4)
    bad = Fake("bad", error=RuntimeError("broken"))
    methods = [Fake("good"), bad]
    measure.measure_cell(cell, TINY, CPU, methods, watch=lambda *at: told.append(at))
    assert list(dict.fromkeys(told)) == [
        ("", "harness"),
        ("good", "set-up"),
        ("good", "first call"),
        ("bad", "set-up"),
        ("good", "timing"),
    ]


def test_a_set_too_large_for_the_judge_has_no_distances(monkeypatch):
    monkeypatch.setattr(measure, "JUDGED_ENTRIES", 10)
    large, closed = Cell("random_cone", (5, 3), batch=4), Cell("checkerboard", (4, 4, 2), batch=4)
    row = rows(large, Fake("identity"))["identity"]
    assert row["status"] == "ok" and "distance" not in row and row["violation"] > 0
    assert rows(closed, Fake("identity"))["identity"]["distance"] > 0


def test_of_a_large_batch_points_are_judged_all_over_it(monkeypatch):
    cell, seen = Cell("random_cone", (5, 3), batch=20), []
    usual = measure.violations
    monkeypatch.setattr(measure, "violations", lambda P, x: seen.append(len(x)) or usual(P, x))
    last = Fake("last", lambda y: torch.where(torch.arange(len(y))[:, None] < 16, 0 * y, float("nan")))
    assert rows(cell, last)["last"]["infeasible_share"] == 0.2
    monkeypatch.setattr(measure, "MOST_JUDGED", 5)
    row = rows(cell, last)["last"]
    assert seen == [20, 5] and row["violation"] is None and row["infeasible_share"] == 0.2


class Remote(Fake):
    """A method that is timed where it runs."""

    def __init__(self, closed):
        super().__init__("remote")
        self.role, self.closed = "peer", closed

    def prepare(self, instance, target):
        return Prepared(
            lambda y: y, instance.polyhedron.n, True, clock=lambda: 42.0, close=lambda: self.closed.append(1)
        )


def test_a_method_in_another_process_is_timed_there_and_closed():
    closed = []
    patient = Grid("tiny", (), 0.0, call_limit=60.0)
    row = rows(Cell("random_cone", (5, 3), batch=20), Remote(closed), chosen=patient)["remote"]
    assert row["status"] == "ok" and set(row["seconds"]) == {42.0} and closed == [1]
    assert row["distance"] > 0.1 and row["success_1e3"] < 1


def test_a_call_elsewhere_that_takes_too_long_is_a_timeout():
    closed = []
    row = rows(
        Cell("random_cone", (5, 3), batch=20), Remote(closed), chosen=Grid("tiny", (), 0.0, call_limit=5.0)
    )
    assert row["remote"]["status"] == "timeout" and row["remote"]["reason"] == "> 5 s a batch (42 s)"
    assert closed == [1]


def test_it_is_closed_when_it_fails_too():
    closed = []
    remote = Remote(closed)
    prepared = Prepared(lambda y: 1 / 0, 3, True, close=lambda: closed.append(1))
    remote.prepare = lambda instance, target: prepared
    assert rows(Cell("random_cone", (5, 3), batch=2), remote)["remote"]["status"] == "failed" and closed == [
        1
    ]


def test_a_peer_gets_points_for_its_tuning_that_are_not_those_of_the_cell(monkeypatch):
    given = {}

    class Process:
        def __init__(self, entry, polyhedron, dtype, tuning, limit, device):
            given.update(tuning=tuning, dtype=dtype, device=device)

        def run(self, y, backward):
            return y, 1.0, None

        def time(self):
            return 1e-3

        def close(self):
            given["closed"] = True

    monkeypatch.setattr("bench.methods.PeerProcess", Process)
    monkeypatch.setattr(peer("hardnet_aff"), "check_available", classmethod(lambda cls: None))
    cell = Cell("random_cone", (5, 3), batch=20)
    row = rows(cell, Peer(peer("hardnet_aff")))["hardnet_aff"]
    assert row["status"] == "ok" and set(row["seconds"]) == {1e-3} and given["closed"]
    points = cell.generate().points
    assert given["tuning"].shape[1] == 5 and given["dtype"] == "float32" and given["device"] == "cpu"
    assert not any(np.allclose(a, b) for a in given["tuning"] for b in points)


def test_a_peer_without_its_environment_is_a_named_skip(monkeypatch, tmp_path):
    monkeypatch.setenv("CONSTRAINED_PEERS", str(tmp_path))
    row = rows(Cell("random_cone", (5, 3), batch=2), Peer(peer("qpth")))["qpth"]
    assert row["status"] == "skipped" and "make peers" in row["reason"]
