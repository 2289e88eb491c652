"""A cell measured: rows for everything, whatever happens to a method."""

import pytest
import torch

from bench import measure
from bench.grid import Cell, Grid, grid
from bench.methods import METHODS, AbstractMethod, Prepared
from constrained import BudgetExceededError, MissingDependencyError, UnknownNameError

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("osqp", reason="the extra 'baselines' is not installed: osqp")

CPU = torch.device("cpu")
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
        return Prepared(self._run or (lambda y: y), instance.polyhedron.n, True, lambda: 0.0)


def rows(cell, *methods, chosen=TINY):
    return {row["method"]: row for row in measure.measure_cell(cell, chosen, CPU, methods)}


@pytest.mark.parametrize(
    "cell", [Cell("checkerboard", (4, 4, 2), batch=5), Cell("random_cone", (5, 3), batch=7)]
)
def test_every_method_gives_a_complete_row(cell):
    found = rows(cell, *METHODS)
    assert list(found) == [m.name for m in METHODS]
    for method in METHODS:
        row = found[method.name]
        assert row["status"] == "ok", row["reason"]
        assert len(row["seconds"]) >= 3 and row["setup_seconds"] > 0 and row["batch"] == cell.batch
        if method.role != "yardstick":
            assert row["violation"] <= 1e-4 and 0 <= row["infeasible_share"] <= 1
        if method.role == "projection":
            assert row["distance"] <= 1e-5 and len(row["solver_seconds"]) == len(row["seconds"])
    assert len({row["pass"] for row in found.values()}) == 1


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


def test_a_set_that_a_method_refuses_is_a_row_with_the_reason():
    row = rows(Cell("random_cone", (3, 6), batch=4), *METHODS)["half_spaces"]
    assert row["status"] == "refused" and "linearly dependent" in row["reason"]


def test_a_batch_that_would_take_too_long_is_a_timeout():
    chosen = Grid("tiny", (), budget=0.0, call_limit=0.0)
    row = rows(Cell("random_cone", (5, 3), batch=40), Fake("slow"), chosen=chosen)["slow"]
    assert row["status"] == "timeout" and row["reason"].startswith("> 0 s a batch")


def test_enumeration_is_stopped_at_the_limit_of_the_grid():
    chosen = Grid("tiny", (), budget=0.0, setup_limit=0.5)
    found = rows(Cell("random_cone", (30, 70), batch=2), *METHODS, chosen=chosen)
    assert found["rays"]["status"] == found["paper_layer"]["status"] == "timeout"
    assert "enumeration stopped after 0.5 s" in found["rays"]["reason"]
    assert found["osqp"]["status"] == "ok"


def test_unknown_grid():
    with pytest.raises(UnknownNameError, match="'huge'; available: 'smoke', 'short', 'default', 'full'"):
        grid("huge")


def test_the_default_grid_has_the_papers_problem_first():
    first = grid("default").cells[0].generate()
    assert first.polyhedron.A.shape == (16, 784) and len(first.points) == 256
