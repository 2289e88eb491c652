"""The digits experiment on a handful of digits: whole, interrupted, damaged, failing."""

import json
import math

import numpy as np
import pytest
import torch

from bench.experiments import _experiment, _networks, _training
from bench.experiments import mnist_projection as experiment
from bench.experiments._checkpoints import load_checkpoint, save_checkpoint
from bench.experiments._evaluation import judge, time_interleaved
from bench.experiments._networks import NETWORKS, Penalty, Task, network
from bench.experiments._settings import Settings, parse
from bench.experiments._training import Trainer
from bench.rows import Run
from constrained.errors import EngineError, InvalidInputError, UnknownNameError
from constrained.polyhedron import Polyhedron

EMBEDDED = ("half_spaces",)
ALL = tuple(entry.name for entry in NETWORKS)
UNSURE = {"unconstrained", "penalty"}
"""The networks whose outputs are not meant to be feasible."""
TRAINING = {
    "table", "network", "epoch", "seconds", "train_mse", "val_mse", "optimum_val_mse", "box_scaling",
    "learning_rate",
}  # fmt: skip
NETWORK = {
    "table", "network", "data", "train_samples", "val_samples", "test_samples", "epochs",
    "epochs_planned", "stopped", "train_seconds", "projection", "feasible", "val_mse", "optimum_val_mse",
    "test_mse", "optimum_test_mse", "inference_seconds", "inference_samples", "violation", "cone_violation",
    "box_violation", "infeasible_share",
}  # fmt: skip
TIMES = {"seconds", "train_seconds", "inference_seconds"}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """`idx:DIR` with 66 training and 12 test images, blurred noise in the place of digits."""
    folder, rng = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for prefix, size in (("train", 66), ("t10k", 12)):
        images = 255 * rng.random((size, 7, 7)).repeat(4, 1).repeat(4, 2)
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(size) % 10)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    return f"idx:{folder}"


@pytest.fixture(scope="module", autouse=True)
def few_rounds():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.experiments._evaluation.MAX_ROUNDS", 4)
        yield


def rows_of(run, table):
    return [row for row in run.rows if row["table"] == table]


def without_times(rows):
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def require_projections(name="osqp"):
    pytest.importorskip("baselines.differentiable", reason="the projections are optional")
    pytest.importorskip(name, reason=f"{name} is optional")


@pytest.fixture(scope="module")
def whole(source, few_rounds, tmp_path_factory):
    """A run of all networks."""
    require_projections()
    return experiment.measure(Settings(source, epochs=2), tmp_path_factory.mktemp("results") / "raw")


def test_rows_are_complete(whole):
    assert whole.finished
    training, networks = rows_of(whole, "training"), rows_of(whole, "networks")
    assert [(row["network"], row["epoch"]) for row in training] == [(n, e) for n in ALL for e in (0, 1)]
    assert [row["network"] for row in networks] == list(ALL)
    assert all(set(row) == TRAINING for row in training)
    assert all(set(row) == NETWORK for row in networks)
    assert all(value is not None for row in networks for value in row.values())
    assert all(row["stopped"] == "all epochs" and row["epochs"] == 2 for row in networks)
    assert {row["projection"] for row in networks} == {"", "osqp"}
    assert {row["network"] for row in networks if row["feasible"] is False} == UNSURE
    assert all(3 <= len(row["inference_seconds"]) <= 4 for row in networks)
    assert {(r["train_samples"], r["val_samples"], r["test_samples"]) for r in networks} == {(65, 1, 12)}


def test_numbers_are_consistent(whole):
    for row in rows_of(whole, "networks"):
        history = [r for r in rows_of(whole, "training") if r["network"] == row["network"]]
        assert row["train_seconds"] == history[-1]["seconds"] > history[0]["seconds"] > 0
        assert row["val_mse"] == pytest.approx(history[-1]["val_mse"], rel=1e-4)
        assert row["violation"] == max(row["cone_violation"], row["box_violation"])
        assert row["optimum_test_mse"] > 0 and row["optimum_val_mse"] > 0
        if row["feasible"]:
            # Nothing in the set is nearer to the images than their projections.
            assert row["test_mse"] > row["optimum_test_mse"]
            assert row["val_mse"] > row["optimum_val_mse"]


