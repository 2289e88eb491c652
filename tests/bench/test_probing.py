"""Whether a batch would take too long, told from a part of it: after point, and the batch as a whole."""

import pytest
import torch

from bench import probing
from bench.methods import METHODS, Prepared, Target, method
from bench.probing import probe
from bench.problems.random_cone import RandomCone
from bench.training_step import STEPS

CPU = torch.device("cpu")
BATCH = torch.zeros(65536, 1)


def asked(monkeypatch, seconds, batched, limit, inputs=BATCH, **options):
    """The numbers of points that are timed, and whether that told against the method."""
    seen = []

    def timed(call, device):
        call()
        return seconds(seen)

    monkeypatch.setattr(probing, "timed", timed)
    prepared = Prepared(
        lambda z: seen.append(len(z)), 1, True, **{"bounded": True} | options, batched=batched
    )
    try:
        probe(prepared, inputs, CPU, limit)
    except TimeoutError as error:
        return seen, str(error)
    return seen, ""


def test_a_solver_of_one_point_at_a_time_is_judged_by_a_few(monkeypatch):
    seen, text = asked(monkeypatch, lambda seen: 1e-3 * seen[-1], batched=False, limit=5.0)
    assert set(seen) == {4} and text == "> 5 s a batch (about 66 s)"
    assert asked(monkeypatch, lambda seen: 1e-5 * seen[-1], batched=False, limit=5.0) == ([4], "")


def test_a_batch_as_a_whole_is_not_judged_by_what_a_few_points_cost(monkeypatch):
    """Launches take 20 ms, whatever the batch: four points would tell of five minutes."""
    seen, text = asked(monkeypatch, lambda seen: 0.02 + 1e-6 * seen[-1], batched=True, limit=5.0)
    assert text == "" and list(dict.fromkeys(seen)) == [4, 64, 1024]
    seen, text = asked(monkeypatch, lambda seen: 1e-3 * seen[-1], batched=True, limit=5.0)
    assert text == "> 5 s a batch (about 66 s)" and max(seen) == 1024


def test_all_points_are_the_last_resort(monkeypatch):
    seen, text = asked(monkeypatch, lambda seen: 0.3, batched=True, limit=5.0)
    assert text == "" and max(seen) == 16384
    few = torch.zeros(10, 1)
    assert asked(monkeypatch, lambda seen: 0.01, batched=True, limit=1e-3, inputs=few)[1].startswith(
        "> 0.001"
    )


def test_a_first_call_that_compiles_does_not_tell_against_a_method(monkeypatch):
    seen, text = asked(monkeypatch, lambda seen: 3.0 if len(seen) == 1 else 1e-5, batched=False, limit=5.0)
    assert seen == [4, 4] and text == ""
    seen, _ = asked(monkeypatch, lambda seen: 9.0, batched=False, limit=5.0)
    assert seen == [4]  # longer than the limit by itself


def test_what_is_not_bounded_is_not_called(monkeypatch):
    assert asked(monkeypatch, lambda seen: 9.0, batched=False, limit=0.0, bounded=False) == ([], "")


@pytest.mark.parametrize("methods", [METHODS, STEPS], ids=["inference", "training_step"])
def test_projections_say_whether_they_take_the_batch_as_a_whole_and_where_they_run(methods):
    known = {entry.name: entry for entry in methods}
    instance, target = RandomCone().generate((6, 3), 2), Target(CPU, torch.float64, 10.0)
    assert known["batched_active_set"].prepare(instance, target).batched
    assert not known["osqp"].prepare(instance, target).batched
    assert known["osqp"].host and not known["batched_active_set"].host and not known["shift"].host
    assert method("proxqp_batch").host
