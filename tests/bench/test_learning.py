"""The training comparison on a task of a few dozen samples: runs, tables, resumption, bad input."""

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from bench._tables_io import read_table, write_table
from bench.experiments.learning import _experiment, command, methods
from bench.experiments.learning._experiment import Experiment, best_run
from bench.experiments.learning._settings import METHOD_NAMES, PRESETS, Settings, parse
from bench.experiments.learning._training import CURVES, Learner, Setting, active_share
from bench.experiments.learning.methods import METHODS, REFERENCE, best_projection
from bench.experiments.learning.tables import (
    learned_rows,
    learning_tables,
    newest_by_task,
)
from bench.experiments.learning.tasks import AbstractTask, Samples
from bench.intervals import mean_interval
from bench.rows import Run
from bench.schema import TABLES
from constrained.errors import EngineError, InvalidInputError, UnknownNameError, UnsupportedSetError
from constrained.polyhedron import Polyhedron

TIMES = ("seconds", "peak_mb")
HERE = [entry for entry in METHODS if entry.tasks is None]
"""The methods that are for every task."""
BY_NAME = {entry.name: entry for entry in METHODS}


class Tiny(AbstractTask):
    """Sorted outputs of three features from two inputs."""

    name, title, loss_name = "tiny", "tiny", "squared error"
    prior, source, epochs, batch_size = "the target is sorted", "ours", 3, 16

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.polyhedron = Polyhedron.monotone(3)
        splits = []
        for size in (48, 12, 20):
            inputs = torch.randn(size, 2, generator=generator)
            targets = torch.cat([inputs.sum(1, keepdim=True), inputs], 1).sort(1).values
            splits.append(Samples(inputs, targets))
        self.train, self.val, self.test = splits
        self.optimum = {"val": 0.0, "test": 0.0}

    def backbone(self):
        return nn.Sequential(nn.Linear(2, 8), nn.ReLU()), 8

    def losses(self, x, samples):
        return (x - samples.targets).square().mean(-1)


@pytest.fixture(scope="module")
def task():
    return Tiny()


def setting(name="shift", **options):
    defaults = {"learning_rate": 1e-2, "weight": 0.0, "seed": 0, "epochs": 3, "budget": 60.0}
    return Setting(BY_NAME[name], **defaults | options)


def settings(**options):
    return Settings(**{"learning_rates": (1e-3, 1e-2), "seeds": 2} | options)


def measure(task, folder, **options):
    chosen = settings(**options)
    run = Run.open(folder, "learning", chosen.as_json())
    Experiment(chosen, run)._task(task)
    run.finish()
    return run


def without_times(rows):
    kept = json.loads(json.dumps(rows))
    for row in kept:
        row.pop("peak_mb", None)
        row.get("curves", {}).pop("seconds", None)
    return kept


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    return measure(task, tmp_path_factory.mktemp("results") / "raw")


def test_every_method_is_a_row_for_every_rate_and_then_for_every_seed(whole):
    first = [row for row in whole.rows if row["seed"] == 0]
    tried = {(row["method"], row["learning_rate"], row["weight"]) for row in first}
    assert tried == {(m.name, rate, w) for m in HERE for rate in (1e-3, 1e-2) for w in m.weights}
    assert len(tried) == len(first)
    later = [row["method"] for row in whole.rows if row["seed"] == 1]
    assert later == [
        m.name for m in METHODS if any(r["method"] == m.name and r["status"] == "ok" for r in first)
    ]
    refused = {row["method"] for row in whole.rows if row["status"] == "refused"}
    assert {"box", "simplex"} <= refused and REFERENCE not in refused
    assert not [row["reason"] for row in whole.rows if row["status"] == "failed"]


def test_embedded_maps_are_strict_and_break_nothing_in_any_epoch(whole):
    strict = [row for row in whole.rows if row["status"] == "ok" and row["strict"]]
    assert {"shift", "half_spaces", "monotone", "rays"} <= {row["method"] for row in strict}
    for row in strict:
        assert row["curves"]["violation"] == [0.0] * 4 and row["test_violation"] == 0.0
        assert row["curves"]["infeasible_share"] == [0.0] * 4
        assert row["test_loss"] == row["test_raw_loss"]
    loose = [row for row in whole.rows if row["method"] == REFERENCE]
    assert all(max(row["curves"]["violation"]) > 0.01 for row in loose)
    assert any(row["test_loss"] != row["test_raw_loss"] for row in loose)


def test_curves_begin_before_training_and_losses_fall(whole):
    for row in whole.rows:
        if row["status"] == "ok":
            curves = row["curves"]
            assert set(curves) == set(CURVES) and {len(values) for values in curves.values()} == {4}
            assert curves["seconds"][0] == 0 and sorted(curves["seconds"]) == curves["seconds"]
            assert curves["train_loss"][0] is None and curves["gradient_norm"][0] is None
            if row["learning_rate"] == 1e-2 and row["method"] != "paper_layer":
                assert curves["val_loss"][-1] < curves["val_loss"][0], row["method"]


