"""Imports point one way: bench -> baselines -> constrained.polyhedron; constrained -> nothing of ours."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"constrained", "baselines", "bench", "tests"}
ALLOWED = {
    "constrained": set(),
    "baselines": {"constrained.polyhedron", "constrained.errors", "constrained.plugins"},
    "bench": {"constrained", "baselines"},
}


def imports(path: Path) -> set[str]:
    """Absolute names of modules that a file imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in OURS}


def allowed(name: str, package: str) -> bool:
    own = name.split(".")[0] == package
    return own or any(name == entry or name.startswith(entry + ".") for entry in ALLOWED[package])


@pytest.mark.parametrize("package", list(ALLOWED))
def test_imports_point_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {
        str(path.relative_to(ROOT)): name
        for path in files
        for name in imports(path)
        if not allowed(name, package)
    }
    assert not wrong


def test_the_oracles_import_nothing_of_ours():
    for name in ("oracles.py", "brute_force.py"):
        assert not imports(ROOT / "tests" / name)


@pytest.mark.parametrize("folder", ["constrained/parameterizations", "constrained/engines", "baselines"])
def test_every_method_is_one_file_and_one_line(folder):
    """Each module of a folder of methods is imported by its tuple, so none is forgotten."""
    listed = (ROOT / folder / "__init__.py").read_text()
    for path in (ROOT / folder).glob("*.py"):
        if not path.stem.startswith("_") and path.stem != "differentiable":
            assert f"from .{path.stem} import" in listed, path
