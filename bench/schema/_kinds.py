"""The kinds of columns, as pandera columns with a unit and a meaning, and what a table is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from constrained.errors import require

require("pandera", "bench")
import pandera.pandas as pa  # noqa: E402  (after the check, so that a missing package is named with its extra)

EXPECTED = {"count": "a whole number", "number": "a number", "flag": "True or False", "text": "a text"}
"""What a field of each kind has to be."""


@dataclass(frozen=True)
class Table:
    """A declared table.

    Attributes:
        name: of its file, without the extension.
        meaning: what a row is.
        schema: its columns in order, its key, and the rules for whole rows.
        pixels: whether columns p0, p1, ... follow, the pixels of a square image from -1 to 1.
        command: what makes it.
        older: what to do about a table that an older version wrote.
    """

    name: str
    meaning: str
    schema: pa.DataFrameSchema
    pixels: bool = False
    command: str = "make bench"
    older: str = "`python -m bench tables` suffices"

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that must be there, in order."""
        return tuple(self.schema.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that no two rows share."""
        return tuple(self.schema.unique or ())

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """The columns of these kinds, see EXPECTED."""
        return tuple(name for name, column in self.schema.columns.items() if kind_of(column) in kinds)


def table_schema(
    columns: dict[str, pa.Column], key: Sequence[str], rules: dict[str, pa.Check] | None = None
) -> pa.DataFrameSchema:
    """The schema of a table.

    Args:
        columns: by name, in the order of the file.
        key: the columns that no two rows share; of two such rows the later one is at fault.
        rules: checks of whole rows, by the column that they speak of.
    """
    rules = rules or {}
    return pa.DataFrameSchema(
        columns,
        checks=list(rules.values()),
        unique=list(key),
        report_duplicates="exclude_first",
        metadata={"rules": {str(rule.error): column for column, rule in rules.items()}},
    )


def text(meaning: str, allowed: Sequence[str] = (), empty: bool = False) -> pa.Column:
    """A text, one of `allowed` if there are any; `empty` says that it may be missing."""
    checks = []
    if allowed:
        checks.append(pa.Check.isin(list(allowed), error=f"expected one of {', '.join(allowed)}"))
    elif not empty:
        checks.append(pa.Check(lambda column: column.str.strip() != "", error=f"expected {EXPECTED['text']}"))
    return pa.Column(str, checks, description=meaning, metadata=_metadata("text", ""), nullable=empty)


def count(meaning: str, unit: str = "1") -> pa.Column:
    """A whole number from 0 on, never missing."""
    checks = pa.Check.ge(0, error="expected a whole number from 0 on")
    return pa.Column(
        "int64", checks, description=meaning, metadata=_metadata("count", unit), coerce=True, nullable=False
    )


def number(
    meaning: str, unit: str = "1", at_least: float | None = None, at_most: float | None = None
) -> pa.Column:
    """A number within its range, or missing."""
    checks = []
    if at_least is not None:
        checks.append(pa.Check.ge(at_least, error=f"expected at least {at_least:g}"))
    if at_most is not None:
        checks.append(pa.Check.le(at_most, error=f"expected at most {at_most:g}"))
    return pa.Column(
        float, checks, description=meaning, metadata=_metadata("number", unit), coerce=True, nullable=True
    )


def flag(meaning: str) -> pa.Column:
    """True or False, or missing; read as 1.0, 0.0 and NaN."""
    return pa.Column(float, description=meaning, metadata=_metadata("flag", ""), coerce=True, nullable=True)


def with_interval(name: str, meaning: str) -> dict[str, pa.Column]:
    """A ratio of times and the ends of its 95 % interval, as three columns."""
    meanings = {
        name: meaning,
        f"{name}_low": f"lower end of the 95 % interval of {name}",
        f"{name}_high": f"upper end of the 95 % interval of {name}",
    }
    return {column: _positive(text) for column, text in meanings.items()}


def _positive(meaning: str) -> pa.Column:
    check = pa.Check.gt(0, error="expected a number above 0")
    return pa.Column(
        float, check, description=meaning, metadata=_metadata("number", "1"), coerce=True, nullable=True
    )


def kind_of(column: pa.Column) -> str:
    """A key of EXPECTED."""
    return str((column.metadata or {})["kind"])


def unit_of(column: pa.Column) -> str:
    """The unit: "1" for a pure number, empty for a text or a flag."""
    return str((column.metadata or {})["unit"])


def _metadata(kind: str, unit: str) -> dict[str, Any]:
    return {"kind": kind, "unit": unit}
