"""Result tables as files: written and read by their declared columns, so that every damage is named.

A table is a CSV file in `results/tables/<machine>/`; an empty cell is a missing value. A file that
ends without a line break, or has a line with too few fields, was cut off in the middle of a write.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constrained.errors import InvalidInputError, require

from ._failures import failures, located
from .machine import machine_folder
from .rows import write_atomic
from .schema import SCHEMA, Table
from .schema import TABLES as TABLES

require("pandas", "bench")
import pandas as pd  # noqa: E402  (after the check, so that a missing package is named with its extra)
from pandera.errors import SchemaErrors  # noqa: E402

Row = dict[str, Any]
COMMAND = "make bench"
"""The command that makes every table."""
FLAGS = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0}
MACHINE = "machine.json"


@dataclass(frozen=True)
class Tables:
    """What one machine's folder holds; a table that is not there is None."""

    folder: Path
    rows: dict[str, list[Row] | None]
    machine: dict[str, Any] | None

    @property
    def device(self) -> str:
        """The folder's name."""
        return self.folder.name

    def find(self, table: str) -> list[Row]:
        """The rows of a table, none if it is not there."""
        return self.rows.get(table) or []


class _DamagedError(Exception):
    """Where a table is damaged, and how."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")


def read_all(tables: Path) -> list[Tables]:
    """Every machine's tables, "cpu" first.

    Raises `InvalidInputError` if there are none, or naming the file and line that is damaged.
    """
    known = {f"{name}.csv" for name in TABLES} | {MACHINE}
    folders = [d for d in sorted(tables.glob("*")) if d.is_dir() and known & {f.name for f in d.iterdir()}]
    if not folders:
        raise InvalidInputError(
            f"expected tables in {tables}/<machine>/, found none; `{COMMAND}` makes them, "
            "--tables names another folder"
        )
    return [read_tables(folder) for folder in sorted(folders, key=lambda d: (d.name != "cpu", d.name))]


def read_tables(folder: Path) -> Tables:
    """The tables in one machine's folder; refuses those of another schema version or machine."""
    machine = _read_machine(folder / MACHINE)
    rows = {name: read_table(folder / f"{name}.csv", table) for name, table in TABLES.items()}
    return Tables(folder, rows, machine)


def read_table(path: Path, table: Table) -> list[Row] | None:
    """The rows of one CSV file with text, numbers (NaN where empty) and counts; None without a file."""
    if not path.exists():
        return None
    try:
        return _rows(path.read_bytes(), table)
    except (OSError, _DamagedError) as error:
        raise _damaged(path, error, table.command) from error


def write_table(path: Path, rows: Iterable[Row], table: Table) -> None:
    """Write rows as a table; keys that are not its columns are left out, columns without a key are empty.

    Raises `InvalidInputError` if it would not be read back, naming the line; no file is written then.
    """
    kept = list(rows)
    pixels = [name for name in (kept[0] if kept else ()) if table.pixels and re.fullmatch(r"p\d+", name)]
    frame = pd.DataFrame(kept, columns=pd.Index([*table.all, *pixels]))
    text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    try:
        _rows(text.encode(), table)
    except _DamagedError as error:
        raise InvalidInputError(
            f"{path} is not written: {error}; the raw rows are damaged, or a column is declared otherwise "
            "in bench/schema"
        ) from error
    write_atomic(path, text)


def _rows(content: bytes, table: Table) -> list[Row]:
    """The rows of a CSV file's content, checked against the declared columns."""
    header, lines, numbers = _lines(content)
    if missing := [name for name in table.all if name not in header]:
        raise _DamagedError(
            "line 1",
            f"expected the column(s) {', '.join(missing)}; found {header}; if an older version wrote it, "
            f"{table.older}",
        )
    frame = pd.DataFrame(lines, columns=pd.Index(header), index=pd.Index(numbers), dtype=str)
    for name in table.of_kind("flag"):
        frame[name] = [FLAGS.get(text.strip().lower(), text) for text in frame[name]]
    for name in table.of_kind("count", "number", "flag"):
        frame[name] = frame[name].replace("", math.nan)
    for name in _pixels(header) if table.pixels else ():
        frame[name] = _pixel_values(frame[name])
    try:
        frame = table.schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        raise _DamagedError(*located(failures(table, error))) from error
    rows: list[Row] = frame.to_dict("records")  # pyright: ignore[reportAssignmentType]
    return rows


