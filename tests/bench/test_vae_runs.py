"""Whole runs of the autoencoders on a handful of digits: finished, interrupted, damaged, bad input."""

import errno
import json
import sys
import types

import numpy as np
import pytest
import torch

from bench.__main__ import main as bench_main
from bench._tables_io import read_table
from bench.experiments import EXPERIMENTS
from bench.experiments._checkpoints import load_checkpoint, save_checkpoint
from bench.experiments.vae import _board, _experiment, _timing, command
from bench.experiments.vae._methods import FREE, METHOD_NAMES, PROJECTED
from bench.experiments.vae._settings import PRESETS, Places, Settings, parse
from bench.experiments.vae._training import Trainer
from bench.rows import Run
from bench.schema import TABLES
from bench.tables import build_tables
from constrained.errors import EngineError, InvalidInputError, MissingDependencyError, UnknownNameError

METHODS = ("half_spaces", PROJECTED, FREE, "nonnegative_code")
EPOCHS, RATES, SEEDS = 2, (1e-3, 4e-3), 2
TRAININGS = len(METHODS) * (len(RATES) + SEEDS - 1)
TIMES = {"seconds", "train_seconds"}

pytest.importorskip("osqp", reason="osqp is optional")


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
def short():
    """Three rounds of timing, and a checkpoint after every epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_timing, "BUDGET", 1e-4)
        patch.setattr(_experiment, "CHECKPOINT_SECONDS", 0.0)
        yield


def settings(source, **options):
    tiny = {
        "methods": METHODS, "seeds": SEEDS, "learning_rates": RATES, "epochs": EPOCHS, "batch_size": 16,
        "latent": 3, "hidden": 8, "samples": 2, "judged_samples": 6, "timed_samples": 4, "projections": (),
    }  # fmt: skip
    return Settings(source, **tiny | options)


@pytest.fixture(scope="module")
def whole(source, short, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return command.measure(settings(source), Places(folder / "raw"))


@pytest.fixture(scope="module")
def small(source, short, tmp_path_factory):
    """One seed, one rate, one method with what it is compared with."""
    return command.measure(one(source), Places(tmp_path_factory.mktemp("small") / "raw"))


def one(source, **options):
    return settings(source, **{"seeds": 1, "learning_rates": (1e-3,), "methods": ("half_spaces",)} | options)


def of(run, table):
    return [row for row in run.rows if row["table"] == table]


def without_times(rows):
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def test_every_training_is_a_row_with_its_epochs(whole):
    assert whole.finished
    results, epochs = of(whole, "vae"), of(whole, "vae_training")
    assert len(results) == TRAININGS and len(epochs) == TRAININGS * (EPOCHS + 1)
    tried = {(row["method"], row["seed"], row["learning_rate"]) for row in results}
    assert len(tried) == TRAININGS
    for name in METHODS:
        first = {
            row["learning_rate"]: row["val_elbo"]
            for row in results
            if row["method"] == name
            if not row["seed"]
        }
        (rate,) = {row["learning_rate"] for row in results if row["method"] == name if row["seed"]}
        assert set(first) == set(RATES) and first[rate] == max(first.values())
    assert all(row["status"] == "ok" for row in results)
    for row in results:
        last = [e for e in epochs if all(e[k] == row[k] for k in ("method", "seed", "learning_rate"))][-1]
        assert last["epoch"] == EPOCHS and last["seconds"] == row["train_seconds"]
        assert row["val_elbo"] == pytest.approx(last["val_elbo"], rel=0.05)  # other draws of the same
        assert row["val_elbo"] == pytest.approx(row["val_reconstruction"] - row["val_divergence"])


def test_what_is_promised_holds_and_what_is_not_does_not(whole):
    for row in of(whole, "vae"):
        broken = max(row["sample_violation"], row["reconstruction_violation"])
        assert (broken < 1e-4) == (row["method"] != FREE)
        if row["method"] in ("half_spaces", "nonnegative_code"):
            strict = [value for name, value in row.items() if name.startswith("strict_")]
            assert strict == [0.0] * 4
        else:
            assert not [name for name in row if name.startswith("strict_")]


def test_methods_take_turns_in_the_timing_and_a_projection_is_named(whole):
    found = {(row["method"], row["projection"], row["strict"]): row for row in of(whole, "vae_timing")}
    assert set(found) == {
        ("half_spaces", "", False), ("half_spaces", "", True), (PROJECTED, "osqp", False), (FREE, "", False),
    }  # fmt: skip
    assert all(len(row["seconds"]) >= 3 and row["samples"] == 4 for row in found.values())


def test_pictures_of_every_method(whole):
    rows = of(whole, "vae_images")
    assert {row["panel"] for row in rows} == {"input", *METHODS}
    assert {row["panel"] for row in rows if row["kind"] == "walk"} == {FREE, "nonnegative_code"}
    assert all(len(row["pixels"]) == 784 for row in rows)


def test_tables_are_built_from_the_rows_and_read_back(whole, tmp_path):
    build_tables(whole.path.parent, tmp_path)
    (folder,) = tmp_path.iterdir()
    tables = {
        name: read_table(folder / f"{name}.csv", TABLES[name]) for name in TABLES if name.startswith("vae")
    }
    assert [row["method"] for row in tables["vae"]] == list(METHODS)
    assert {row["seeds"] for row in tables["vae"]} == {SEEDS} and {row["sigma"] for row in tables["vae"]} == {
        0.6
    }
    assert len(tables["vae_training"]) == len(METHODS) * (EPOCHS + 1)
    assert len(tables["vae_images"]) == len(of(whole, "vae_images"))
    projected = next(row for row in tables["vae"] if row["method"] == PROJECTED)
    assert projected["speedup_osqp"] == 1 and projected["fastest"] == 1 and projected["val_difference"] == 0


def test_the_summary_names_every_method(whole):
    text = command.summary(whole)
    assert all(name in text for name in METHODS) and str(whole.path) in text


def interrupt_after(monkeypatch, saves):
    """Ctrl-C as soon as this many checkpoints are written."""
    count = iter(range(1, 1000))

    def save(path, state):
        save_checkpoint(path, state)
        if next(count) == saves:
            raise KeyboardInterrupt

    monkeypatch.setattr(_experiment, "save_checkpoint", save)


def count_epochs(monkeypatch):
    trained, advance = [], Trainer.advance

    def counted(self):
        trained.append(str(self.job))
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", counted)
    return trained


@pytest.mark.parametrize("saves", [2, 3, 16, 31])
def test_an_interrupted_run_goes_on_to_the_same_numbers(source, whole, tmp_path, monkeypatch, saves):
    places = Places(tmp_path / "raw")
    with monkeypatch.context() as patch:
        interrupt_after(patch, saves)
        with pytest.raises(KeyboardInterrupt):
            command.measure(settings(source), places)
    trained = count_epochs(monkeypatch)
    run = command.measure(settings(source), places)
    assert len(trained) == TRAININGS * (EPOCHS + 1) - saves
    assert [run.path] == list(places.results.glob("*.json"))
    for table in ("vae_training", "vae", "vae_images"):
        assert without_times(of(run, table)) == without_times(of(whole, table))


def test_a_run_that_ended_in_the_timing_trains_nothing_again(source, tmp_path, monkeypatch):
    chosen, places = one(source), Places(tmp_path / "raw")

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_experiment, "picture_rows", stop)
        with pytest.raises(KeyboardInterrupt):
            command.measure(chosen, places)
    trained = count_epochs(monkeypatch)
    run = command.measure(chosen, places)
    assert not trained and len(of(run, "vae_timing")) == 4  # the times are taken again, not twice


def test_a_finished_run_is_left_alone_and_one_of_other_digits_is_another(source, whole, tmp_path):
    before = whole.path.read_bytes()
    chosen = one(source)
    run = command.measure(chosen, Places(whole.path.parent, fresh=True))
    assert run.path != whole.path and whole.path.read_bytes() == before


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_more_epochs(path):
    state = load_checkpoint(path)
    state["belongs"]["epochs"] = 99
    save_checkpoint(path, state)


def of_another_network(path):
    state = load_checkpoint(path)
    state["weights"] = {}
    save_checkpoint(path, state)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_in_half, "is damaged"),
        (of_more_epochs, "another configuration"),
        (of_another_network, "does not fit"),
    ],
)
def test_a_bad_checkpoint_is_named_and_its_training_made_anew(
    source, small, tmp_path, monkeypatch, capsys, damage, said
):
    places = Places(tmp_path / "raw")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            command.measure(one(source), places)
    (path,) = (tmp_path / "checkpoints").rglob("*.pt")
    damage(path)
    run = command.measure(one(source), places)
    message = capsys.readouterr().err
    assert str(path) in message and said in message and "is trained from the start" in message
    assert without_times(of(run, "vae")) == without_times(of(small, "vae"))


@pytest.mark.parametrize("after", [0, 1, 9])
def test_a_full_disk_is_an_error_and_what_was_written_is_intact(
    source, whole, tmp_path, monkeypatch, capsys, after
):
    raw, count = tmp_path / "raw", iter(range(1000))
    raw.mkdir()
    earlier = raw / whole.path.name
    earlier.write_bytes(whole.path.read_bytes())

    def full(handle):
        if next(count) >= after:
            raise OSError(errno.ENOSPC, "No space left on device")

    chosen = one(source)
    with monkeypatch.context() as patch:
        patch.setattr("bench.rows.os.fsync", full)
        patch.setattr(command, "parse", lambda argv: (chosen, Places(raw)))
        assert command.main([]) == 2
    assert "error: " in (message := capsys.readouterr().err) and "No space left on device" in message
    assert earlier.read_bytes() == whole.path.read_bytes()
    assert not [path for path in tmp_path.rglob(".*")], "a temporary file is left"
    for path in raw.glob("*.json"):
        Run.read(path)
    assert command.measure(chosen, Places(raw)).finished


def test_a_run_changes_no_global_state(source, tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    command.measure(one(source), Places(tmp_path / "raw"))
    assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads


def test_a_method_that_fails_is_a_row_and_the_others_are_measured(source, tmp_path, monkeypatch, capsys):
    advance = Trainer.advance

    def failing(self):
        if self.job.method.name == "half_spaces":
            raise EngineError("it went wrong")
        return advance(self)

    monkeypatch.setattr(Trainer, "advance", failing)
    chosen = one(source)
    monkeypatch.setattr(command, "parse", lambda argv: (chosen, Places(tmp_path / "raw")))
    assert command.main([]) == 1
    out, err = capsys.readouterr()
    assert "half_spaces-0.001-0 failed: it went wrong" in err and "failed: it went wrong" in out
    (path,) = (tmp_path / "raw").glob("*.json")
    assert {row["status"] for row in of(Run.read(path), "vae")} == {"ok", "failed"}


def test_an_elbo_that_is_not_finite_is_an_error_with_the_rate(source, tmp_path, capsys):
    run = command.measure(one(source, learning_rates=(1e30,)), Places(tmp_path / "raw"))
    assert {row["status"] for row in of(run, "vae")} == {"failed"}
    assert "smaller learning rate than 1e+30" in of(run, "vae")[0]["reason"]


def test_curves_go_to_a_writer_on_request(source, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            self.folder = folder

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

        def add_scalar(self, name, value, step):
            written.append((self.folder, name, step))

    fake = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setattr(_board, "require", lambda name, extra: None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    chosen = one(source, methods=(FREE,))
    command.measure(chosen, Places(tmp_path / "raw", tensorboard=tmp_path / "board"))
    mine = {(name, step) for folder, name, step in written if folder.endswith(f"{FREE}-0.001-0")}
    assert ("val_elbo", 0) in mine and ("train_elbo", EPOCHS) in mine and ("train_elbo", 0) not in mine


def test_without_tensorboard_the_request_says_what_to_install(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"constrained\[tensorboard\]"):
        _board.Board(tmp_path)
    _board.Board(None).add("nothing", {"epoch": 0})


@pytest.mark.parametrize("make", ["none", "empty", "damaged"])
def test_bad_data_ends_with_a_message_and_no_file(tmp_path, capsys, make):
    folder = tmp_path / make
    if make != "none":
        folder.mkdir()
    if make == "damaged":
        (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
        (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\0")
    said = {"none": "needs a folder", "empty": "no file train-images", "damaged": "is truncated"}[make]
    argv = ["run", "vae", "--data", f"idx:{folder}", "--results", str(tmp_path / "raw")]
    assert bench_main(argv) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "raw").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_cuda_device_is_said(capsys):
    assert command.main(["--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_interruption_is_said(monkeypatch, capsys):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure", stop)
    assert command.main([]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_command_line():
    chosen, places = parse([])
    assert chosen == Settings() and places.results.parts[-2:] == ("results", "raw")
    assert not places.fresh and places.tensorboard is None
    assert chosen.methods == METHOD_NAMES and chosen.seeds == 5
    full, places = parse(
        ["--preset", "full", "--seeds", "2", "--methods", "blocks", "--fresh", "--epochs", "3"]
    )
    assert (full.seeds, full.epochs, full.hidden) == (2, 3, PRESETS["full"]["hidden"])
    assert full.methods == ("blocks", PROJECTED, FREE) and places.fresh
    assert "vae" in EXPERIMENTS


@pytest.mark.parametrize(
    "argv",
    [
        ["--epochs", "0"], ["--seeds", "0"], ["--learning-rates", "0"], ["--learning-rates", "nan"],
        ["--methods", "nothing"], ["--projections", "nothing"], ["--preset", "slow"], ["--device", "tpu"],
        ["--batch-size", "-1"],
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 2 and "error:" in capsys.readouterr().err


def test_bad_settings():
    with pytest.raises(InvalidInputError, match="no method is named"):
        Settings(methods=())
    with pytest.raises(UnknownNameError, match="unknown method 'x'"):
        Settings(methods=("x",))
    json.dumps(Settings().as_json(types.SimpleNamespace(name="d", fingerprint=lambda: "f")))