def test_outputs_are_feasible_where_that_is_promised(whole):
    for row in rows_of(whole, "networks"):
        assert (row["violation"] < 1e-4) == row["feasible"], row["network"]
        assert row["feasible"] or row["infeasible_share"] > 0.5


def test_digits(whole):
    digits = rows_of(whole, "digits")
    assert [row["panel"] for row in digits[::8]] == ["input", "projection", *ALL]
    assert [row["label"] for row in digits[:8]] == list(range(8))
    assert all(len(row["pixels"]) == 784 for row in digits)
    target = Task.digits().target
    feasible = np.array([row["pixels"] for row in digits if row["panel"] not in {"input", *UNSURE}])
    assert target.violation(feasible).max() < 49 * 5e-4 + 1e-4  # rounded to three decimals
    written = json.loads(whole.path.read_text())["rows"]
    assert written == whole.rows


def test_a_run_changes_no_global_state(source, tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    experiment.measure(Settings(source, epochs=1, networks=EMBEDDED), tmp_path / "raw")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def interrupt_after(monkeypatch, saves):
    """Ctrl-C as soon as this many checkpoints are written, before the row that belongs to the last."""
    count = iter(range(1, 1000))

    def save(path, state):
        save_checkpoint(path, state)
        if next(count) == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(_experiment, "save_checkpoint", save)


@pytest.fixture(scope="module")
def command(source):
    names = ("half_spaces", "v_parameterization")
    return ["--data", source, "--epochs", "4", "--networks", *names, "--results"]


@pytest.fixture(scope="module")
def uninterrupted(command, few_rounds, tmp_path_factory):
    """The rows of a run of that command."""
    raw = tmp_path_factory.mktemp("uninterrupted") / "raw"
    assert experiment.main([*command, str(raw)]) == 0
    (path,) = raw.glob("*.json")
    return Run.read(path).rows


@pytest.mark.parametrize("saves", [1, 3, 5, 7])
def test_interrupted_run_continues_to_the_same_numbers(
    command, uninterrupted, tmp_path, monkeypatch, capsys, saves
):
    with monkeypatch.context() as patch:
        interrupt_after(patch, saves)
        assert experiment.main([*command, str(tmp_path / "raw")]) == 130
    assert "run the same command again" in capsys.readouterr().err
    (path,) = (tmp_path / "raw").glob("*.json")
    cut = Run.read(path)
    assert not cut.finished
    assert len(cut.rows) == saves - 1
    trained = count_epochs(monkeypatch)
    assert experiment.main([*command, str(tmp_path / "raw")]) == 0
    assert len(trained) == 8 - saves
    assert [path] == list((tmp_path / "raw").glob("*.json"))
    assert without_times(Run.read(path).rows) == without_times(uninterrupted)


def count_epochs(monkeypatch):
    trained, advance = [], Trainer.advance

    def counted(self):
        trained.append(self.network.name)
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", counted)
    return trained


def test_projections_continue_too(source, tmp_path, monkeypatch, whole):
    settings = Settings(source, epochs=2)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            experiment.measure(settings, tmp_path / "raw")
    run = experiment.measure(settings, tmp_path / "raw")
    for row, expected in zip(rows_of(run, "networks"), rows_of(whole, "networks"), strict=True):
        # OSQP starts from its last answer, so it returns other digits below its tolerance.
        assert row["test_mse"] == pytest.approx(expected["test_mse"], rel=1e-4)


def test_interrupted_while_timing_does_not_train_again(source, tmp_path, monkeypatch):
    settings = Settings(source, epochs=2, networks=EMBEDDED)
    with monkeypatch.context() as patch:
        patch.setattr(_experiment, "time_interleaved", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment.measure(settings, tmp_path / "raw")
    trained = count_epochs(monkeypatch)
    run = experiment.measure(settings, tmp_path / "raw")
    assert not trained
    assert [row["table"] for row in run.rows[:3]] == ["training", "training", "networks"]


def test_interrupted_before_the_end_mark_gives_no_double_rows(source, tmp_path, monkeypatch):
    settings = Settings(source, epochs=1, networks=EMBEDDED)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            experiment.measure(settings, tmp_path / "raw")
    run = experiment.measure(settings, tmp_path / "raw")
    assert len(rows_of(run, "networks")) == 1
    assert len(rows_of(run, "digits")) == 3 * 8


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


def of_another_network(path):
    save_checkpoint(path, {"network": {}, "optimizer": {}, "scheduler": {}, "rows": []})


@pytest.mark.parametrize("damage", [cut_in_half, flip_a_byte, empty, of_another_network])
def test_damaged_checkpoint_is_named_and_the_network_restarted(source, tmp_path, monkeypatch, capsys, damage):
    settings = Settings(source, epochs=3, networks=EMBEDDED)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            experiment.measure(settings, tmp_path / "raw")
    (checkpoint,) = (tmp_path / "checkpoints").glob("*/half_spaces.pt")
    damage(checkpoint)
    trained = count_epochs(monkeypatch)
    run = experiment.measure(settings, tmp_path / "raw")
    message = capsys.readouterr().err
    assert "half_spaces is trained from the start" in message
    assert str(checkpoint) in message or damage is of_another_network
    assert len(trained) == 3
    assert [row["epoch"] for row in rows_of(run, "training")] == [0, 1, 2]


def test_checkpoint_runs_no_code(tmp_path):
    torch.save({"network": Trainer}, tmp_path / "evil.pt")
    with pytest.raises(InvalidInputError, match="evil.pt is damaged"):
        load_checkpoint(tmp_path / "evil.pt")


def test_finished_run_is_left_alone_and_fresh_starts_anew(source, tmp_path):
    settings = Settings(source, epochs=1, networks=EMBEDDED)
    first = experiment.measure(settings, tmp_path / "raw")
    before = first.path.read_bytes()
    second = experiment.measure(settings, tmp_path / "raw", fresh=True)
    assert second.path != first.path
    assert first.path.read_bytes() == before


class Echo(_networks.AbstractNetwork):
    """A network with one weight, `w y`, that does what a test asks of it."""

    name, on_budget = "echo", True
    factor = 1.0

    def __init__(self, task):
        super().__init__(task)
        self.weight = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, y):
        return self.factor * self.weight * y


def trainer(factor=1.0, size=600):
    echo = Echo(Task.digits())
    echo.factor = factor
    images = torch.rand(size, 784, generator=torch.Generator().manual_seed(0))
    return Trainer(echo, images, images[:8], 0.1, seed=0)


def test_epoch_zero_only_measures():
    entry = trainer()
    first = entry.advance()
    assert entry.network.weight.item() == 0.5
    entry.advance()
    # Adam moves by its learning rate in each of the three steps.
    assert entry.network.weight.item() == pytest.approx(0.5 + 3e-4, rel=1e-3)
    images = entry.train.double()
    assert first["train_mse"] == pytest.approx((0.25 * images.square()).mean().item(), rel=1e-5)
    assert first["learning_rate"] == 1e-4


def test_the_penalty_is_the_mean_square_of_what_rows_are_broken_by():
    # Two of three sides broken by an inequality, one by an equality; the first and the last image break none.
    P = Polyhedron([[1.0, 1.0, 0.0], [0.0, 2.0, 0.0]], b=[1.0, np.inf], lower=[-np.inf, -4.0], C=[[0, 1, -1]])
    entry = Penalty(Task(P, P))
    x = torch.tensor([[1.0, 0, 0], [3, 1, 1], [0, -4, -4], [2, 2, 0], [0, 0, 0]], requires_grad=True)
    expected = (9 + 16 + (9 + 4)) / (5 * 3)
    assert entry.penalty(x).item() == pytest.approx(expected)
    entry.penalty(x).backward()
    assert torch.isfinite(x.grad).all() and not x.grad[0].any() and x.grad[1].any()
    assert set(entry.state_dict()) == {"linear.weight", "linear.bias"}


def test_the_penalty_agrees_with_the_judge_on_the_digits():
    task = Task.digits()
    x = torch.randn(5, 784, generator=torch.Generator().manual_seed(0))
    P, points = task.target, x.double().numpy()
    excess = np.maximum(points @ P.A.T - P.b, 0) + np.maximum(P.lower - points @ P.A.T, 0)
    assert Penalty(task).penalty(x).item() == pytest.approx(np.square(excess).mean(), rel=1e-5)


def test_the_penalty_is_learned_from_and_in_no_error_of_the_rows():
    class Penalised(Echo):
        def penalty(self, x):
            return 1e6 * self.weight

    plain, penalised = trainer(factor=1.0), trainer(factor=1.0)
    penalised.network = Penalised(Task.digits())
    penalised.optimizer = torch.optim.Adam(penalised.network.parameters(), lr=1e-4)
    assert plain.advance()["train_mse"] == penalised.advance()["train_mse"]  # of the measuring epoch
    first, second = plain.advance(), penalised.advance()
    assert first["train_mse"] == pytest.approx(second["train_mse"], rel=1e-2)
    assert plain.network.weight.item() > 0.5 > penalised.network.weight.item()


def test_no_network_has_a_penalty_but_one():
    task = Task.digits()
    x = torch.full((2, 784), 3.0)
    penalties = {
        name: network(name, task).penalty(x).item() for name in ("half_spaces", "unconstrained", "penalty")
    }
    assert penalties["half_spaces"] == penalties["unconstrained"] == 0 < penalties["penalty"]


def test_learning_rate_is_halved_on_a_plateau():
    entry = trainer(factor=0.0)
    rates = [entry.advance()["learning_rate"] for _ in range(9)]
    assert rates == [1e-4] * 7 + [5e-5] * 2


def test_restored_trainer_counts_the_stalled_epochs_on():
    first, second = trainer(factor=0.0), trainer(factor=0.0)
    for _ in range(5):
        first.advance()
    second.restore(first.state())
    assert [second.advance()["learning_rate"] for _ in range(4)] == [1e-4] * 2 + [5e-5] * 2
    assert [row["epoch"] for row in second.rows] == list(range(9))


def test_time_budget_stops_the_slow_networks_after_a_training_epoch():
    entry = trainer()
    assert entry.stop_reason(5, 1e-9) is None
    entry.advance()
    assert entry.stop_reason(5, 1e-9) is None
    entry.advance()
    assert entry.stop_reason(5, 1e-9) == "time budget 1e-09 s"
    assert entry.stop_reason(5, None) is None
    assert entry.stop_reason(5, 1e9) is None
    assert entry.stop_reason(2, 1e9) == "all epochs"
    entry.network.on_budget = False
    assert entry.stop_reason(5, 1e-9) is None


def test_budget_is_stated_in_the_row(source, tmp_path):
    require_projections()
    settings = Settings(source, epochs=5, projection_budget=1e-6, networks=("opt_projection",))
    (row,) = rows_of(experiment.measure(settings, tmp_path / "raw"), "networks")
    assert (row["epochs"], row["epochs_planned"], row["stopped"]) == (2, 5, "time budget 1e-06 s")


def test_loss_that_is_not_finite_is_an_error():
    with pytest.raises(EngineError, match="echo: epoch 0 ended with training error nan"):
        trainer(factor=math.nan).advance()


def test_failed_network_is_a_row_and_the_others_are_measured(source, tmp_path, monkeypatch, capsys):
    class Diverging(Echo):
        factor = math.nan

    monkeypatch.setattr(_networks, "NETWORKS", (*NETWORKS, Diverging))
    settings = Settings(source, epochs=1, networks=EMBEDDED)
    object.__setattr__(settings, "networks", (*EMBEDDED, "echo"))
    run = experiment.measure(settings, tmp_path / "raw")
    good, bad = rows_of(run, "networks")
    assert good["stopped"] == "all epochs"
    assert bad["stopped"].startswith("failed: echo: epoch 0")
    assert set(bad) == NETWORK
    assert bad["test_mse"] is bad["inference_seconds"] is None
    assert "echo failed" in capsys.readouterr().err
    assert "failed: echo" in experiment.summary(run)


def test_every_epoch_is_a_permutation_and_no_batch_has_one_image():
    for size in (1, 2, 256, 257, 513, 600):
        batches = _training.batch_indices(size, seed=0, epoch=1)
        assert sorted(torch.cat(batches).tolist()) == list(range(size))
        assert size == 1 or min(map(len, batches)) > 1
    assert not torch.equal(_training.batch_indices(99, 0, 1)[0], _training.batch_indices(99, 0, 2)[0])
    assert not torch.equal(_training.batch_indices(99, 0, 1)[0], _training.batch_indices(99, 1, 1)[0])


def test_box_scaling_is_reported_from_the_epoch_after_25():
    entry = network("half_spaces", Task.digits())
    assert [entry.set_epoch(epoch) for epoch in (0, 25, 26)] == [False, False, True]
    assert trainer().network.set_epoch(99) is False


def test_judge_separates_cone_and_box():
    task = Task.digits()
    sign = torch.as_tensor(task.cone.A.sum(0))
    x = torch.stack([-sign, 0.5 * sign, -1.25 * sign, torch.zeros(784)]).float()
    assert judge(task, x) == {
        "violation": 24.5,
        "cone_violation": 24.5,
        "box_violation": 0.25,
        "infeasible_share": 0.5,
    }


def test_slow_networks_get_fewer_rounds(monkeypatch):
    monkeypatch.setattr("bench.experiments._evaluation.MAX_ROUNDS", 9)
    monkeypatch.setattr("bench.experiments._evaluation.ROUNDS_SECONDS", 1.0)
    clock = iter(range(1000))
    monkeypatch.setattr("bench.timing.perf_counter", lambda: next(clock))
    seconds = time_interleaved({"a": Echo(Task.digits())}, torch.zeros(4, 784))
    assert seconds == {"a": [1, 1, 1]}


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="'v_parameterization', 'half_spaces'"):
        Settings(networks=("nothing",))
    with pytest.raises(UnknownNameError, match="'osqp', 'daqp', "):
        Settings(projection="nothing")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1; found 0"),
        ({"projection_budget": 0.0}, "more than 0 seconds; found 0.0"),
        ({"projection_budget": math.nan}, "more than 0 seconds; found nan"),
        ({"seed": -1}, "seed must not be negative; found -1"),
        ({"networks": ()}, "networks is empty"),
    ],
)
def test_bad_settings(values, message):
    with pytest.raises(InvalidInputError, match=message):
        Settings(**values)


def test_command_line():
    settings, results, fresh = parse([])
    assert settings == Settings()
    assert results.parts[-2:] == ("results", "raw")
    assert not fresh
    full, _, fresh = parse(["--full", "--networks", "half_spaces", "v_parameterization", "--fresh"])
    assert (full.epochs, full.projection_budget) == (500, None)
    assert full.networks == ("v_parameterization", "half_spaces")
    assert fresh
    assert parse(["--full", "--epochs", "3"])[0].epochs == 3


@pytest.mark.parametrize("arguments", [["--epochs", "0"], ["--networks", "x"], ["--projection", "x"], ["-x"]])
def test_bad_command_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_bad_data_ends_with_a_message(tmp_path, capsys):
    assert experiment.main(["--data", f"idx:{tmp_path / 'none'}", "--results", str(tmp_path / "raw")]) == 2
    assert "error: 'idx:DIR' needs a folder" in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()


def test_settings_know_the_data_by_content(source):
    digits = experiment.load(source)
    header = Settings(source).as_json(digits)
    assert header["data"] == "idx"
    assert header["fingerprint"] == digits.fingerprint()
    json.dumps(header)