def _lines(content: bytes) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and the line each row ends at; refuses a file that was cut off."""
    try:
        text = content.decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(line, reader.line_num) for line in reader if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _DamagedError("the whole file", f"it is not readable as CSV ({error})") from error
    if not lines:
        raise _DamagedError("line 1", "expected a header, found an empty file")
    header = lines[0][0]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise _DamagedError("line 1", f"expected each column once, found twice: {', '.join(twice)}")
    for line, number in lines:
        if len(line) != len(header):
            raise _DamagedError(f"line {number}", f"expected {len(header)} fields, found {len(line)}")
    if not text.endswith("\n"):
        raise _DamagedError(f"line {lines[-1][1]}", "it ends without a line break, so it was cut off")
    return header, [line for line, _ in lines[1:]], [number for _, number in lines[1:]]


def _pixels(header: list[str]) -> tuple[str, ...]:
    """The columns p0, p1, ... of a square image, in order."""
    count = sum(re.fullmatch(r"p\d+", name) is not None for name in header)
    pixels = tuple(f"p{i}" for i in range(count))
    if not count or math.isqrt(count) ** 2 != count or not set(pixels) <= set(header):
        raise _DamagedError("line 1", f"expected the pixels of a square image, p0 to p783; found {count}")
    return pixels


def _pixel_values(column: Any) -> list[float]:
    """By hand: of hundreds of columns of one kind, pandera would take a second."""
    values = []
    for number, text in column.items():
        try:
            values.append(float(text or "nan"))
        except ValueError as error:
            where = f"line {number}, column {column.name}"
            raise _DamagedError(where, f"expected a number, found {text!r}") from error
    return values


def _read_machine(path: Path) -> dict[str, Any] | None:
    """The facts beside the tables, of this schema version and of the machine that the folder is named for."""
    if not path.exists():
        return None
    try:
        machine = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = _DamagedError("the whole file", f"it is not readable as JSON ({error})")
        raise _damaged(path, what, COMMAND) from error
    if not isinstance(machine, dict):
        what = _DamagedError("the whole file", f"expected an object, found {type(machine).__name__}")
        raise _damaged(path, what, COMMAND)
    if not isinstance(machine.get("device", ""), str):
        what = _DamagedError("device", f"expected a name, found {machine['device']!r}")
        raise _damaged(path, what, COMMAND)
    _check_version(path, machine.get("schema", 1))
    _check_folder(path, machine)
    return machine


def _check_version(path: Path, version: object) -> None:
    if version == SCHEMA:
        return
    newer = isinstance(version, int) and version > SCHEMA
    cure = (
        "a newer version of the suite wrote them, so update this one"
        if newer
        else "write them anew from the raw rows: `python -m bench tables`"
    )
    raise InvalidInputError(
        f"{path}: the tables beside it have schema version {version}, this suite reads {SCHEMA}; {cure}"
    )


def _check_folder(path: Path, machine: dict[str, Any]) -> None:
    expected = machine_folder(machine) if machine.get("device") else path.parent.name
    if expected != path.parent.name:
        raise InvalidInputError(
            f"{path} describes the machine {expected!r}, its folder is that of {path.parent.name!r}: the "
            f"tables were moved or copied over; move them to {path.parent.parent / str(expected)}"
        )


def _damaged(path: Path, error: Exception, command: str) -> InvalidInputError:
    return InvalidInputError(f"{path}, {error}; delete the file and run `{command}` to write it again")
