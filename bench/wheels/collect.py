"""Wheels for a CUDA machine without network: `python -m bench.wheels.collect DIR [--jax-cuda 12|13]`.

What `bench/cuda.sh` installs there: the extras of the suite and, group by group, the packages of the peers'
environments, with all that they depend on but torch, triton and NVIDIA's libraries, which that machine has.
The wheels are those of this interpreter's version and platform, which must be that machine's; source packages
are built. Sizes are printed, the largest first, since what such a machine is given is often limited; of each
group, what it adds to those before. A wheel that is taken out again costs there what needs it, by name.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from baselines.peers._environments import REQUIREMENTS, environments

from .install import ROOT, extras

THERE = re.compile(r"(torch|triton|(nvidia|cuda)-.*)")
"""What comes with a torch that is built for CUDA."""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

Group = tuple[str, list[str]]
"""A name and the arguments that make pip resolve it."""


def groups(jax_cuda: str = "") -> Iterator[Group]:
    """The extras, then each environment, with the lists that are installed without what they declare."""
    yield "extras", ["--constraint", str(ROOT / "constraints.txt"), *extras()]
    for name in environments():
        yield name, ["-r", str(REQUIREMENTS / f"{name}.txt")]
        for ending in (".alone.txt", f".cuda{jax_cuda}.txt"):
            if (path := REQUIREMENTS / f"{name}{ending}").exists():
                yield f"{name}, {ending[1:-4]}", ["--no-deps", "-r", str(path)]


def resolved(arguments: Sequence[str]) -> list[str]:
    """`name==version` of all that pip would install into an empty environment, without what is there."""
    command = (*PIP, "install", "--dry-run", "--ignore-installed", "--report", "-", *arguments)
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    found = (entry["metadata"] for entry in report["install"])
    named = ((entry["name"].lower().replace("_", "-"), entry["version"]) for entry in found)
    return sorted(f"{name}=={version}" for name, version in named if not THERE.fullmatch(name))


def collect(folder: Path, requirements: Sequence[str]) -> set[str]:
    """Puts their wheels into the folder; the names of the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as own:
        subprocess.run((*PIP, "wheel", "--no-deps", "--wheel-dir", own, *requirements), check=True)
        new = [path for path in Path(own).glob("*.whl") if not (folder / path.name).exists()]
        for path in new:
            shutil.copy(path, folder)
        return {path.name for path in new}


def main(argv: Sequence[str] | None = None) -> int:
    """Collect all of it and print the sizes."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.wheels.collect", description="Wheels for a CUDA machine without network."
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the wheels go")
    parser.add_argument("--jax-cuda", choices=("12", "13"), default="", help="JAX's plugin for this CUDA too")
    arguments = parser.parse_args(argv)
    seen: set[str] = set()
    for name, wanted in groups(arguments.jax_cuda):
        requirements = [line for line in resolved(wanted) if line not in seen]
        seen.update(requirements)
        new = collect(arguments.folder, requirements) if requirements else set()
        print(f"{name}: {len(new)} wheels, {_megabytes(arguments.folder / each for each in new):.1f} MB")
    wheels = sorted(arguments.folder.glob("*.whl"), key=lambda path: -path.stat().st_size)
    for path in wheels:
        print(f"{_megabytes([path]):8.1f} MB  {path.name}")
    print(f"{_megabytes(wheels):8.1f} MB  in {len(wheels)} wheels, for Python {platform.python_version()}")
    return 0


def _megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


if __name__ == "__main__":
    sys.exit(main())
