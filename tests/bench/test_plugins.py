"""Entries of other packages: found, measured, validated and listed; broken ones cost nobody else anything."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import baselines
import constrained as cn
from bench import problems
from bench._third_party import Unavailable, third_party
from bench.methods import KINDS, METHODS, Embedded, ModuleMethod
from constrained.plugins import PluginError, find, plugins
from tests.packages import leave_metadata

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import numpy as np
import torch
from baselines import AbstractProjection, Status
from bench.problems import AbstractFamily, Instance
from constrained import Polyhedron, constrain
from constrained.parameterizations import AbstractParameterization


class Map(AbstractParameterization):
    name, surjective, projection, citation = "their_map", True, True, ""

    def __init__(self, polyhedron, **options):
        super().__init__(polyhedron, **options)
        self.in_features, self.inner = polyhedron.n, constrain(polyhedron, "gauge")

    @classmethod
    def accepts(cls, polyhedron):
        return None

    def map(self, z):
        return self.inner(z)


class Project(AbstractProjection):
    name, citation, default_tol = "their_projection", "", 1e-6

    def setup(self, polyhedron, tol):
        from baselines import projection

        return projection("batched_active_set")(polyhedron)

    def solve(self, state, y):
        return state(torch.from_numpy(y)).x, [Status.SOLVED] * len(y)


class Half(AbstractFamily):
    name, sizes = "their_sets", ((3, 1),)

    def generate(self, size, batch, seed=0):
        points = np.random.default_rng(seed).standard_normal((batch, 3))
        return Instance("their_sets-3x1", Polyhedron([[1.0, 1.0, 1.0]]), points, -np.ones(3))


def layer(polyhedron):
    return constrain(polyhedron, "gauge")


NOT_A_FACTORY = 3
"""
ENTRIES = {
    "constrained.parameterizations": {
        "their_map": "theirs:Map",
        "shift": "theirs:Map",  # the name of a built-in
        "misnamed": "theirs:Map",
        "no_class": "theirs:layer",
    },
    "constrained.projections": {"their_projection": "theirs:Project", "gone": "theirs:NoSuchThing"},
    "constrained.methods": {
        "their_layer": "theirs:layer",
        "their_map": "theirs:layer",  # twice in the tables
        "exits": "exits_when_imported:layer",
        "number": "theirs:NOT_A_FACTORY",
    },
    "constrained.problems": {"their_sets": "theirs:Half", "no_module": "not_installed_anywhere:Half"},
}


def install(folder, entries, name="their-package"):
    (folder / "theirs.py").write_text(MODULE)
    (folder / "exits_when_imported.py").write_text("raise SystemExit('no licence')\n")
    leave_metadata(folder, name, "0.3", entries)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install(folder, ENTRIES)
    return folder


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    yield
    for name in ("theirs", "exits_when_imported"):
        sys.modules.pop(name, None)


P = cn.Polyhedron([[1.0, 1.0, 1.0]], 1.0)


class TestTheLibrary:
    def test_a_map_is_found_by_its_name(self, installed):
        assert "theirs" not in sys.modules
        layer = cn.constrain(P, method="their_map")
        assert layer.name == "their_map" and "theirs" in sys.modules
        assert cn.ConstrainedLinear(2, P, method="their_map").activation.name == "their_map"

    def test_a_projection_is_found_by_its_name(self, installed):
        assert baselines.projection("their_projection").__module__ == "theirs"

    def test_a_problem_is_found_by_its_name(self, installed):
        assert problems.family("their_sets").generate((3, 1), 2).name == "their_sets-3x1"

    def test_a_built_in_is_never_replaced(self, installed):
        assert type(cn.constrain(cn.Polyhedron([[1.0, 1.0]]), method="shift")).__module__.startswith("constr")
        assert "theirs" not in sys.modules

    def test_unknown_names_list_both(self, installed):
        with pytest.raises(cn.UnknownNameError, match="'thier_map'; available: .*'rays'.*'their_map'"):
            cn.constrain(P, method="thier_map")
        assert "theirs" not in sys.modules, "a look at the names imports nothing"

    @pytest.mark.parametrize(
        ("call", "reason"),
        [
            (lambda: cn.constrain(P, "misnamed"), "'misnamed' .*`name` of Map is 'their_map'"),
            (lambda: cn.constrain(P, "no_class"), "expected a subclass of AbstractParameterization, found"),
            (lambda: baselines.projection("gone"), "their-package 0.3 cannot be imported: AttributeError"),
            (lambda: problems.family("no_module"), "ModuleNotFoundError: .*not_installed_anywhere"),
        ],
    )
    def test_a_broken_entry_names_its_package(self, installed, call, reason):
        with pytest.raises(PluginError, match=reason):
            call()

    def test_two_packages_with_one_name(self, installed, tmp_path, monkeypatch):
        install(tmp_path, {"constrained.parameterizations": {"their_map": "theirs:Map"}}, "other")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(PluginError, match="several packages register this name; uninstall all but one"):
            cn.constrain(P, "their_map")

    def test_an_abstract_class_is_refused(self, installed):
        group, name = "constrained.projections", "their_projection"
        with pytest.raises(PluginError, match="expected a subclass of Embedded"):
            find("projection", name, (), group, Embedded)
        with pytest.raises(PluginError, match="the name is that of a built-in"):
            next(p for p in plugins(group, [name]) if p.name == name).load()


