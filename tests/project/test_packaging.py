"""What is installed, under which licence, with which extras."""

import re
import tomllib
from pathlib import Path

import constrained
from baselines import PROJECTIONS
from constrained.engines import ENGINES

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = {"pplpy": "ppl", "python-flint": "flint", "pycddlib-standalone": "cdd", "pynormaliz": "PyNormaliz"}


def modules(extra: str) -> set[str]:
    names = {re.split(r"[<>=\[]", r)[0] for r in PROJECT["project"]["optional-dependencies"][extra]}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def test_the_library_needs_torch_numpy_and_scipy_only():
    assert {re.split("[<>=]", r)[0] for r in PROJECT["project"]["dependencies"]} == {
        "torch",
        "numpy",
        "scipy",
    }


def test_the_wheel_is_told_to_hold_constrained_alone():
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == ["constrained*"]


def test_every_solver_and_engine_is_in_the_extra_that_its_error_names():
    for entry in PROJECTIONS:
        assert set(entry.requires) <= modules(entry.extra), entry.name
    for engine in ENGINES:
        assert engine.requires in modules("rays")


def test_every_requirement_is_pinned_for_make_tox_and_ci():
    pins = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = {
        re.split(r"[<>=\[]", r)[0].lower()
        for group in [PROJECT["project"]["dependencies"], *extras.values()]
        for r in group
    }
    assert wanted - {"constrained"} <= pins


def test_the_licence_is_stated_once_and_the_same():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


def test_every_citation_key_is_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text()))
    from constrained.parameterizations import PARAMETERIZATIONS

    used = {entry.citation for entry in (*PROJECTIONS, *PARAMETERIZATIONS)}
    assert used <= keys, used - keys


def test_the_changelog_has_this_version():
    assert f"## [{constrained.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
