"""Results of exact enumerations on disk, so that a set is enumerated once.

A file holds the extreme rays of one cone as integers in JSON: the file's name is the SHA-256 of the
exact cone (its integer rows, whatever their order) and the engine, its content carries that hash, a
checksum, and the rays in hexadecimal. It is written under another name in the same folder, flushed,
and moved into place, so that a reader sees a whole file or none, whoever else writes. On reading, the
checksum is compared and every ray must be an extreme ray of the cone in exact arithmetic; a file that
fails is named in a warning, and its result is computed again and replaced.

Where: `CONSTRAINED_CACHE` ("" or "off": nowhere), else `XDG_CACHE_HOME/constrained`, else
`~/.cache/constrained`. A folder that cannot be written costs a warning, nothing else.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import time

from .engines._base import Cone
from .engines._soundness import unsound
from .errors import InvalidInputError
from .exact import Vector

FORMAT = "constrained rays 1"
MIN_SECONDS = 1.0
"""Enumerations that took less are not worth a file, unless the caller has named the folder."""
STALE_SECONDS = 86_400.0
"""Unfinished files older than this are those of processes that were killed."""
PREFIX = "unfinished-"


@dataclass(frozen=True)
class Cache:
    """A folder of results; `folder=None` holds nothing.

    Attributes:
        folder: where, or None for a cache that is off.
        min_seconds: results that took less time are not kept.
    """

    folder: Path | None
    min_seconds: float = 0.0

    @classmethod
    def chosen(cls, cache: str | Path | bool | None) -> Cache:
        """By the argument `cache` of `generators`: a folder, False for none, None for the default."""
        if cache is False:
            return cls(None)
        if cache is None or cache is True:
            return cls(default_folder(), MIN_SECONDS)
        if not isinstance(cache, str | os.PathLike) or not os.fspath(cache):
            raise InvalidInputError(f"cache must be a folder, None or False; found {cache!r}")
        return cls(Path(cache).expanduser())

    def load(self, cone: Cone, engine: str) -> list[Vector] | None:
        """The rays of a pointed cone by this engine, verified, or None if they are not here."""
        if (path := self.path(cone, engine)) is None:
            return None
        try:
            text = path.read_bytes()
        except OSError:
            return None
        try:
            return _parse(text, cone)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            warnings.warn(
                f"the cached result {path} is damaged ({error}); it is computed again and replaced",
                RuntimeWarning,
                stacklevel=3,
            )
            _remove(path)
            return None

    def store(self, cone: Cone, engine: str, rays: Sequence[Vector], seconds: float) -> None:
        """Keep the rays if they took long enough; a disk that refuses is a warning."""
        if seconds < self.min_seconds or (path := self.path(cone, engine)) is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, _text(cone, engine, rays))
            _remove_stale(path.parent)
        except OSError as error:
            warnings.warn(
                f"the result could not be kept in {path.parent} ({error}); going on without; "
                "cache=False or CONSTRAINED_CACHE=off turns the cache off",
                RuntimeWarning,
                stacklevel=3,
            )

    def path(self, cone: Cone, engine: str) -> Path | None:
        """The file of a cone and an engine."""
        return None if self.folder is None else self.folder / f"{cone_hash(cone)}-{engine}.json"


def default_folder() -> Path | None:
    """`CONSTRAINED_CACHE`, else the user's cache folder; None when turned off or there is no home."""
    if (named := os.environ.get("CONSTRAINED_CACHE")) is not None:
        return None if named.lower() in ("", "0", "off", "false") else Path(named).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base, "constrained")
    try:
        return Path.home() / ".cache" / "constrained"
    except RuntimeError:
        return None


def cone_hash(cone: Cone) -> str:
    """SHA-256 of the exact rows in sorted order, in hexadecimal integers, and the number of features."""
    digest = sha256(f"{FORMAT}\n{cone.n}\n".encode())
    for kind, rows in (("<=", cone.inequalities), ("=", cone.equalities)):
        for row in sorted(rows):
            digest.update(f"{kind} {_hexadecimal(row)}\n".encode())
    return digest.hexdigest()


def _hexadecimal(vector: Iterable[int]) -> str:
    return " ".join(f"{v:x}" for v in vector)  # decimal stops at 4300 digits


def _text(cone: Cone, engine: str, rays: Sequence[Vector]) -> bytes:
    lines = [_hexadecimal(ray) for ray in rays]
    content = {"format": FORMAT, "cone": cone_hash(cone), "n": cone.n, "engine": engine}
    return json.dumps(content | {"checksum": _checksum(lines), "rays": lines}, indent=0).encode()


def _checksum(lines: Sequence[str]) -> str:
    return sha256("\n".join(lines).encode()).hexdigest()


def _parse(text: bytes, cone: Cone) -> list[Vector]:
    """The rays in a file; `ValueError` and the like where it is not what it should be."""
    content = json.loads(text)
    if content["format"] != FORMAT or content["cone"] != cone_hash(cone) or content["n"] != cone.n:
        raise ValueError("it belongs to another set or version")
    if content["checksum"] != _checksum(content["rays"]):
        raise ValueError("the checksum does not match")
    rays = [tuple(int(word, 16) for word in line.split()) for line in content["rays"]]
    if any(len(ray) != cone.n for ray in rays):
        raise ValueError("a ray has another length")
    if (reason := unsound(cone, rays)) is not None:
        raise ValueError(reason)
    return rays


def _write(path: Path, text: bytes) -> None:
    """All of the text or nothing, even if the process is killed or the disk is full."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        _remove(Path(name))
        raise


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass


def _remove_stale(folder: Path) -> None:
    for path in folder.glob(f"{PREFIX}*.tmp"):
        try:
            if time() - path.stat().st_mtime > STALE_SECONDS:
                _remove(path)
        except OSError:
            continue
