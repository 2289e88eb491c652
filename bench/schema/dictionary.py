"""The data dictionary: every column of every table with its unit and meaning, in Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from constrained.errors import UnknownNameError

from . import EXPECTED, REFERENCE, SCHEMA, TABLES, Table, kind_of, unit_of

ALL = TABLES | {REFERENCE.name: REFERENCE}


def dictionary(tables: Sequence[Table]) -> str:
    """A section for each table: what a row is, its key, its columns."""
    return "\n\n".join(_section(table) for table in tables)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m bench schema [TABLE ...]`; a name that is not a table is an `UnknownNameError`."""
    parser = argparse.ArgumentParser(prog="python -m bench schema", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(ALL)}; default: all")
    names = parser.parse_args(argv).tables or list(ALL)
    if unknown := [name for name in names if name not in ALL]:
        raise UnknownNameError(f"unknown table {unknown[0]!r}; available: {', '.join(map(repr, ALL))}")
    print(f"# Data dictionary, schema version {SCHEMA}\n\n{dictionary([ALL[name] for name in names])}")
    return 0


def _section(table: Table) -> str:
    lines = [
        f"## {table.name}",
        "",
        f"One row: {table.meaning}. No two rows share {', '.join(table.key)}.",
        "",
        "| column | kind | unit | missing | meaning |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, column in table.schema.columns.items():
        missing = "may be" if column.nullable else "never"
        kind = EXPECTED[kind_of(column)]
        lines.append(f"| `{name}` | {kind} | {unit_of(column)} | {missing} | {column.description} |")
    return "\n".join(lines)
