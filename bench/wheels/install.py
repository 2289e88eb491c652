"""Install what the suite needs from a folder, without a network: `python bench/wheels/install.py FOLDER`.

    1   everything that is there at once, at the versions of constraints.txt
    2   one after another, at those versions, else at any that the folder has
    3   what is not there is named, and its methods say so in their rows

The packages of KEPT stay as they are, since a torch that finds its device is what all of this is about, and
what was built against one numpy may not load with another. Imports the standard library alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("rays", "baselines", "bench", "test")
KEPT = ("torch", "triton", "numpy", "scipy")
Pip = Callable[[Sequence[str], Path], bool]
"""Installs requirements under a file of constraints; whether it could."""


def extras(root: Path = ROOT) -> list[str]:
    """The requirements of the extras that the suite needs, each once."""
    found = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return list(dict.fromkeys(text for name in EXTRAS for text in found[name]))


def constraints(root: Path = ROOT) -> tuple[list[str], list[str]]:
    """The tested versions, and those of KEPT that are installed, which come first."""
    kept = {name: found for name in KEPT if (found := _installed(name))}
    lines = (line.split("#")[0].strip() for line in (root / "constraints.txt").read_text().splitlines())
    tested = [line for line in lines if line and line.partition("==")[0] not in kept]
    return tested, [f"{name}=={found}" for name, found in kept.items()]


def there(folder: str) -> Callable[[str], bool]:
    """Whether the package of a requirement is installed, or has a file in the folder."""
    files = {_normal(path.name.split("-")[0]) for path in Path(folder).iterdir()}
    return lambda requirement: _name(requirement) in files or bool(_installed(_name(requirement)))


def install(
    wanted: Sequence[str], tested: Sequence[str], kept: Sequence[str], pip: Pip, there: Callable[[str], bool]
) -> list[str]:
    """The requirements that could not be installed; pip is not asked for what is not `there`."""
    known = [one for one in wanted if there(one)]
    with TemporaryDirectory() as folder:
        exact, any_version = Path(folder, "exact.txt"), Path(folder, "any.txt")
        exact.write_text("\n".join([*tested, *kept, ""]))
        any_version.write_text("\n".join([*kept, ""]))
        missing = [] if pip(known, exact) else [
            one for one in known if not pip([one], exact) and not pip([one], any_version)
        ]  # fmt: skip
    return [one for one in wanted if one in missing or one not in known]


def _name(requirement: str) -> str:
    return _normal(re.split(r"[^\w.-]", requirement)[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def main(folder: str) -> int:
    """Install, and name what is not there; 1 if there is no such folder."""
    if not Path(folder).is_dir():
        print(f"bench-cuda: expected a folder of wheels at {folder}, found none", file=sys.stderr)
        return 1

    def pip(wanted: Sequence[str], limits: Path) -> bool:
        start = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-index",
        ]
        done = subprocess.run(
            [*start, "--find-links", folder, "--constraint", str(limits), *wanted], capture_output=True
        )
        return done.returncode == 0

    for requirement in install(extras(), *constraints(), pip, there(folder)):
        print(f"not in {folder}, skipped: {requirement}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python bench/wheels/install.py FOLDER")
    sys.exit(main(sys.argv[1]))
