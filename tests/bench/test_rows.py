"""Run files: append-only, atomic, continued, never half-read."""

import json
import os

import pytest

from bench import rows
from bench.rows import Run, read_runs, write_atomic
from constrained import InvalidInputError

SETTINGS = {"grid": "tiny", "sizes": (1, 2)}


def test_an_unfinished_run_is_continued(tmp_path):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1}, {"a": 2})
    again = Run.open(tmp_path, "inference", SETTINGS)
    assert again.path == run.path and again.rows == [{"a": 1}, {"a": 2}]
    again.add({"a": 3})
    assert [row["a"] for row in Run.read(run.path).rows] == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        lambda run: Run.open(run.path.parent, "inference", SETTINGS | {"grid": "other"}),
        lambda run: Run.open(run.path.parent, "other", SETTINGS),
        lambda run: Run.open(run.path.parent, "inference", SETTINGS, fresh=True),
        lambda run: Run.open(run.path.parent, "inference", SETTINGS, device="NVIDIA H100"),
        lambda run: (run.finish(), Run.open(run.path.parent, "inference", SETTINGS))[1],
    ],
)
def test_anything_else_starts_a_new_run(tmp_path, change):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1})
    other = change(run)
    assert other.path != run.path and other.rows == []


def test_another_machine_does_not_continue_it(tmp_path, monkeypatch):
    Run.open(tmp_path, "inference", SETTINGS).add({"a": 1})
    machine = rows.describe_machine("cpu")
    monkeypatch.setattr(rows, "describe_machine", lambda device: machine | {"cpu": "another"})
    assert Run.open(tmp_path, "inference", SETTINGS).rows == []


def test_the_header_says_where_and_with_what(tmp_path):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1})
    header = json.loads(run.path.read_text())["run"]
    assert header["machine"]["versions"]["torch"] and header["machine"]["threads"] >= 1
    assert header["started"] and header["finished"] is None and header["settings"]["sizes"] == [1, 2]


@pytest.mark.parametrize("cut", [0, 1, 40, -3])
def test_a_file_that_was_cut_off_is_named(tmp_path, cut):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1})
    run.path.write_text(run.path.read_text()[:cut])
    with pytest.raises(InvalidInputError, match=f"{run.path.name}.*move it away"):
        read_runs(tmp_path, ["inference"])


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_atomic(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["table.csv"]


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path, monkeypatch):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1})

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.add({"a": 2})
    monkeypatch.undo()
    assert Run.read(run.path).rows == [{"a": 1}]
    assert [path.name for path in tmp_path.iterdir()] == [run.path.name]


def test_nan_is_not_written_as_if_it_were_a_number(tmp_path):
    run = Run.open(tmp_path, "inference", SETTINGS)
    with pytest.raises(ValueError, match="JSON"):
        run.add({"a": float("nan")})
    assert not run.path.exists()
