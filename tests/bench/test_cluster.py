"""The grid by several workers: merged by key, nothing twice, nothing lost when a worker is killed."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench import cluster
from bench.__main__ import main
from bench.grid import grid
from bench.rows import Run, read_runs
from constrained.errors import EngineError, InvalidInputError

pytest.importorskip("submitit", reason="the extra 'bench' is not installed: submitit")

ROOT = Path(__file__).resolve().parents[2]
SMOKE = grid("smoke")


class Job:
    """A job that ended before it is asked about."""

    def __init__(self, error=None):
        self.error = error

    def done(self):
        return True

    def exception(self):
        return self.error


class Executor:
    """Works where it is submitted; the first job is killed before its second cell."""

    def __init__(self, kills=1):
        self.submitted, self.kills = [], kills

    def submit(self, work, todo, *arguments):
        self.submitted.append(len(todo))
        killed, self.kills = self.kills > 0, self.kills - 1
        try:
            work(todo[:1] if killed else todo, *arguments)
        except EngineError as error:
            return Job(error)
        return Job(RuntimeError("ignored\nhas no result") if killed else None)


@pytest.fixture
def measured(monkeypatch):
    """Cells measured, with the measurement replaced."""
    cells = []

    def fake(cell, chosen, device, methods, table):
        cells.append((table, str(cell)))
        key = {"table": table, "cell": str(cell), "status": "ok"}
        return [key | {"method": m.name} for m in methods]

    monkeypatch.setattr(cluster, "isolated_cell", fake)
    return cells


def run_in(folder, executor, expression="", workers=2):
    run = Run.open(folder, "inference", SMOKE.settings)
    cluster.measure_grid(SMOKE, expression, "cpu", run, executor, workers)
    return Run.read(run.path)


def keys(run):
    return [(row["table"], row["cell"], row["method"]) for row in run.rows]


def test_what_a_killed_worker_left_is_handed_out_anew_and_nothing_twice(tmp_path, measured):
    executor = Executor()
    run = run_in(tmp_path, executor)
    wanted = {(table, str(cell), method.name) for table, cell, method in cluster.items(SMOKE)}
    assert sorted(keys(run)) == sorted(wanted) and run.finished
    assert len(measured) == len(set(measured)) == sum(executor.submitted[:2])
    assert sum(executor.submitted[2:]) == executor.submitted[0] - 1
    assert all(row["cpu"] for row in run.rows)
    assert os.listdir(tmp_path) == [run.path.name]


def test_what_is_there_is_not_measured_again(tmp_path, measured):
    first = run_in(tmp_path, Executor(kills=0), "planning")
    assert not first.finished and {table for table, _ in measured} == {"planning"}
    before = list(measured)
    second = run_in(tmp_path, Executor(kills=0))
    assert second.path == first.path and second.finished and len(set(measured)) == len(measured)
    assert measured[: len(before)] == before and len(set(keys(second))) == len(second.rows)


def test_a_part_of_a_command_that_was_killed_is_merged(tmp_path, measured):
    run = Run.open(tmp_path, "inference", SMOKE.settings)
    run.add()
    (task,) = cluster.tasks(SMOKE, "planning", run)
    cluster.parts(run).mkdir()
    cluster.work([task], SMOKE, "cpu", cluster.parts(run))
    assert len(measured) == 1
    assert run_in(tmp_path, Executor(kills=0)).rows[0]["table"] == "planning"
    assert measured.count(measured[0]) == 1


def test_a_part_with_new_rows_keeps_those_that_they_are_compared_with(tmp_path):
    run = Run.open(tmp_path, "inference", SMOKE.settings)
    row = {"table": "t", "cell": "c", "method": "linear", "pass": 1}
    run.add(row)
    part = tmp_path / "parts"
    part.mkdir()
    new = [row | {"pass": 2}, row | {"method": "shift", "pass": 2}]
    (part / "a.json").write_text(json.dumps(new))
    (part / "b.json").write_text(json.dumps([row | {"pass": 3}]))
    cluster.merge(run, part)
    assert run.rows == [row, *new] and not list(part.iterdir())


def test_a_cell_that_cannot_be_measured_is_named_and_the_others_are_kept(tmp_path, measured, monkeypatch):
    works, asked = cluster.isolated_cell, []

    def fails(cell, chosen, device, methods, table):
        if table == "planning":
            asked.append(cell)
            raise EngineError("out of luck")
        return works(cell, chosen, device, methods, table)

    monkeypatch.setattr(cluster, "isolated_cell", fails)
    with pytest.raises(EngineError, match="not measured in 3 attempts: planning/.*: out of luck"):
        run_in(tmp_path, Executor(kills=0))
    (run,) = read_runs(tmp_path, ["inference"])
    assert len(asked) == 3 and not run.finished
    assert {row["table"] for row in run.rows} == {table for table, _ in measured} != set()


def test_a_filter_that_fits_nothing_is_an_error(tmp_path, measured):
    with pytest.raises(InvalidInputError, match="fits no row of the grid 'smoke'; rows are named"):
        run_in(tmp_path, Executor(), "nosuch")
    assert os.listdir(tmp_path) == []


def test_slurm_without_slurm_is_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert main(["cluster", "--grid", "smoke", "--executor", "slurm", "--raw", str(tmp_path)]) == 1
    assert "needs the command sbatch" in capsys.readouterr().err


def test_two_local_workers_one_of_them_killed(tmp_path):
    """The real thing: submitit's local executor, two cells, and `kill -9` of the first worker seen."""
    command = [sys.executable, "-m", "bench", "cluster", "--grid", "smoke", "--workers", "2"]
    command += ["--filter", "[it]*6x9*/linear", "--raw", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        worker = first_worker(run.pid)
        for process in [worker, *worker.children(recursive=True)]:
            with suppress(psutil.Error):
                process.kill()
        assert run.stderr is not None
        text = run.stderr.read()
    assert run.returncode == 0, text
    (found,) = read_runs(tmp_path, ["inference"])
    assert len(set(keys(found))) == len(found.rows)
    assert {key[0] for key in keys(found) if key[2] == "linear"} == {"inference", "training_step"}


def first_worker(pid):
    """The controller of the first job below a process."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for process in psutil.Process(pid).children():
            with suppress(psutil.Error):  # it ended meanwhile
                if "submitit.local._local" in process.cmdline():
                    return process
        time.sleep(0.05)
    raise AssertionError("no worker was started")
