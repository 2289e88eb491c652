"""The cells that `pytest --benchmark-only` measures, each once, whatever the number of its items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from bench.grid import Cell, Grid, grid
from bench.isolation import isolated_cell
from bench.machine import device_name
from bench.measure import Row, measure_cell
from bench.rows import RESULTS, Run
from bench.suites import cells_of, items, matches, methods_at, row_key, row_name, with_references
from constrained.errors import ConstraintError

Key = tuple[str, str, str]
"""A table, a cell and a device."""


def devices() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The rows of the table that the test's module names, cell by cell."""
    table = getattr(metafunc.module, "TABLE", None)
    if table is None:
        return
    rows = [
        pytest.param(table, cell, method.name, id=f"{cell}-{method.name}")
        for cell in cells_of(table, chosen_grid(metafunc.config))
        for method in methods_at(table, cell)
    ]
    metafunc.parametrize(("table", "cell", "method"), rows)
    marks = [pytest.param(d, marks=pytest.mark.cuda) if d == "cuda" else d for d in devices()]
    metafunc.parametrize("device", marks, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what `--filter` asks for; tests that are no rows of a table are not its business."""
    expression = str(config.getoption("filter"))
    rows = [item for item in items if {"table", "cell", "method"} <= _parameters(item).keys()]
    left_out = [item for item in rows if not _fits(expression, **_parameters(item))]
    if rows and len(left_out) == len(rows):
        # A table without cells in this grid is an item without parameters.
        first = next(named for named in map(_parameters, rows) if isinstance(named["table"], str))
        name = chosen_grid(config).name
        example = row_name(first["table"], first["cell"], first["method"])
        raise pytest.UsageError(
            f"--filter {expression!r} fits no row of the grid {name!r}; rows are named table/cell/method, "
            f"e.g. {example!r}; a part of that is enough, or a glob of all of it"
        )
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _parameters(item: pytest.Item) -> dict[str, Any]:
    call = getattr(item, "callspec", None)
    return {} if call is None else call.params


def _fits(expression: str, table: str, cell: Cell, method: str, **_: object) -> bool:
    return matches(expression, table, cell, method)


def chosen_grid(config: pytest.Config) -> Grid:
    return replace(grid(str(config.getoption("grid"))), cache=str(config.getoption("cache")))


class Bench:
    """Measures cells on demand and keeps their rows."""

    def __init__(self, config: pytest.Config, raw: Path) -> None:
        self.grid = chosen_grid(config)
        self.measure = measure_cell if config.getoption("in_process") else isolated_cell
        self.raw, self.fresh = raw, bool(config.getoption("fresh"))
        self.runs: dict[str, Run] = {}
        self.wanted: dict[Key, set[str]] = {}
        self.failed: dict[Key, ConstraintError] = {}

    def run(self, device: str) -> Run:
        if device not in self.runs:
            name = device_name(torch.device(device))
            self.runs[device] = Run.open(self.raw, "inference", self.grid.settings, self.fresh, name)
        return self.runs[device]

    def row(self, table: str, cell: Cell, device: str, method: str) -> Row:
        """The row of a method; measures the whole cell the first time it is asked about."""
        run = self.run(device)
        if (row := self.find(table, cell, device, method)) is None:
            run.add(*self.measured(table, cell, device))
            row = self.find(table, cell, device, method)
        assert row is not None
        return row

    def measured(self, table: str, cell: Cell, device: str) -> list[Row]:
        """The rows of a cell; one that could not be measured is not tried again for each of its items."""
        key = table, str(cell), device
        if key in self.failed:
            raise self.failed[key]
        chosen = with_references(table, cell, self.wanted[key])
        try:
            return self.measure(cell, self.grid, torch.device(device), chosen, table)
        except ConstraintError as error:
            self.failed[key] = error
            raise

    def find(self, table: str, cell: Cell, device: str, method: str) -> Row | None:
        """The row of a method, if it was measured."""
        key = table, str(cell), method
        return next((r for r in self.run(device).rows if row_key(r) == key), None)

    def finish(self) -> None:
        """Close the runs that hold every row of the grid."""
        for run in self.runs.values():
            have = {row_key(row) for row in run.rows}
            if all((table, str(cell), m.name) in have for table, cell, m in items(self.grid)):
                run.finish()


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    config = request.config
    with TemporaryDirectory() as temporary:
        usual = RESULTS / "raw" if chosen_grid(config).kept else temporary
        bench = Bench(config, Path(str(config.getoption("raw") or usual)))
        for item in request.session.items:
            if "cell" in (named := _parameters(item)):
                key = named["table"], str(named["cell"]), named["device"]
                bench.wanted.setdefault(key, set()).add(named["method"])
        yield bench
        bench.finish()