def test_a_projected_output_is_the_nearest_point(task):
    learner = Learner(task, setting(REFERENCE))
    raw = learner._outputs(task.val.inputs)
    expected = best_projection(task.polyhedron)(raw).x
    assert best_projection(task.polyhedron).name == "closed_isotonic"
    judged = learner._judge(task.val)
    assert judged["loss"] == pytest.approx(task.losses(expected, task.val).mean().item(), rel=1e-5)
    assert judged["raw_loss"] == pytest.approx(task.losses(raw, task.val).mean().item(), rel=1e-5)
    assert judged["violation"] == pytest.approx(task.polyhedron.violation(raw).max().item())


def test_equal_seeds_give_equal_runs_and_different_ones_do_not(task):
    first, second, other = (Learner(task, setting(seed=seed)).run() for seed in (3, 3, 4))
    assert without_times([first]) == without_times([second]) != without_times([other])


def test_a_run_changes_no_global_state(task):
    state = torch.get_rng_state()
    Learner(task, setting()).run()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_budget_ends_a_run_after_an_epoch_at_least(task):
    row = Learner(task, setting(budget=1e-9)).run()
    assert row["stopped"] == "time budget 1e-09 s" and len(row["curves"]["seconds"]) == 2


def test_the_penalty_by_hand(task):
    x = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])  # rows x1 - x2, x2 - x3: exceeded by 1 and by 2
    head = Learner(task, setting("penalty", weight=3.0)).head
    assert head.penalty(x).item() == 3.0 * (1 + 4) / 4
    assert Learner(task, setting(REFERENCE)).head.penalty(x).item() == 0


