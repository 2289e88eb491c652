"""Run files: append-only, atomic, continued, never half-read."""

import json
import os
import sys

import pytest

from bench import machine, rows
from bench.migrations import FORMAT
from bench.rows import RESULTS, Run, read_runs, write_atomic
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
    assert header["machine"]["blas"]["torch"] and header["machine"]["gpu"] is None
    assert header["command"] and {"load"} <= set(header)


@pytest.mark.parametrize("cut", [0, 1, 40, -3])
def test_a_file_that_was_cut_off_is_named(tmp_path, cut):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.add({"a": 1})
    run.path.write_text(run.path.read_text()[:cut])
    with pytest.raises(InvalidInputError, match=f"{run.path.name}.*move it away"):
        read_runs(tmp_path, ["inference"])


def test_a_header_without_its_facts_is_named(tmp_path):
    run = Run.open(tmp_path, "inference", SETTINGS)
    del run.header["started"]
    run.add({"a": 1})
    with pytest.raises(InvalidInputError, match=f"{run.path.name}.*KeyError: 'started'.*move it away"):
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


def test_the_rows_that_are_kept_are_all_read():
    """The files in results/raw stay as they were written, whatever the format of today."""
    paths = sorted((RESULTS / "raw").glob("*.json"))
    assert paths
    for path in paths:
        run = Run.read(path)
        assert run.header["format"] == FORMAT and run.header["machine"]["name"] is not None
        cells = [row for row in run.rows if "cell" in row]
        assert all({"threads", "cache"} <= set(row) for row in cells)
        assert all("calls" in row for row in cells if "seconds" in row)


def test_a_file_of_format_1_gets_what_it_meant(tmp_path):
    header = {"format": 1, "kind": "inference", "settings": {}, "started": "2026-01-01", "finished": None}
    header |= {"machine": {"device": "cpu", "cpu": "A", "threads": 3}}
    path = tmp_path / "inference-cpu-1.json"
    path.write_text(json.dumps({"run": header, "rows": [{"cell": "c", "seconds": [1.0]}, {"epoch": 1}]}))
    run = Run.read(path)
    assert run.rows == [
        {"cell": "c", "seconds": [1.0], "calls": 1, "threads": 3, "cache": "warm"},
        {"epoch": 1},
    ]
    assert run.header["machine"]["cpu"] == "A" and run.header["machine"]["blas"] is None
    assert run.header["command"] is None and run.header["started"] == "2026-01-01"
    run.add({"epoch": 2})
    assert json.loads(path.read_text())["run"]["format"] == FORMAT and len(Run.read(path).rows) == 3


@pytest.mark.parametrize("found", [FORMAT + 1, 0, "1", None])
def test_a_file_of_an_unknown_format_says_so(tmp_path, found):
    run = Run.open(tmp_path, "inference", SETTINGS)
    run.header["format"] = found
    run.add({"a": 1})
    with pytest.raises(InvalidInputError, match=f"has format {found}, expected 1 to {FORMAT}.*newer"):
        Run.read(run.path)


def test_a_named_machine_has_files_of_its_own(tmp_path, monkeypatch):
    Run.open(tmp_path, "inference", SETTINGS).add({"a": 1})
    monkeypatch.setenv(machine.NAME, "")  # so that it is taken away again after the test
    assert machine.take_machine(["--grid", "quick", "--machine", "My Laptop", "-k", "a"]) == [
        "--grid",
        "quick",
        "-k",
        "a",
    ]
    named = Run.open(tmp_path, "inference", SETTINGS)
    assert named.rows == [] and named.path.name.startswith("inference-my-laptop-")
    assert named.header["machine"]["name"] == "my-laptop"
    gpu = Run.open(tmp_path, "inference", SETTINGS, device="NVIDIA H100")
    assert gpu.path.name.startswith("inference-my-laptop-nvidia-h100-")
    with pytest.raises(InvalidInputError, match=r"letters or digits, found '\.\./'"):
        machine.take_machine(["--machine", "../"])


def test_the_command_line_is_kept_without_folders(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/home/joe/bench/__main__.py", "run", "--raw=/home/joe/my raw", "/data", "results/raw"]
    )
    assert machine.command_line() == "python -m bench run --raw=my raw data results/raw"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product\n BLAS_INFO=mkl,", "mkl 2024.2"),
        ("BLAS_INFO=open, LAPACK_INFO=open", "open"),
        ("something else", None),
    ],
)
def test_the_blas_of_torch_is_read_from_its_own_words(config, found):
    assert machine._torch_blas(config) == found
