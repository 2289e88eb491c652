"""`python -m bench new`: the stub of every kind works, its test passes, and nothing is overwritten."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench import methods
from bench.__main__ import main
from bench.extending import new_method, new_problem, validate
from bench.extending._new import KINDS, registered
from bench.methods import Embedded, ModuleMethod, Projected
from constrained import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]


def run(command, folder, **variables):
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the code, with a stub of each kind that has a place there."""
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("constrained", "baselines", "bench", "tests"):
        shutil.copytree(ROOT / folder, root / folder)
    for file in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / file, root)
    new_method("my_solver", "projection", root)
    new_method("my_map", "parameterization", root)
    new_problem("my_sets", root)
    return root


class TestInACheckout:
    def test_they_pass_their_tests_and_are_registered_measured_and_planned_with(self, checkout):
        """In one interpreter, since starting one takes longer than the rest."""
        some = (
            "closed_form or empty_set or gradients or stays_feasible or TestInstances"  # what takes seconds
        )
        tests = ("baselines/test_my_solver.py", "constrained/test_my_map.py", "bench/test_my_sets.py")
        code = (
            "import sys\n"
            "import baselines, constrained as cn, pytest, torch\n"
            "from bench.__main__ import main\n"
            "from bench.grid import Cell, grid\n"
            "from bench.measure import measure_cell\n"
            "from bench.methods import method\n"
            f"assert pytest.main(['-q', '-k', {some!r}, *{[f'tests/{name}' for name in tests]}]) == 0\n"
            "P = cn.Polyhedron([[1.0, 2.0]], 1.0)\n"
            "assert cn.constrain(P, 'my_map').in_features == 2 and 'my_map' in str(cn.plan(P))\n"
            "assert baselines.projection('my_solver').name == 'my_solver'\n"
            "chosen = [method(name) for name in ('my_map', 'my_solver')]\n"
            "cell = Cell('my_sets', (8, 16), batch=4)\n"
            "rows = measure_cell(cell, grid('smoke'), torch.device('cpu'), chosen)\n"
            "assert [row['status'] for row in rows] == ['ok', 'ok'], rows\n"
            "assert rows[1]['distance'] < 1e-6 and rows[0]['violation'] < 1e-5, rows\n"
            "sys.exit(main(['validate', 'my_solver', '--problem', 'my_sets']))\n"
        )
        exit_code, text = run(["-c", code], checkout)
        assert exit_code == 0 and " passed" in text, text
        assert all(name in text for name in ("check ", "feasibility", "gradients")), text

    def test_what_was_written_is_in_style(self, checkout):
        pytest.importorskip("ruff", reason="the extra 'lint' is not installed: ruff")
        changed = [str(path.relative_to(checkout)) for path in checkout.rglob("*my_*.py")]
        changed += ["baselines/__init__.py", "bench/problems", "constrained/parameterizations"]
        assert len(changed) == 6 + 3
        for check in (["check"], ["format", "--check"]):
            code, text = run(["-m", "ruff", *check, *changed], checkout)
            assert code == 0, text

    def test_nothing_is_overwritten(self, checkout):
        before = {path: path.read_bytes() for path in checkout.rglob("*.py")}
        with pytest.raises(InvalidInputError, match="my_solver_.py is there already and is not overwritten"):
            new_method("my_solver", "projection", checkout)
        shutil.copy(checkout / "conftest.py", checkout / "tests/baselines/test_half_done.py")
        with pytest.raises(InvalidInputError, match="test_half_done.py is there already"):
            new_method("half_done", "projection", checkout)
        (checkout / "tests/baselines/test_half_done.py").unlink()
        assert before == {path: path.read_bytes() for path in checkout.rglob("*.py")}

    @pytest.mark.parametrize("writes", [1, 2])
    def test_a_disk_that_refuses_leaves_nothing_behind(self, checkout, monkeypatch, writes):
        done = []

        def write(path, text):
            if len(done) == writes:
                raise OSError(28, "No space left on device", str(path))
            done.append(path)
            path.write_text(text)

        before = {path: path.read_bytes() for path in checkout.rglob("*.py")}
        monkeypatch.setattr("bench.extending._new.write_atomic", write)
        with pytest.raises(OSError, match="No space left"):
            new_method("half_done", "projection", checkout)
        assert before == {path: path.read_bytes() for path in checkout.rglob("*.py")} and len(done) == writes


def stub(kind, folder, old="", new=""):
    """The class of a generated package, after an edit of its file."""
    new_method(f"my_{kind}", kind, ROOT, folder / kind)
    text = (folder / kind / f"constrained_my_{kind}.py").read_text()
    assert old in text
    names: dict = {"__name__": f"constrained_my_{kind}"}
    exec(text.replace(old, new), names)
    return names[f"My{kind.capitalize()}"]