def test_a_strict_map_that_breaks_a_row_fails(task, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(methods.Embedded, "forward", lambda self, h: self.linear(h).repeat(1, 3)[:, :3])
    run = measure(task, tmp_path, methods=("shift",))
    assert {row["status"] for row in run.rows} == {"failed"}
    assert "in strict mode" in run.rows[0]["reason"] and "shift failed" in capsys.readouterr().err


def test_a_loss_that_is_not_finite_fails_with_the_rate(task):
    with pytest.raises(EngineError, match="smaller learning rate than 1e\\+30"):
        Learner(task, setting(REFERENCE, learning_rate=1e30)).run()


def test_an_interrupted_run_goes_on_where_it_stopped(task, whole, tmp_path, monkeypatch):
    done = iter(range(100))

    class Stopping(Learner):
        def run(self):
            if next(done) == 5:
                raise KeyboardInterrupt
            return super().run()

    monkeypatch.setattr(_experiment, "Learner", Stopping)
    with pytest.raises(KeyboardInterrupt):
        measure(task, tmp_path)
    monkeypatch.undo()
    before = Run.read(next(tmp_path.glob("*.json"))).rows
    assert 5 <= len(before) < len(whole.rows)
    run = measure(task, tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 1 and run.rows[: len(before)] == before
    assert without_times(run.rows) == without_times(whole.rows)


def test_a_disk_that_is_full_leaves_the_rows_before_it(task, tmp_path, monkeypatch):
    chosen = settings(methods=(REFERENCE,))
    run = Run.open(tmp_path, "learning", chosen.as_json())
    run.add()
    content = run.path.read_bytes()

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("bench.rows.write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        Experiment(chosen, run)._task(task)
    assert run.path.read_bytes() == content


def test_tables_are_written_and_read_back(whole, tmp_path):
    tables = learning_tables(whole.rows)
    for name, rows in tables.items():
        write_table(tmp_path / f"{name}.csv", rows, TABLES[name])
        assert len(read_table(tmp_path / f"{name}.csv", TABLES[name])) == len(rows) > 0
    assert {row["epoch"] for row in tables["learning"]} == {0, 1, 2, 3}
    assert len(tables["learned"]) == len(HERE)
    by_name = {row["method"]: row for row in tables["learned"]}
    assert by_name["box"]["status"] == "refused" and by_name["box"]["reason"]
    assert by_name[REFERENCE]["test_difference"] == 0 and by_name[REFERENCE]["relative_time"] == 1
    assert by_name["shift"]["seeds"] == 2


def made(method, seed, seconds, val_loss, test_loss, rate=1e-3):
    """A row of a run with curves made by hand."""
    curves = {name: [0.0] * len(seconds) for name in CURVES}
    return {
        "task": "t", "method": method, "role": "embedded", "changes": "", "seed": seed, "weight": 0.0,
        "learning_rate": rate, "status": "ok", "curves": curves | {"seconds": seconds, "val_loss": val_loss},
        "test_loss": test_loss, "test_raw_loss": test_loss, "test_violation": 0.0, "optimum_val": None,
        "test_infeasible_share": 0.0,
    }  # fmt: skip


def test_the_numbers_of_a_table_by_hand():
    rows = [
        made("m", 0, [0, 2, 4, 6], [9, 5, 3, 1], 1.5),
        made("m", 0, [0, 2, 4, 6], [9, 5, 3, 2], 0.1, rate=1e-2),
        made("m", 1, [0, 2, 4, 6], [9, 6, 4, 2], 2.5),
        made(REFERENCE, 0, [0, 1, 2, 5], [9, 5, 3, 2], 2.0),
        made(REFERENCE, 1, [0, 1, 2, 3], [9, 5, 3, 2.5], 2.0),
    ]
    row = next(row for row in learned_rows(rows) if row["method"] == "m")
    assert row["learning_rate"] == 1e-3 and row["seeds"] == 2
    assert row["val_loss"] == 1.5 and row["test_loss"] == 2.0
    half = 12.7062 * np.std([1, 2], ddof=1) / math.sqrt(2)
    assert (row["val_loss_low"], row["val_loss_high"]) == pytest.approx((1.5 - half, 1.5 + half), rel=1e-5)
    assert row["test_difference"] == pytest.approx(((1.5 - 2) + (2.5 - 2)) / 2)
    # At 5 s of the first seed, between 3 and 1; at 3 s of the second, between 6 and 4.
    assert row["val_loss_at_time"] == (2 + 5) / 2
    assert row["difference_at_time"] == pytest.approx(((2 - 2) + (5 - 2.5)) / 2)
    assert row["relative_time"] == pytest.approx(2.0) and row["seconds_per_epoch"] == 2


def test_each_task_comes_from_the_newest_run_that_has_it():
    old = [{"task": "fuel", "v": 1}, {"task": "digits", "v": 1}]
    new = [{"task": "digits", "v": 2}, {"task": "digits", "v": 3}]
    assert newest_by_task([old, new]) == [new[0], new[1], old[0]]
    assert newest_by_task([new, old]) == [old[1], old[0]]


def test_one_value_has_no_interval():
    assert mean_interval([2.0], "v") == {"v": 2.0, "v_low": None, "v_high": None}


def test_the_best_run_is_that_with_the_least_loss_in_the_end():
    rows = [made("m", 0, [0, 1], [9, loss], 0.0, rate) for loss, rate in ((3, 1), (2, 2), (2, 3))]
    rows.append(made("m", 0, [0, 1], [9, 0], 0.0, 4) | {"status": "failed"})
    assert best_run(rows) is rows[1] and best_run(rows[3:]) is None


def test_active_share_by_hand():
    box = Polyhedron.box([-1.0, -1.0], 1.0)
    assert active_share(box, np.array([[0.0, 0.5], [1.0, 0.0], [0.2, -1.0], [0.9, 0.9]])) == 0.5


def test_a_set_that_is_a_cone_in_a_box_is_reached_by_scaling(task):
    boxed = Tiny()
    boxed.cone, boxed.polyhedron = (
        task.polyhedron,
        Polyhedron.intersection(task.polyhedron, Polyhedron.box([-1.0] * 3, 1.0)),
    )
    for name in ("half_spaces", "rays", "gauge"):
        learner = Learner(boxed, setting(name))
        assert learner.head.strict == (name == "gauge")
        with torch.no_grad():
            learner.head.linear.bias.fill_(10.0)
        judged = learner._judge(boxed.val)
        assert judged["violation"] <= 1e-6
    with pytest.raises(UnsupportedSetError, match="cannot serve"):
        Learner(boxed, setting("simplex"))


@pytest.mark.parametrize(
    "argv",
    [
        ["--seeds", "0"], ["--learning-rates", "0"], ["--tasks", "nothing"], ["--methods", "nothing"],
        ["--budget", "-1"], ["--preset", "slow"], ["--device", "tpu"], ["--learning-rates", "fast"],
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(argv, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(argv)
    assert "error" in capsys.readouterr().err


def test_presets_and_arguments_are_settings():
    for preset in PRESETS:
        parse(["--preset", preset])
    chosen, _, fresh = parse(["--preset", "quick", "--seeds", "4", "--methods", "rays", "--fresh"])
    assert chosen.seeds == 4 and fresh and chosen.budget == PRESETS["quick"]["budget"]
    assert set(chosen.methods) == {"rays", REFERENCE} and set(Settings().methods) == set(METHOD_NAMES)
    with pytest.raises(UnknownNameError, match="unknown method"):
        Settings(methods=("nothing",))
    with pytest.raises(InvalidInputError, match="no task is named"):
        Settings(tasks=())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(tmp_path, capsys):
    assert command.main(["--device", "cuda", "--results", str(tmp_path)]) == 2
    assert "there is no CUDA device" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_folder_without_digits_is_refused_and_rows_stay(tmp_path, capsys):
    argv = ["--tasks", "digits_cone", "--data", f"idx:{tmp_path}", "--results", str(tmp_path / "raw")]
    assert command.main(argv) == 2
    assert "no file train-images-idx3-ubyte" in capsys.readouterr().err


def test_the_command_prints_a_table(task, tmp_path, monkeypatch, capsys):
    class Made(Tiny):
        name = "digits_cone"

    monkeypatch.setattr(_experiment, "TASKS", (Made,))
    argv = [
        "--tasks",
        "digits_cone",
        "--methods",
        "shift",
        "simplex",
        "--seeds",
        "1",
        "--learning-rates",
        "0.01",
    ]
    assert command.main([*argv, "--results", str(tmp_path / "raw")]) == 0
    out = capsys.readouterr().out
    assert "shift" in out and "refused" in out and "rows: " in out