class TestTheSuite:
    def test_what_becomes_of_each_entry(self, installed):
        built_in = [method.name for method in METHODS]
        found = {(r.plugin.entry.group[12:], r.plugin.name): r for r in third_party(KINDS, built_in)}
        usable = {key: [m.name for m in r.methods] for key, r in found.items() if not r.error}
        assert usable == {
            ("parameterizations", "their_map"): ["their_map"],  # no strict variants: it has no strict mode
            ("projections", "their_projection"): ["their_projection"],
            ("methods", "their_layer"): ["their_layer"],
        }
        clashes = {key for key, r in found.items() if r.error and not r.methods}
        assert clashes == {("parameterizations", "shift"), ("methods", "their_map")}
        for key in {("methods", "exits"), ("methods", "number"), ("projections", "gone")}:
            (method,) = found[key].methods
            assert isinstance(method, Unavailable) and "their-package 0.3" in found[key].error
        assert "SystemExit: no licence" in found["methods", "exits"].error
        assert "must be a callable" in found["methods", "number"].error
        assert found["methods", "their_layer"].methods[0].package == "their-package 0.3"

    def test_nothing_changes_without_other_packages(self):
        """Where this runs nothing is registered, unless someone's package is installed for good."""
        assert not plugins("constrained.methods") or any(method.package for method in METHODS)
        assert [m.name for m in METHODS if not m.package][-1] == "dc3"

    def test_a_layer_that_is_no_module_is_an_error(self):
        with pytest.raises(cn.InvalidInputError, match="'wrong' made a int; expected a torch.nn.Module"):
            ModuleMethod("wrong", lambda polyhedron: 3).build(P, 1.0)
        with pytest.raises(cn.InvalidInputError, match="of kind 'exact'"):
            ModuleMethod("wrong", type("Layer", (), {"kind": "exact"}))


def test_end_to_end(site):
    """In a fresh interpreter: list, validate, one measured cell, the layer's training step."""
    code = """
        import json
        import torch
        from bench.__main__ import main
        from bench.grid import Cell, grid
        from bench.measure import measure_cell
        from bench.suites import methods_at

        main(["list"])
        for name in ("their_map", "their_layer", "their_projection"):
            assert main(["validate", name, "--problem", "their_sets"]) == 0, name
        assert main(["validate", "exits"]) == 1
        cell, kept = Cell("their_sets", (3, 1), batch=4), []
        for table in ("inference", "training_step"):
            chosen = [m for m in methods_at(table, cell) if m.package or m.name == "floor"]
            kept += measure_cell(cell, grid("smoke"), torch.device("cpu"), chosen, table)
        from bench.machine import describe_machine

        assert describe_machine()["versions"]["their-package"] == "0.3"
        print("ROWS" + json.dumps(kept))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "embedded    their_map  (their-package 0.3)",
        "peer        their_layer  (their-package 0.3)",
        "constrained.problems, their-package 0.3: theirs:Half",
        "shift           constrained.parameterizations, their-package 0.3: not available: ",
        "the name is that of a built-in entry; rename the entry point",
        "cannot be imported: SystemExit: no licence",
        "their_sets      1 sizes",
    ):
        assert line in done.stdout, line
    assert "error: 'exits' (constrained.methods, exits_when_imported:layer)" in done.stderr
    rows = json.loads(done.stdout.partition("ROWS")[2])
    status = {(row["table"], row["method"]): row["status"] for row in rows}
    for method in ("their_map", "their_layer"):
        assert status["inference", method] == status["training_step", method] == "ok", rows
    assert status["inference", "their_projection"] == "ok"
    assert {status["inference", name] for name in ("exits", "number", "gone", "misnamed")} == {"skipped"}
    measured = {row["method"]: row for row in rows if row["table"] == "inference"}
    assert measured["their_layer"]["package"] == "their-package 0.3" and measured["their_layer"]["seconds"]
    assert measured["their_projection"]["distance"] < 1e-6 and "package" not in measured["floor"]
