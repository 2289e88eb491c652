"""Every code block of README.md, CONTRIBUTING.md and docs/ works.

Python blocks are run in order, in one namespace a file, and print what the block after them says. A line
of a shell block is run in a copy of the checkout if it stands in RUN; one that takes long, or the
network, stands in LONG with what is done instead. A line in neither, and a block of another language,
is an error.
"""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.__main__ import COMMANDS, main
from tests.contracts.projection import ProjectionContract
from tests.packages import leave_metadata

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = {  # as if the blocks stood in a module beside the others
    "CONTRIBUTING.md": {"__package__": "baselines", "ProjectionContract": ProjectionContract},
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path):
    """(language, text, the text printed by it or None) of each block; a diagram has no language."""
    text = path.read_text()
    found = list(BLOCK.finditer(text))
    for i, block in enumerate(found):
        follower = found[i + 1] if i + 1 < len(found) else None
        follows = follower and not follower[1] and follower.start() == block.end() + 1
        yield block[1], block[2], follower[2] if follows else None


def lines(path):
    """Lines of the shell blocks, without comments."""
    shell = [text for language, text, _ in blocks(path) if language == "sh"]
    found = (line.split("  #")[0].strip() for text in shell for line in text.splitlines())
    return [line for line in found if line and not line.startswith("#")]


ALL_LINES = [line for path in FILES for line in lines(path)]


def check_make(line, where):
    """The target exists, and so does what it needs."""
    done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=where, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout, done.stderr


def check_pip(line, where):
    """The folder is a project with the extra."""
    folder, _, extra = shlex.split(line)[-1].partition("[")
    project = tomllib.loads((where / folder / "pyproject.toml").read_text())["project"]
    assert not extra or extra.rstrip("]") in project["optional-dependencies"]


def check_editable(line, where):
    """The same, and what it would leave behind in the environment."""
    check_pip(line, where)
    folder = where / shlex.split(line)[-1]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    leave_metadata(folder, project["name"], project["version"], project["entry-points"])


def check_tests(line, where):
    """The tests that are named exist, and the options do."""
    _, _, arguments = line.partition("pytest ")
    for word in shlex.split(arguments):
        if word.startswith("-"):
            assert word == "--benchmark-only"
            pytest.importorskip("pytest_benchmark", reason="the extra 'test' is not installed")
        else:
            assert (where / word).exists(), word


def check_module(line, where):
    """The command of `python -m bench` exists, or the module."""
    words = shlex.split(line)
    name = words[words.index("-m") + 1]
    assert words[words.index("bench") + 1] in COMMANDS if name == "bench" else (where / name).exists()


def write_stub(line, where):
    """The command itself, in this interpreter."""
    arguments = shlex.split(line)[3:]
    with contextlib.chdir(where):
        assert main(arguments if "--package" in arguments else [*arguments, "--to", "."]) == 0


RUN = [
    "make help",
    "python -m bench list",
    "python -m bench schema",
    "python -m bench validate my_layer",
]
LONG = {
    "python -m bench new method my_map --kind parameterization": write_stub,
    "python -m bench new method my_solver --kind projection": write_stub,
    "python -m bench new problem my_sets": write_stub,
    "python -m bench new method my_layer --kind module --package my-layer": write_stub,
    "make bench": check_make,
    "make test": check_make,
    "make bench DATA=idx:DIR": check_make,
    "make peers": check_make,
    "make bench GRID=default": check_make,
    "make bench-full": check_make,
    "make bench-cuda WHEELS=DIR": check_make,
    "make wheels-cuda WHEELS=DIR JAX_CUDA=13": check_make,
    "make bench-cuda PARTS='limits grid results' LIMIT=300": check_make,
    "make regress": check_make,
    "make regress GATE='--junit gate.xml --markdown gate.md'": check_make,
    "make reference REASON='what made the old one wrong'": check_make,
    "make results": check_make,
    ".venv/bin/python -m bench selftest": check_module,
    "python -m bench selftest": check_module,
    "python -m bench run --grid quick": check_module,
    "python -m bench run learning": check_module,
    "python -m bench run vae": check_module,
    "python -m bench run vae --preset full --data idx:DIR": check_module,
    "python -m bench run learning --preset quick": check_module,
    "python -m bench run learning --tasks fuel stance --methods rays shift": check_module,
    "python -m bench run --grid default --filter random_cone-64x32": check_module,
    "python -m bench run --grid default --machine laptop": check_module,
    "python -m bench cluster --grid full --workers 8 --executor slurm": check_module,
    "pip install .": check_pip,
    "pip install '.[rays]'": check_pip,
    "pip install '.[all]'": check_pip,
    "pip install --editable my-layer": check_editable,
    ".venv/bin/python -m bench list": check_module,  # run above, without the environment
    ".venv/bin/pytest --benchmark-only": check_tests,
    "python -m bench validate my_map": check_module,  # these by tests/bench/test_new.py and test_validate.py
    "python -m bench validate my_solver": check_module,
    "python -m bench validate gauge --problem my_sets": check_module,
    "python -m bench validate hardnet_aff --problem random_cone": check_module,
    "python -m bench run --grid short -k my_layer": check_module,
    "python -m pytest tests/constrained/test_my_map.py": check_tests,
    "python -m pytest tests/baselines/test_my_solver.py": check_tests,
    "python -m pytest tests/bench/test_my_sets.py": check_tests,
    "python -m pytest my-layer": check_tests,
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_block_is_of_a_kind_that_is_checked(path):
    assert {language for language, _, _ in blocks(path)} <= {"", "python", "sh", "toml"}
    assert path.read_text().count("```") == 2 * len(list(blocks(path))), "a block that is not closed"
    for language, text, _ in blocks(path):
        if language == "toml":
            tomllib.loads(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_python_blocks_print_what_is_said(path):
    examples = [(text, printed) for language, text, printed in blocks(path) if language == "python"]
    if 'method="rays"' in path.read_text():
        pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
    names: dict = {"__name__": path.stem, **NAMES.get(path.name, {})}
    for code, printed in examples:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, path.name, "exec"), names)
        assert out.getvalue() == (printed or ""), code


def test_every_line_for_the_shell_is_run_or_checked():
    assert set(ALL_LINES) == {*RUN, *LONG}, "put a new line into RUN, or into LONG if it takes minutes"
    assert not set(RUN) & set(LONG)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("constrained", "baselines", "bench", "tests"):
        shutil.copytree(ROOT / folder, root / folder)
    for file in ("conftest.py", "pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(ROOT / file, root)
    return root


def test_lines_for_the_shell(checkout):
    """In the order of the files, each once: a later one may need what an earlier one has written."""
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": "my-layer"}
    for line in dict.fromkeys(ALL_LINES):
        if line in LONG:
            LONG[line](line, checkout)
            continue
        command = [sys.executable if word == "python" else word for word in shlex.split(line)]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if line == "python -m bench list":
            assert "peer        my_layer  (constrained-my-layer 0.1.0)" in done.stdout
