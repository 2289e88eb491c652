"""The tables of the timing grid: which methods each of them measures, and at which cells."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from .accuracy import SETTINGS
from .compiled import COMPILED
from .grid import Cell, Grid
from .methods import ALWAYS, METHODS, AbstractMethod
from .planning import PLANS
from .training_step import STEPS

SUITES: dict[str, tuple[AbstractMethod, ...]] = {
    "inference": METHODS,
    "training_step": STEPS,
    "planning": PLANS,
    "accuracy": SETTINGS,
    "compiled": COMPILED,
}


def cells_of(table: str, grid: Grid) -> tuple[Cell, ...]:
    """The cells of a grid that a table has."""
    cells = {"inference": grid.cells, "training_step": grid.steps, "planning": grid.plans}
    return (cells | {"accuracy": grid.accuracy, "compiled": grid.compiled})[table]


def methods_at(table: str, cell: Cell) -> tuple[AbstractMethod, ...]:
    """What is measured at a cell: variants, the field and projections on the host where it asks for them."""
    return tuple(method for method in SUITES[table] if _asked(cell, method))


def _asked(cell: Cell, method: AbstractMethod) -> bool:
    return (
        (cell.strict or not method.plain)
        and (cell.field or not method.field)
        and (cell.host or not method.host or method.name in ALWAYS)
        and (cell.graphs or not method.graph)
    )


def with_references(table: str, cell: Cell, names: set[str]) -> list[AbstractMethod]:
    """The methods of these names at a cell, with those that they are compared with."""
    known = methods_at(table, cell)
    wanted = names | set(ALWAYS)
    wanted |= {method.plain for method in known if method.name in wanted}
    return [method for method in known if method.name in wanted]


def items(grid: Grid) -> list[tuple[str, Cell, AbstractMethod]]:
    """Every row that a grid gives."""
    return [
        (table, cell, method)
        for table in SUITES
        for cell in cells_of(table, grid)
        for method in methods_at(table, cell)
    ]


def row_key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Table, cell and method: what a run holds once."""
    return row["table"], row["cell"], row["method"]


def row_name(table: str, cell: Cell, method: str) -> str:
    """What filters are compared with."""
    return f"{table}/{cell}/{method}"


def matches(expression: str, table: str, cell: Cell, method: str) -> bool:
    """Whether `table/cell/method` holds the expression or, if it has a `*`, `?` or `[`, fits it as a glob."""
    name = row_name(table, cell, method)
    is_glob = any(sign in expression for sign in "*?[")
    return fnmatchcase(name, expression) if is_glob else expression in name
