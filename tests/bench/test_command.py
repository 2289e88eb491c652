"""`python -m bench`: help, list, errors in one line, and the benchmarks without optional solvers."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import COMMANDS, main
from bench.grid import grid
from bench.methods import METHODS
from bench.suites import SUITES, cells_of, items, methods_at
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


@pytest.mark.parametrize("name", ["smoke", "cuda"])  # every table has cells, and not every one has
def test_a_filter_that_fits_nothing_is_a_line(capfd, name):
    assert main(["run", "--grid", name, "--filter", "nosuch"]) == 4
    text = capfd.readouterr().err
    assert (
        f"--filter 'nosuch' fits no row of the grid '{name}'; rows are named table/cell/method, e.g. " in text
    )
    assert re.search(r"e\.g\. '\w+/\w+-\w+-batch[\w-]+/[\w@]+'", text)


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
                return {"grid": "smoke", "fresh": False, "cache": "warm", "in_process": False}[name]

        measured, asked = [], []

        def fake(cell, chosen, device, methods, table):
            measured.append((table, str(cell)))
            asked.append([m.name for m in methods])
            if len(measured) == 2:
                raise KeyboardInterrupt
            key = {"table": table, "cell": str(cell)}
            return [key | {"method": m.name, "status": "ok"} for m in methods]

        monkeypatch.setattr(conftest, "isolated_cell", fake)

        def make(*names):
            bench = conftest.Bench(Config(), tmp_path)
            for table, cell, method in items(bench.grid):
                if not names or method.name in names:
                    bench.wanted.setdefault((table, str(cell), "cpu"), set()).add(method.name)
            return bench

        return make, measured, asked

    def test_ctrl_c_keeps_the_rows_and_the_same_command_continues(self, bench):
        make, measured, _ = bench
        first, second = make().grid.cells[:2]
        stopped = make()
        stopped.row("inference", first, "cpu", "linear")
        with pytest.raises(KeyboardInterrupt):
            stopped.row("inference", second, "cpu", "linear")
        again = make()
        assert again.run("cpu").path == stopped.run("cpu").path
        everything = items(again.grid)
        for table, cell, method in everything:
            assert again.row(table, cell, "cpu", method.name)["method"] == method.name
            again.finish()
            assert again.run("cpu").finished == (cell is everything[-1][1] and table == list(SUITES)[-1])
        cells = list(dict.fromkeys((table, str(cell)) for table, cell, _ in everything))
        assert measured == [cells[0], cells[1], *cells[1:]]
        assert again.run("cpu").finished and make().run("cpu").rows == []

    def test_a_cell_that_cannot_be_measured_is_tried_once(self, bench, monkeypatch):
        make, _, _ = bench
        chosen, tried = make(), []

        def fails(*arguments):
            tried.append(arguments)
            raise ConstraintError("no memory")

        chosen.measure = fails
        for method in ("linear", "floor"):
            with pytest.raises(ConstraintError, match="no memory"):
                chosen.row("inference", chosen.grid.cells[0], "cpu", method)
        assert len(tried) == 1

    def test_a_selected_method_brings_what_it_is_compared_with(self, bench):
        make, _, asked = bench
        chosen = make("half_spaces_tight")
        chosen.row("inference", chosen.grid.cells[0], "cpu", "half_spaces_tight")
        assert asked == [["linear", "floor", "half_spaces", "half_spaces_tight", "osqp"]]

    def test_the_items_are_the_rows_of_the_grid(self):
        """What pytest collects for the smallest grid, on the CPU."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--benchmark-only", "--grid", "smoke", "--collect-only", "-q"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        found = {line.partition("[")[2][:-1] for line in done.stdout.splitlines() if line.endswith("-cpu]")}
        smoke = grid("smoke")
        names = tuple(SUITES)
        wanted = [(t, c, m.name) for t in names for c in cells_of(t, smoke) for m in methods_at(t, c)]
        assert found == {f"{cell}-{name}-cpu" for _, cell, name in wanted}, done.stderr
        assert done.stdout.count("-cpu]") == len(wanted)


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
            "random_cone and not compiled",
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("osqp", "daqp", "cvxpy", "rays", "paper_layer"):
        assert f"{name}: skipped: the package" in done.stdout, done.stdout
    assert "1 skipped: the package" not in done.stdout and " passed" in done.stdout  # the yardsticks


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
