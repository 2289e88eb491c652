"""What a row is and how it is kept: run files, append-only and never half-written.

A run file `results/raw/<kind>-<machine>-<start>.json` is `{"run": {...}, "rows": [...]}`: the header
says where, when and with what the rows were measured, each row holds all its replicates. The whole
file is replaced at each added row (a temporary file in the same folder, then a rename), so a kill
at any moment leaves the last complete state, and a later call continues an unfinished run. The format
has a version; files of older ones are brought up to date in memory, see `migrations`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from constrained.errors import InvalidInputError

from .machine import command_line, describe_machine, load_average, machine_folder
from .migrations import FORMAT, migrate

RESULTS = Path(__file__).resolve().parent.parent / "results"
HEADER = {"kind", "settings", "machine", "command", "load", "started", "finished"}
"""What the header of a run holds beside its format."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part.

    Raises `OSError` with the path when the disk refuses (full, read-only); the old file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode() if isinstance(data, str) else data
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Run:
    """A run file that is open for more rows; make one with `Run.open`."""

    def __init__(self, path: Path, header: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.path, self.header, self.rows = path, header, rows

    @classmethod
    def open(
        cls,
        directory: Path,
        kind: str,
        settings: dict[str, Any],
        fresh: bool = False,
        device: str = "cpu",
    ) -> Run:
        """The newest unfinished run of this kind, settings, device and machine; otherwise a new one.

        Args:
            directory: where run files are kept, usually `results/raw`.
            kind: what is measured, e.g. "inference".
            settings: JSON values that two runs must share for one to continue the other.
            fresh: start a new run in any case.
            device: "cpu" or the name of a CUDA device; goes into the file name, with the machine's name.
        """
        settings = json.loads(json.dumps(settings))
        machine = describe_machine(device)
        slug = machine_folder(machine)
        if not fresh:
            for path in sorted(directory.glob(f"{kind}-{slug}-*.json"), reverse=True):
                run = cls.read(path)
                if run.continues(settings, machine):
                    return run
        started = datetime.now(UTC)
        header = {
            "format": FORMAT,
            "kind": kind,
            "settings": settings,
            "machine": machine,
            "command": command_line(),
            "load": load_average(),
            "started": started.isoformat(timespec="seconds"),
            "finished": None,
        }
        return cls(directory / f"{kind}-{slug}-{started:%Y%m%dT%H%M%S%f}.json", header, [])

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a run file, brought up to date if an older version wrote it.

        Raises `InvalidInputError` naming the file if it is not a whole run file, or of a newer version.
        """
        try:
            content = json.loads(path.read_text())
            found = content["run"]["format"]
            content = migrate(content) if found in range(1, FORMAT) else content
            header, rows = content["run"], content["rows"]
            whole = header["format"] == FORMAT and isinstance(rows, list)
            if whole and (missing := HEADER - set(header)):
                raise KeyError(*sorted(missing))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(
                f"{path} is not a readable run file ({type(error).__name__}: {error}); "
                "move it away or delete it, the other runs are unaffected"
            ) from error
        if not whole:
            raise InvalidInputError(
                f"{path} has format {found}, expected 1 to {FORMAT}; update the suite if a newer one wrote "
                "it, or move it away"
            )
        return cls(path, header, rows)

    @property
    def finished(self) -> bool:
        """Whether the run has all the rows that it was started for."""
        return self.header["finished"] is not None

    def continues(self, settings: dict[str, Any], machine: dict[str, Any]) -> bool:
        """Whether rows measured now belong to this run: unfinished, same settings, code and machine."""
        same = all(
            self.header["machine"].get(key) == value for key, value in machine.items() if key != "when"
        )
        return not self.finished and same and self.header["settings"] == settings

    def add(self, *rows: dict[str, Any]) -> None:
        """Append rows and replace the file."""
        self.rows.extend(rows)
        self._write()

    def finish(self) -> None:
        """Mark the run as complete; a later `open` starts a new one."""
        self.header["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()

    def _write(self) -> None:
        lines = ",\n".join(json.dumps(row, allow_nan=False) for row in self.rows)
        header = json.dumps(self.header, indent=1, allow_nan=False)
        write_atomic(self.path, f'{{"run": {header},\n"rows": [\n{lines}\n]}}\n')


def read_runs(directory: Path, kinds: Iterable[str]) -> list[Run]:
    """All run files of these kinds, oldest first."""
    paths = sorted(path for kind in kinds for path in directory.glob(f"{kind}-*.json"))
    return sorted((Run.read(path) for path in paths), key=lambda run: run.header["started"])
