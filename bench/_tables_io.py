"""The result tables: which columns they have, and reading them so that every damage is named.

A table is a CSV file in `results/tables/<device>/`; an empty cell is a missing value. A file that
ends without a line break, or has a line with too few fields, was cut off in the middle of a write.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constrained.errors import InvalidInputError, require

from ._columns import ROLES, STATUSES, TABLES, Columns

require("pandas", "bench")
import pandas as pd  # noqa: E402  (after the check, so that a missing package is named with its extra)

Row = dict[str, Any]
COMMAND = "make bench"
"""The command that makes every table."""
FLAGS = {"true": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "0": 0.0, "0.0": 0.0, "": math.nan}


@dataclass(frozen=True)
class Tables:
    """What one device's folder holds; a table that is not there is None."""

    folder: Path
    rows: dict[str, list[Row] | None]
    machine: dict[str, Any] | None

    @property
    def device(self) -> str:
        """The folder's name."""
        return self.folder.name

    def find(self, table: str) -> list[Row]:
        """The rows of a table, none if it is not there."""
        return self.rows[table] or []


def read_all(tables: Path) -> list[Tables]:
    """Every device's tables, "cpu" first.

    Raises `InvalidInputError` if there are none, or naming the file and line that is damaged.
    """
    known = {f"{name}.csv" for name in TABLES} | {"machine.json"}
    folders = [d for d in sorted(tables.glob("*")) if d.is_dir() and known & {f.name for f in d.iterdir()}]
    if not folders:
        raise InvalidInputError(
            f"expected tables in {tables}/<device>/, found none; `{COMMAND}` makes them, "
            "--tables names another folder"
        )
    return [read_tables(folder) for folder in sorted(folders, key=lambda d: (d.name != "cpu", d.name))]


def read_tables(folder: Path) -> Tables:
    """The tables in one device's folder."""
    rows = {name: read_table(folder / f"{name}.csv", columns) for name, columns in TABLES.items()}
    return Tables(folder, rows, _read_machine(folder / "machine.json"))


def read_table(path: Path, columns: Columns) -> list[Row] | None:
    """The rows of one CSV file with text, numbers (NaN where empty) and counts; None without a file."""
    if not path.exists():
        return None
    header, lines, numbers = _read_lines(path)
    if missing := [name for name in columns.all if name not in header]:
        # A table of an older version is whole, so the cure is to write it anew from the rows that are there.
        raise _damaged(
            path,
            "line 1",
            f"expected the column(s) {', '.join(missing)}; found {header}; if an older version wrote it, "
            "`python -m bench tables` suffices",
        )
    frame = pd.DataFrame(lines, columns=pd.Index(header), index=pd.Index(numbers), dtype=str)
    pixels = _pixels(path, header) if columns.pixels else ()
    for name in columns.names:
        _require_text(path, frame, name)
    for name in columns.counts + columns.numbers + columns.flags + pixels:
        frame[name] = _numbers(path, frame[name], flag=name in columns.flags)
    for name in columns.counts:
        frame[name] = _counts(path, frame[name])
    _check_key(path, frame, columns.key)
    rows: list[Row] = frame.to_dict("records")  # pyright: ignore[reportAssignmentType]
    if "status" in columns.names:
        _check_statuses(path, rows, numbers)
    return rows


def _read_lines(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and the line each row ends at; refuses a file that was cut off."""
    try:
        text = path.read_text(encoding="utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = [(line, reader.line_num) for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, "the whole file", f"it is not readable as CSV ({error})") from error
    if not lines:
        raise _damaged(path, "line 1", "expected a header, found an empty file")
    header = lines[0][0]
    for line, number in lines:
        if len(line) != len(header):
            raise _damaged(path, f"line {number}", f"expected {len(header)} fields, found {len(line)}")
    if not text.endswith("\n"):
        raise _damaged(path, f"line {lines[-1][1]}", "it ends without a line break, so it was cut off")
    return header, [line for line, _ in lines[1:]], [number for _, number in lines[1:]]


def _pixels(path: Path, header: list[str]) -> tuple[str, ...]:
    """The columns p0, p1, ... of a square image, in order."""
    count = sum(re.fullmatch(r"p\d+", name) is not None for name in header)
    pixels = tuple(f"p{i}" for i in range(count))
    if not count or math.isqrt(count) ** 2 != count or not set(pixels) <= set(header):
        raise _damaged(path, "line 1", f"expected the pixels of a square image, p0 to p783; found {count}")
    return pixels


def _require_text(path: Path, frame: pd.DataFrame, name: str) -> None:
    for number, value in frame[name].items():
        if not value.strip():
            raise _damaged(path, f"line {number}, column {name}", "expected a text, found an empty field")


def _numbers(path: Path, column: Any, flag: bool) -> list[float]:
    """The column as floats, NaN where empty."""
    values = []
    for number, text in column.items():
        try:
            values.append(FLAGS[text.strip().lower()] if flag else float(text or "nan"))
        except (KeyError, ValueError) as error:
            expected = "True or False" if flag else "a number"
            raise _damaged(
                path, f"line {number}, column {column.name}", f"expected {expected}, found {text!r}"
            ) from error
    return values


def _counts(path: Path, column: Any) -> list[int]:
    for number, value in column.items():
        if not math.isfinite(value) or value != int(value):
            raise _damaged(
                path, f"line {number}, column {column.name}", f"expected a whole number, found {value}"
            )
    return [int(value) for value in column]


def _check_key(path: Path, frame: pd.DataFrame, key: tuple[str, ...]) -> None:
    twice = frame.index[frame.duplicated(list(key))]
    if len(twice):
        raise _damaged(path, f"line {twice[0]}", f"an earlier line has the same {', '.join(key)}")


def _check_statuses(path: Path, rows: list[Row], numbers: list[int]) -> None:
    """Roles and statuses are known, and a row that is ok has a time."""
    for row, number in zip(rows, numbers, strict=True):
        for column, known in (("role", ROLES), ("status", STATUSES)):
            if row[column] not in known:
                raise _damaged(
                    path,
                    f"line {number}, column {column}",
                    f"expected one of {', '.join(known)}; found {row[column]!r}",
                )
        if row["status"] == "ok" and not 0 < row["us_per_sample"] < math.inf:
            raise _damaged(
                path,
                f"line {number}, column us_per_sample",
                f"a row that is ok needs a positive time; found {row['us_per_sample']}",
            )


def _read_machine(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        machine = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, "the whole file", f"it is not readable as JSON ({error})") from error
    if not isinstance(machine, dict):
        raise _damaged(path, "the whole file", f"expected an object, found {type(machine).__name__}")
    return machine


def _damaged(path: Path, where: str, what: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path}, {where}: {what}; delete the file and run `{COMMAND}` to write it again"
    )
