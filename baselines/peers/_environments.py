"""The peers' virtual environments: `.peers/<name>/`, built from `requirements/`, checked before use.

Their pins contradict each other and those of the library, so each group of peers that can share an
environment has one. `make peers`, that is `python -m baselines.peers`, builds them:

    requirements/<name>.txt           installed with what it depends on
    requirements/<name>.alone.txt     installed after it without: packages that declare more than they need
    requirements/<name>.cuda12.txt    with `cuda`, where torch is built for CUDA 12; so for 13

With `cuda` an environment sees the packages of this interpreter behind its own: its torch, whatever the
version, and the CUDA libraries that came with it, which take gigabytes. With `wheels` nothing is downloaded:
what that folder lacks is left out, said, and tried again by the next build; a peer that needs it is not
available then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._base import AbstractPeer

REQUIREMENTS = Path(__file__).resolve().parent / "requirements"
VARIABLE = "CONSTRAINED_PEERS"
ADVICE = "run `make peers`"
BEHIND = "of_the_parent.pth"
"""Names the folders of this interpreter's packages, in an environment that sees them."""


def folder() -> Path:
    """Where the environments are: `$CONSTRAINED_PEERS`, or `.peers` at the root of the tree."""
    return Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / ".peers")


def environments() -> list[str]:
    """The names of those that can be built."""
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt") if "." not in path.stem)


def python(environment: str) -> str:
    """The interpreter of an environment; of the empty one, ours."""
    if not environment:
        return sys.executable
    windows = sys.platform == "win32"
    return str(folder() / environment / ("Scripts/python.exe" if windows else "bin/python"))


def site_packages(environment: str) -> list[str]:
    """The folders that an environment finds packages in, its own first."""
    root = Path(python(environment)).parents[1]
    own = list(root.glob("[lL]ib*/**/site-packages"))
    seen = (path / BEHIND for path in own)
    behind = [line for path in seen if path.exists() for line in path.read_text().splitlines()]
    return [*map(str, own), *behind]


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
    elif (lack := _lack(peer)).exists():
        text = lack.read_text()
        raise MissingDependencyError(f"the environment {peer.environment!r} lacks something: {text}")


def build(environment: str, wheels: str = "", cuda: str = "") -> str | None:
    """Make it unless it is there from the same requirements; a sentence if it cannot be made.

    Args:
        environment: one of `environments()`.
        wheels: the folder that packages come from; empty: they are downloaded.
        cuda: "12" or "13", the CUDA that the torch of this interpreter is built for; empty: the CPU alone.
    """
    stamp, wanted = _stamp(environment), _wanted(environment, cuda)
    if stamp.exists() and stamp.read_text() == wanted:
        print(f"{environment}: there already, in {stamp.parent}", flush=True)
        return None
    start = perf_counter()
    print(f"{environment}: building {stamp.parent} (a minute or two)", flush=True)
    shutil.rmtree(stamp.parent, ignore_errors=True)
    try:
        _call(sys.executable, "-m", "venv", str(stamp.parent))
        if cuda:
            _see_ours(environment)
        missing = [
            name
            for path, options in _lists(environment, cuda)
            for name in _install(environment, wheels, _lines(path, cuda), *options)
        ]
    except subprocess.CalledProcessError as error:
        return f"{environment}: {' '.join(error.cmd[1:4])} failed: {_last_line(error)}"
    stamp.write_text(wanted + "".join(f"# left out: {name}\n" for name in missing))
    print(
        f"{environment}: built in {perf_counter() - start:.0f} s, {_megabytes(stamp.parent):.0f} MB",
        flush=True,
    )
    return None


def probe(peer: type[AbstractPeer]) -> str | None:
    """A sentence if the peer's packages cannot be imported in its environment; `check` repeats it."""
    code = "; ".join(f"import {module}" for module in peer.requires)
    sentence = None
    try:
        _call(python(peer.environment), "-P", "-c", code)
    except (subprocess.CalledProcessError, OSError) as error:
        sentence = f"{peer.name}: {_last_line(error)}"
    if peer.environment and _stamp(peer.environment).exists():
        _lack(peer).unlink(missing_ok=True)
        if sentence is not None:
            _lack(peer).write_text(sentence)
    return sentence


def _stamp(environment: str) -> Path:
    return folder() / environment / ".ready"


def _lack(peer: type[AbstractPeer]) -> Path:
    """Where `probe` keeps its sentence."""
    return _stamp(peer.environment).with_name(f".lacks-{peer.name}")


def _lists(environment: str, cuda: str) -> list[tuple[Path, tuple[str, ...]]]:
    """The lists of requirements that there are, with the options of pip that each needs."""
    endings = {".txt": (), ".alone.txt": ("--no-deps",)} | ({f".cuda{cuda}.txt": ()} if cuda else {})
    paths = ((REQUIREMENTS / f"{environment}{ending}", options) for ending, options in endings.items())
    return [(path, options) for path, options in paths if path.exists()]


def _lines(path: Path, cuda: str) -> list[str]:
    """The requirements of a list; with CUDA torch is that of this interpreter."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return [line for line in lines if not (cuda and line.startswith("torch=="))]


def _wanted(environment: str, cuda: str = "") -> str:
    text = "".join(path.read_text() for path, _ in _lists(environment, cuda))
    return text + (f"# behind them: {' '.join(_ours())}\n" if cuda else "")


def _ours() -> list[str]:
    """The folders that this interpreter finds packages in, and torch wherever it is."""
    found = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    torch = find_spec("torch")
    if torch is not None and torch.origin is not None:
        found.append(str(Path(torch.origin).parents[1]))
    return list(dict.fromkeys(found))


def _see_ours(environment: str) -> None:
    """Not by `venv --system-site-packages`, which would skip those of a virtual environment that this is."""
    base = str(folder() / environment)
    where = Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))
    (where / BEHIND).write_text("".join(f"{path}\n" for path in _ours()))


def _install(environment: str, wheels: str, requirements: list[str], *options: str) -> list[str]:
    """Installs them; of a folder of wheels one by one, and what is not there is said and returned."""
    pip = (python(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options)
    if not wheels:
        _call(*pip, "--prefer-binary", "--only-binary", "jaxlib,torch,scipy,numpy", *requirements)
        return []
    missing = []
    for requirement in requirements:
        try:
            _call(*pip, "--no-index", "--find-links", wheels, requirement)
        except subprocess.CalledProcessError as error:
            missing.append(requirement)
            print(f"{environment}: {requirement} left out: {_last_line(error)}", flush=True)
    return missing


def _last_line(error: Exception) -> str:
    """Of what the command that failed printed."""
    lines = (getattr(error, "stdout", "") or "").strip().splitlines()
    return lines[-1] if lines else str(error)


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
