"""Stubs that work: a file and its test in a checkout, or a package of its own that registers itself."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from constrained.errors import InvalidInputError
from constrained.plugins import METHOD_GROUP, PARAMETERIZATION_GROUP, PROBLEM_GROUP, PROJECTION_GROUP

from ..methods import METHODS
from ..problems import FAMILIES
from ..rows import write_atomic

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Stub:
    """Where the files of a kind of entry go, and what they import there.

    Attributes:
        template: of the file.
        group: of the entry point.
        imports: of the file in a package of its own.
        test: template of the test in a package of its own.
        folder: in a checkout; empty: it has no place there.
        ending: of the file's name in a checkout, after the name.
        tuple_name: in the `__init__.py` of the folder.
        imports_there: of the file in a checkout.
        test_there: template of the test in a checkout.
        tests: folder of the test in a checkout.
    """

    template: str
    group: str
    imports: str
    test: str
    folder: str = ""
    ending: str = ""
    tuple_name: str = ""
    imports_there: str = ""
    test_there: str = ""
    tests: str = ""


STUBS = {
    "parameterization": Stub(
        "parameterization",
        PARAMETERIZATION_GROUP,
        "from constrained import analyse\nfrom constrained.parameterizations import AbstractParameterization",
        "test_method",
        folder="constrained/parameterizations",
        tuple_name="PARAMETERIZATIONS",
        imports_there="from ..analysis import analyse\nfrom ._base import AbstractParameterization",
        test_there="test_parameterization",
        tests="tests/constrained",
    ),
    "projection": Stub(
        "projection",
        PROJECTION_GROUP,
        "from baselines import AbstractPointwise, Status",
        "test_method",
        folder="baselines",
        ending="_",
        tuple_name="PROJECTIONS",
        imports_there="from ._base import Status\nfrom ._pointwise import AbstractPointwise",
        test_there="test_projection",
        tests="tests/baselines",
    ),
    "module": Stub("module", METHOD_GROUP, "", "test_method"),
    "problem": Stub(
        "problem",
        PROBLEM_GROUP,
        "from bench.problems import AbstractFamily, Instance\nfrom constrained import Polyhedron",
        "test_problem",
        folder="bench/problems",
        tuple_name="FAMILIES",
        imports_there="from constrained.polyhedron import Polyhedron\n\n"
        "from ._base import AbstractFamily, Instance",
        test_there="test_problem",
        tests="tests/bench",
    ),
}
KINDS = tuple(kind for kind in STUBS if kind != "problem")


def new_method(name: str, kind: str, root: Path, package: Path | None = None) -> str:
    """Write a method's stub and its test; returns what to do next.

    Args:
        name: in the tables, a lower-case identifier that no method has yet.
        kind: one of KINDS; a "module" is an ordinary `nn.Module`, which needs a package of its own.
        root: the checkout to write into.
        package: a folder that is not there yet, for a package of its own instead.

    Raises:
        InvalidInputError: the name, the kind or the place will not do; nothing is written.
    """
    if kind not in KINDS:
        raise InvalidInputError(f"unknown kind {kind!r} of a method; try one of {', '.join(KINDS)}")
    check_name(name, [method.name for method in METHODS])
    if package is not None:
        return _write_package(STUBS[kind], name, package)
    if not STUBS[kind].folder:
        raise InvalidInputError(f"a {kind} lives in a package of its own; add --package FOLDER")
    return _write_there(STUBS[kind], name, root)


def new_problem(name: str, root: Path, package: Path | None = None) -> str:
    """Write a problem family's stub and its test; see `new_method`."""
    check_name(name, [family.name for family in FAMILIES])
    if package is not None:
        return _write_package(STUBS["problem"], name, package)
    return _write_there(STUBS["problem"], name, root)


