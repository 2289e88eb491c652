"""What pandera found wrong with a table, as a sentence with lines and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .schema import EXPECTED, Table, kind_of

if TYPE_CHECKING:
    from pandera.errors import SchemaErrors

MOST = 3
"""Lines, and different failures, that a message lists."""
UNIQUE = "multiple_fields_uniqueness"


class Failure(NamedTuple):
    """A line and what is wrong with it; `column` is empty if it is the whole line."""

    line: int
    column: str
    what: str
    found: str


def failures(table: Table, error: SchemaErrors) -> list[Failure]:
    """What failed, by line; what follows from a field of the wrong type is left out."""
    rules = (table.schema.metadata or {})["rules"]
    found = {
        Failure(int(case["index"]), *_sentence(table, case, rules))
        for case in error.failure_cases.to_dict("records")
        if _counts(case, rules)
    }
    return sorted(found) or [Failure(1, "", str(error), "")]


def located(found: Sequence[Failure]) -> tuple[str, str]:
    """Where and what: the lines and column of the first failure, and a sentence with the others."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in found:
        groups.setdefault((failure.column, failure.what), []).append(failure)
    texts = [(_where(group), group[0].what + group[0].found) for group in groups.values()]
    (where, what), *others = texts
    parts = [what, *(f"{other_where}: {other}" for other_where, other in others[: MOST - 1])]
    if len(texts) > MOST:
        parts.append(f"{len(texts) - MOST} more")
    return where, "; ".join(parts)


def _counts(case: dict, rules: dict[str, str]) -> bool:
    """Whether a failure case is one of its own: pandera lists a broken rule once for every column."""
    check = str(case["check"])
    if _missing(case["index"]) or check == "not_nullable" or check.startswith("dtype("):
        return False
    return check not in rules or rules[check] == case["column"]


def _sentence(table: Table, case: dict, rules: dict[str, str]) -> tuple[str, str, str]:
    """Column, what was expected, what was found."""
    check, column, value = str(case["check"]), str(case["column"]), case["failure_case"]
    if check == UNIQUE:
        return "", f"an earlier line has the same {', '.join(table.key)}", ""
    if check.startswith("coerce_dtype"):
        check = f"expected {EXPECTED[kind_of(table.schema.columns[column])]}"
    return column, check, f", found {_shown(value)}"


def _shown(value: object) -> str:
    """A number as it is, a text in quotes, nothing as "an empty field"."""
    if value == "" or _missing(value):
        return "an empty field"
    try:
        float(str(value))
    except ValueError:
        return repr(value)
    return str(value)


def _missing(value: object) -> bool:
    """None or NaN."""
    return value is None or value != value


def _where(group: Sequence[Failure]) -> str:
    lines = [str(failure.line) for failure in group]
    more = f" and {len(lines) - MOST} more" if len(lines) > MOST else ""
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(lines[:MOST])}{more}"
    column = group[0].column
    return f"{where}, column {column}" if column else where
