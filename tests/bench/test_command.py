"""`python -m bench`: help, list, errors in one line, and the benchmarks without optional solvers."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import COMMANDS, main
from bench.methods import METHODS
from constrained import ConstraintError

ROOT = Path(__file__).resolve().parents[2]


def test_no_command_shows_them_all(capsys):
    assert main([]) == 2 and main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_list_shows_every_method(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(method.name in out for method in METHODS)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (ConstraintError("what to do"), 1, "error: what to do"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (KeyboardInterrupt(), 130, "what was measured is kept"),
    ],
)
def test_trouble_is_a_line_and_an_exit_code(monkeypatch, capsys, error, code, text):
    def command(argv):
        raise error

    monkeypatch.setitem(COMMANDS, "list", command)
    assert main(["list"]) == code and text in capsys.readouterr().err


def test_an_unknown_grid_is_a_line(capfd):
    assert main(["run", "--grid", "hug"]) == 4
    assert "unknown grid 'hug'; available: 'smoke'" in capfd.readouterr().err


class TestContinuing:
    """The session object behind the benchmarks, with the measurement replaced."""

    @pytest.fixture
    def bench(self, monkeypatch, tmp_path):
        from bench import conftest

        class Config:
            def getoption(self, name):
                return {"grid": "smoke", "fresh": False}[name]

        measured = []

        def fake(cell, chosen, device, methods):
            measured.append(str(cell))
            if len(measured) == 2:
                raise KeyboardInterrupt
            return [{"cell": str(cell), "method": m.name, "status": "ok"} for m in methods]

        monkeypatch.setattr(conftest, "measure_cell", fake)

        def make():
            bench = conftest.Bench(Config(), tmp_path)
            for cell in bench.grid.cells:
                bench.wanted[str(cell), "cpu"] = {m.name for m in METHODS}
            return bench

        return make, measured

    def test_ctrl_c_keeps_the_rows_and_the_same_command_continues(self, bench):
        make, measured = bench
        first, second = make().grid.cells
        stopped = make()
        stopped.row(first, "cpu", "linear")
        with pytest.raises(KeyboardInterrupt):
            stopped.row(second, "cpu", "linear")
        again = make()
        assert again.run("cpu").path == stopped.run("cpu").path
        for cell in (first, second):
            for method in METHODS:
                assert again.row(cell, "cpu", method.name)["method"] == method.name
        again.finish()
        assert measured == [str(first), str(second), str(second)]
        assert again.run("cpu").finished and make().run("cpu").rows == []


def test_benchmarks_run_without_the_optional_solvers(tmp_path):
    """In a fresh interpreter in which the solvers and ray engines cannot be found."""
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "gone = {'osqp', 'daqp', 'cvxpy', 'ppl', 'flint', 'cdd'}\n"
        "u.find_spec = lambda name, package=None: None if name in gone else real(name, package)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--benchmark-only",
            "--grid",
            "smoke",
            "-q",
            "-rs",
            "-k",
            "random_cone",
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("osqp", "daqp", "cvxpy", "rays", "paper_layer"):
        assert f"{name}: skipped: the package" in done.stdout, done.stdout
    assert "1 passed" in done.stdout  # the yardstick


def test_make_bench_cuda_says_so_where_there_is_no_device(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    done = subprocess.run(
        ["sh", "bench/cuda.sh"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "no CUDA device here" in done.stderr
    assert not (ROOT / ".venv-cuda").exists()