def check_name(name: str, taken: list[str]) -> None:
    """Raise `InvalidInputError` unless the name is a lower-case identifier that is free."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name) or keyword.iskeyword(name):
        raise InvalidInputError(
            f"a name is lower-case letters, digits and underscores, such as 'my_layer'; found {name!r}"
        )
    if name in taken:
        raise InvalidInputError(f"the name {name!r} is taken; `python -m bench list` shows all of them")


def _fields(stub: Stub, name: str) -> dict[str, str]:
    words = name.split("_")
    return {
        "name": name,
        "Class": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
        "module": f"constrained_{name}",
        "distribution": f"constrained-{'-'.join(filter(None, words))}",
        "group": stub.group,
    }


def _fill(template: str, fields: Mapping[str, str]) -> str:
    ending = "" if "." in template else ".py"
    return Template((TEMPLATES / f"{template}{ending}.txt").read_text()).substitute(fields)


def _write_package(stub: Stub, name: str, folder: Path) -> str:
    fields = _fields(stub, name)
    used = f"from {fields['module']} import {fields['Class']}"
    files = {
        folder / "pyproject.toml": _fill("pyproject.toml", fields),
        folder / f"{fields['module']}.py": _fill(stub.template, fields | {"imports": stub.imports}),
        folder / f"test_{name}.py": _fill(stub.test, fields | {"imports": used}),
    }
    if folder.exists():
        raise InvalidInputError(f"{folder} is there already; name a new folder")
    _write(files)
    family = stub.group == PROBLEM_GROUP
    return _steps(
        files,
        f"python -m pip install --editable {folder}     # into the environment of the suite",
        "python -m bench list",
        f"python -m bench validate {'gauge --problem ' if family else ''}{name}",
        f"python -m pytest {folder}",
        f"python -m bench run --grid {'full' if family else 'short'} -k {name}",
    )


def _write_there(stub: Stub, name: str, root: Path) -> str:
    fields = _fields(stub, name)
    module, folder = f"{name}{stub.ending}", root / stub.folder
    used = f"from {stub.folder.replace('/', '.')}.{module} import {fields['Class']}"
    files = {
        folder / f"{module}.py": _fill(stub.template, fields | {"imports": stub.imports_there}),
        root / stub.tests / f"test_{name}.py": _fill(stub.test_there, fields | {"imports": used}),
    }
    init = folder / "__init__.py"
    if not init.exists():
        raise InvalidInputError(f"{root} is no checkout of the suite: there is no {init}")
    text = registered(init.read_text(), module, fields["Class"], stub.tuple_name)
    _write(files, {init: text})
    family = stub.group == PROBLEM_GROUP
    return _steps(
        [*files, init],
        f"python -m bench validate {'gauge --problem ' if family else ''}{name}",
        f"python -m pytest {root / stub.tests / f'test_{name}.py'}",
    )


def registered(text: str, module: str, class_name: str, tuple_name: str) -> str:
    """The text of an `__init__.py` with one more import, in its place, and one more line in the tuple."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{tuple_name}:")), None)
    if start is None or ")" not in lines[start:]:
        raise InvalidInputError(f"expected a line '{tuple_name}: ... = (' and its end ')'; found none")
    lines.insert(start + lines[start:].index(")"), f"    {class_name},")
    imports = [i for i, line in enumerate(lines[:start]) if line.startswith("from .")]
    later = [i for i in imports if lines[i].split()[1] > f".{module}"]
    place = later[0] if later else imports[-1] + lines[imports[-1] :].index("")
    lines.insert(place, f"from .{module} import {class_name}")
    return "\n".join(lines) + "\n"


def _write(files: dict[Path, str], replaced: dict[Path, str] | None = None) -> None:
    """All new files, then those that are replaced; none if a new one is there already or the disk refuses."""
    if there := [path for path in files if path.exists()]:
        raise InvalidInputError(f"{there[0]} is there already and is not overwritten; choose another name")
    try:
        for path, text in (files | (replaced or {})).items():
            write_atomic(path, text)
    except BaseException:
        for path in files:
            path.unlink(missing_ok=True)
        raise


def _steps(files: Iterable[Path], *commands: str) -> str:
    written = "\n".join(f"  {path}" for path in files)
    return f"wrote\n{written}\nnext\n" + "\n".join(f"  {command}" for command in commands)
