"""The peers' virtual environments: `.peers/<name>/`, built from `requirements/`, checked before use.

Their pins contradict each other and those of the library, so each group of peers that can share an
environment has one. `make peers`, that is `python -m baselines.peers`, builds them:

    requirements/<name>.txt           installed with what it depends on
    requirements/<name>.alone.txt     installed after it without: packages that declare more than they need
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._base import AbstractPeer

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
VARIABLE = "CONSTRAINED_PEERS"
ADVICE = "run `make peers`"


def folder() -> Path:
    """Where the environments are: `$CONSTRAINED_PEERS`, or `.peers` at the root of the tree."""
    return Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / ".peers")


def environments() -> list[str]:
    """The names of those that can be built."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt") if not path.stem.endswith(".alone"))


def python(environment: str) -> str:
    """The interpreter of an environment; of the empty one, ours."""
    if not environment:
        return sys.executable
    windows = sys.platform == "win32"
    return str(folder() / environment / ("Scripts/python.exe" if windows else "bin/python"))


def check(peer: type[AbstractPeer]) -> None:
    """Raise `MissingDependencyError` unless the environment of this peer is there and complete."""
    from constrained.errors import MissingDependencyError, require

    if not peer.environment:
        for module in peer.requires:
            require(module, "baselines")
    elif not _stamp(peer.environment).exists():
        raise MissingDependencyError(
            f"the peer {peer.name!r} needs the environment {peer.environment!r}, which is not there; {ADVICE}"
        )


def build(environment: str) -> str | None:
    """Make it unless it is there from the same requirements; a sentence if it cannot be made."""
    stamp, wanted = _stamp(environment), _wanted(environment)
    if stamp.exists() and stamp.read_text() == wanted:
        print(f"{environment}: there already, in {stamp.parent}", flush=True)
        return None
    start = perf_counter()
    print(f"{environment}: building {stamp.parent} (a minute or two)", flush=True)
    shutil.rmtree(stamp.parent, ignore_errors=True)
    try:
        _call(sys.executable, "-m", "venv", str(stamp.parent))
        install = (python(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        install = (*install, "--prefer-binary", "--only-binary", "jaxlib,torch,scipy,numpy")
        _call(*install, "-r", str(REQUIREMENTS / f"{environment}.txt"))
        if (alone := REQUIREMENTS / f"{environment}.alone.txt").exists():
            _call(*install, "--no-deps", "-r", str(alone))
    except subprocess.CalledProcessError as error:
        lines = (error.stdout or "").strip().splitlines()
        return f"{environment}: {' '.join(error.cmd[1:4])} failed: {lines[-1] if lines else error}"
    stamp.write_text(wanted)
    print(
        f"{environment}: built in {perf_counter() - start:.0f} s, {_megabytes(stamp.parent):.0f} MB",
        flush=True,
    )
    return None


def probe(peer: type[AbstractPeer]) -> str | None:
    """A sentence if the peer's packages cannot be imported in its environment."""
    code = "; ".join(f"import {module}" for module in peer.requires)
    try:
        _call(python(peer.environment), "-P", "-c", code)
    except (subprocess.CalledProcessError, OSError) as error:
        lines = (getattr(error, "stdout", "") or "").strip().splitlines()
        return f"{peer.name}: {lines[-1] if lines else error}"
    return None


def _stamp(environment: str) -> Path:
    return folder() / environment / ".ready"


def _wanted(environment: str) -> str:
    paths = (REQUIREMENTS / f"{environment}{ending}" for ending in (".txt", ".alone.txt"))
    return "".join(path.read_text() for path in paths if path.exists())


def _call(*command: str) -> None:
    subprocess.run(
        command,
        check=True,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _megabytes(path: Path) -> float:
    return sum(entry.stat().st_size for entry in path.rglob("*") if not entry.is_symlink()) / 1e6