@pytest.fixture
def as_method(monkeypatch):
    """A class as the method that its entry point would make of it."""

    def wrap(kind, entry):
        monkeypatch.setattr(methods, "constrain", lambda polyhedron, name, **options: entry(polyhedron))
        return {"parameterization": Embedded, "projection": Projected}.get(
            kind, lambda entry: ModuleMethod(f"my_{kind}", entry)
        )(entry)

    return wrap


BROKEN = {
    "parameterization": ("1 / gauge", "1.1 / gauge"),
    "projection": ("size * r[:n]", "1.1 * size * r[:n]"),
    "module": ("1 / gauge", "1.1 / gauge"),
}


class TestPackage:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_stub_passes_every_check(self, kind, tmp_path, as_method):
        report = validate(as_method(kind, stub(kind, tmp_path)))
        assert report.passed and len(report.served) >= 6, report

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_broken_one_does_not(self, kind, tmp_path, as_method):
        report = validate(as_method(kind, stub(kind, tmp_path, *BROKEN[kind])))
        found = {line.check: line.verdict for line in report.lines}
        assert not report.passed and found["feasibility"] == "fail", report

    def test_its_metadata(self, tmp_path):
        new_method("my_layer", "module", ROOT, tmp_path / "there")
        project = tomllib.loads((tmp_path / "there" / "pyproject.toml").read_text())
        assert project["project"]["name"] == "constrained-my-layer"
        assert project["project"]["entry-points"] == {
            "constrained.methods": {"my_layer": "constrained_my_layer:MyLayer"}
        }
        assert project["tool"]["setuptools"]["py-modules"] == ["constrained_my_layer"]

    def test_a_folder_that_is_there_is_left_alone(self, tmp_path):
        (tmp_path / "notes").write_text("mine")
        with pytest.raises(InvalidInputError, match="is there already; name a new folder"):
            new_problem("my_sets", ROOT, tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["notes"]


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", "x", "My_layer", "2d", "a-b", "class", "a b", "_a", "a_", "a/b", "ä"]
    )
    def test_no_identifier(self, name, tmp_path):
        with pytest.raises(InvalidInputError, match="lower-case letters, digits and underscores"):
            new_method(name, "module", ROOT, tmp_path / "there")
        assert not (tmp_path / "there").exists()

    def test_taken(self, tmp_path):
        with pytest.raises(InvalidInputError, match="'shift_strict' is taken"):
            new_method("shift_strict", "module", ROOT, tmp_path / "there")
        with pytest.raises(InvalidInputError, match="'box' is taken"):
            new_problem("box", ROOT, tmp_path / "there")

    def test_a_place_that_is_no_checkout(self, tmp_path):
        with pytest.raises(InvalidInputError, match="is no checkout of the suite: there is no .*__init__.py"):
            new_method("my_solver", "projection", tmp_path)
        with pytest.raises(InvalidInputError, match="a module lives in a package of its own; add --package"):
            new_method("my_layer", "module", ROOT)
        with pytest.raises(InvalidInputError, match="unknown kind 'layer'"):
            new_method("my_layer", "layer", ROOT)
        assert not list(tmp_path.iterdir())


def test_a_line_of_the_tuple_and_an_import_in_its_place():
    imports = "from ._base import A\nfrom .b import (\n    B,\n)\nfrom .d import D\n"
    text = f"{imports}\nALL: tuple = (\n    B,\n    D,\n)\n"
    for module, before in (("c", "from .d import D"), ("e", "")):
        lines = registered(text, module, "New", "ALL").splitlines()
        place = lines.index(f"from .{module} import New")
        assert lines[place + 1] == before and lines[lines.index("    New,") + 1] == ")"
    with pytest.raises(InvalidInputError, match="expected a line 'OTHER"):
        registered(text, "c", "New", "OTHER")


class TestCommand:
    def test_a_package(self, tmp_path, capsys):
        assert main(["new", "problem", "my_sets", "--package", str(tmp_path / "there")]) == 0
        printed = capsys.readouterr().out
        assert "pip install --editable" in printed and "--problem my_sets" in printed
        assert {path.name for path in (tmp_path / "there").iterdir()} == {
            "pyproject.toml",
            "constrained_my_sets.py",
            "test_my_sets.py",
        }

    def test_a_bad_name_is_a_line(self, capsys):
        assert main(["new", "method", "No-Name"]) == 1
        assert "error: a name is lower-case" in capsys.readouterr().err
