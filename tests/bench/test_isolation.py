"""A cell in its own process: what crashes, hangs or eats the memory costs its own row alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bench.grid import Cell, Grid
from bench.isolation import Limits, isolated_cell
from bench.methods import AbstractMethod, Prepared
from bench.rows import read_runs
from constrained.errors import EngineError

ROOT = Path(__file__).resolve().parents[2]
CPU, CELL = torch.device("cpu"), Cell("random_cone", (5, 3), batch=8)
TINY = Grid("tiny", (), budget=0.0)
PATIENT = Limits(setup=60.0, call=60.0, memory_mb=1e9)
HASTY = Limits(setup=2.0, call=2.0, memory_mb=1e9)

LARGE_MB = 1500
"""More than a process takes that has imported the packages: about 520."""

SET_UP, FIRST_CALL, TIMING = range(3)


class Does(AbstractMethod):
    """A projection that does something at one of the three stages; it is pickled, as all methods are."""

    role = "projection"

    def __init__(self, name, what=None, stage=SET_UP, plain=""):
        super().__init__(name)
        self.what, self.stage, self.plain = what, stage, plain

    def prepare(self, instance, target):
        calls = 0

        def run(y):
            nonlocal calls
            calls += 1
            if self.what is not None and calls == {FIRST_CALL: 1, TIMING: 3}.get(self.stage):
                self.what()
            return y

        if self.what is not None and self.stage == SET_UP:
            self.what()
        return Prepared(run, instance.polyhedron.n, projects=False)


def hang():
    time.sleep(1000)


def mark_and_hang(path):
    Path(path).touch()
    hang()


def exit_3():
    os._exit(3)


def eat():
    """More than the limit, then wait to be found."""
    kept = np.ones(LARGE_MB * 2**17)  # eight bytes each, written to
    time.sleep(1000)
    print(kept.sum())


def fresh():
    assert not torch.cuda.is_initialized()
    assert {"osqp", "scipy.optimize", "bench.suites"} <= set(sys.modules)


def start_child_and_hang():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    time.sleep(1000)


def rows(*methods, limits=PATIENT):
    return {row["method"]: row for row in isolated_cell(CELL, TINY, CPU, methods, limits=limits)}


def children():
    """The processes below this one, but for multiprocessing's servers, which stay."""
    return [p for p in psutil.Process().children(recursive=True) if p.ppid() != os.getpid() and alive(p)]


@pytest.mark.parametrize("stage", [SET_UP, FIRST_CALL, TIMING])
@pytest.mark.parametrize(
    ("what", "limits", "status", "text"),
    [
        (os.abort, PATIENT, "crashed", "was ended by SIGABRT"),
        (hang, HASTY, "timeout", "hung: no end after 2 s"),
    ],
)
def test_only_the_one_at_work_is_blamed_and_the_others_are_measured(what, limits, status, text, stage):
    found = rows(Does("before"), Does("bad", what, stage), Does("after"), limits=limits)
    assert list(found) == ["before", "bad", "after"]
    where = ("at the set-up", "at the first call", "while it was timed")[stage]
    assert found["bad"]["status"] == status and found["bad"]["reason"] == f"its process {text}, {where}"
    assert "seconds" not in found["bad"]
    for name in ("before", "after"):
        assert found[name]["status"] == "ok" and len(found[name]["seconds"]) == 3
    assert len({row["pass"] for row in found.values()}) == 1
    assert {found["bad"][key] for key in ("n", "m")} == {5, 3} and children() == []


def test_memory_is_limited():
    limits = Limits(setup=60.0, call=60.0, memory_mb=LARGE_MB)
    found = rows(Does("eater", eat), Does("good"), limits=limits)
    assert found["eater"]["status"] == "crashed" and found["good"]["status"] == "ok"
    assert "MB of memory, more than" in found["eater"]["reason"]


def test_several_bad_methods_each_cost_their_row():
    found = rows(Does("a", os.abort), Does("good"), Does("b", exit_3, TIMING))
    assert [found[name]["status"] for name in ("a", "good", "b")] == ["crashed", "ok", "crashed"]
    assert found["b"]["reason"] == "its process ended with exit code 3, while it was timed"


def test_a_cell_of_bad_methods_alone_is_rows_too():
    assert rows(Does("a", os.abort))["a"]["status"] == "crashed"


def test_a_strict_variant_of_what_crashed_is_not_tried():
    found = rows(Does("map", os.abort), Does("map_strict", hang, plain="map"), Does("good"))
    assert found["map_strict"]["reason"] == found["map"]["reason"] and found["good"]["status"] == "ok"


def test_processes_that_a_method_started_end_with_it():
    assert rows(Does("parent", start_child_and_hang), limits=HASTY)["parent"]["status"] == "timeout"
    assert children() == []


def test_what_the_harness_cannot_do_is_one_error():
    with pytest.raises(EngineError, match="could not be measured.*tile must divide"):
        isolated_cell(Cell("checkerboard", (5, 5, 2)), TINY, CPU, [Does("good")])


def test_processes_are_forked_with_everything_imported_and_without_cuda():
    """A CUDA context does not survive a fork; what is not imported would count as set-up."""
    row = rows(Does("looks", fresh))["looks"]
    assert row["status"] == "ok", row["reason"]


def test_a_child_that_hangs_ends_with_a_parent_that_is_killed(tmp_path):
    mark = tmp_path / "hangs"
    code = (
        "from functools import partial\nfrom tests.bench.test_isolation import *\n"
        f"rows(Does('hangs', partial(mark_and_hang, {str(mark)!r})))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as parent:
        until(mark.exists, 120)
        below = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    until(lambda: not any(alive(process) for process in below), 30)


def test_a_killed_run_continues(tmp_path):
    """`kill -9` in the middle of a grid: at most the cell at work is lost, and each row is there once."""
    command = [sys.executable, "-m", "bench", "run", "--grid", "smoke", "--raw", str(tmp_path)]
    command += ["--filter", "[it]*6x9*/linear"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as run:
        until(lambda: any(tmp_path.glob("*.json")), 120)
        run.kill()
    (before,) = read_runs(tmp_path, ["inference"])
    assert before.rows and not before.finished
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=240)
    (after,) = read_runs(tmp_path, ["inference"])
    assert after.rows[: len(before.rows)] == before.rows
    keys = [(row["table"], row["cell"], row["method"]) for row in after.rows]
    assert len(set(keys)) == len(keys)
    assert [key[0] for key in keys if key[2] == "linear"] == ["inference", "training_step"]


def alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
