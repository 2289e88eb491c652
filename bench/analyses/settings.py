"""Threads and caches: figures and pages compare the cells of one setting, and show the others beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from .._cells import ok, where
from .._tables_io import Row, Tables

SETTING = ("threads", "cache")
"""The columns of a setting; a table without them has one."""
CELL = ("problem", "method", "batch", "dtype")


def main_setting(tables: Tables) -> Tables:
    """The tables with the rows of the setting that most inference rows have; tables that say none stay."""
    counts = Counter(map(_setting, tables.find("inference")))
    if len(counts) < 2:
        return tables
    main = min(counts, key=lambda setting: (-counts[setting], setting))
    rows = {name: rows and [row for row in rows if _in(row, main)] for name, rows in tables.rows.items()}
    return replace(tables, rows=rows)


def other_settings(tables: Tables) -> list[Row]:
    """The answered inference rows of other settings; `ratio` is their time over that in the main one."""
    main = main_setting(tables).find("inference")
    settings = set(map(_setting, main))
    times = {_cell(row): row["us_per_sample"] for row in ok(main)}
    return [
        row | {"ratio": row["us_per_sample"] / times.get(_cell(row), float("nan"))}
        for row in where(tables.find("inference"), status="ok")
        if _setting(row) not in settings
    ]


def _setting(row: Row) -> tuple[str, ...]:
    return tuple(str(row.get(name, "")) for name in SETTING)


def _in(row: Row, main: tuple[str, ...]) -> bool:
    return not any(name in row for name in SETTING) or _setting(row) == main


def _cell(row: Row) -> tuple:
    return tuple(row[name] for name in CELL)
