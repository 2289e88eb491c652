"""The cells that `pytest --benchmark-only` measures, each once, whatever the number of its items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from bench.grid import Cell, Grid, grid
from bench.machine import device_name
from bench.measure import Row, measure_cell
from bench.methods import ALWAYS, METHODS
from bench.rows import Run


def devices() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" not in metafunc.fixturenames:
        return
    chosen = chosen_grid(metafunc.config)
    metafunc.parametrize("method", [m.name for m in METHODS])
    metafunc.parametrize("cell", chosen.cells, ids=str, scope="session")
    marks = [pytest.param(d, marks=pytest.mark.cuda) if d == "cuda" else d for d in devices()]
    metafunc.parametrize("device", marks, scope="session")


def chosen_grid(config: pytest.Config) -> Grid:
    return grid(str(config.getoption("grid")))


class Bench:
    """Measures cells on demand and keeps their rows."""

    def __init__(self, config: pytest.Config, raw: Path) -> None:
        self.grid = chosen_grid(config)
        self.settings = {"grid": self.grid.name, "budget": self.grid.budget}
        self.raw, self.fresh = raw, bool(config.getoption("fresh"))
        self.runs: dict[str, Run] = {}
        self.wanted: dict[tuple[str, str], set[str]] = {}

    def run(self, device: str) -> Run:
        if device not in self.runs:
            name = device_name(torch.device(device))
            self.runs[device] = Run.open(self.raw, "inference", self.settings, self.fresh, name)
        return self.runs[device]

    def row(self, cell: Cell, device: str, method: str) -> Row:
        """The row of a method; measures the whole cell the first time it is asked about."""
        run = self.run(device)
        if (row := self._find(run, cell, method)) is None:
            wanted = self.wanted[str(cell), device] | set(ALWAYS)
            chosen = [m for m in METHODS if m.name in wanted]
            run.add(*measure_cell(cell, self.grid, torch.device(device), chosen))
            row = self._find(run, cell, method)
        assert row is not None
        return row

    @staticmethod
    def _find(run: Run, cell: Cell, method: str) -> Row | None:
        return next((r for r in run.rows if r["cell"] == str(cell) and r["method"] == method), None)

    def finish(self) -> None:
        """Close the runs that hold every cell of the grid with every method."""
        for run in self.runs.values():
            have = {(row["cell"], row["method"]) for row in run.rows}
            if all((str(cell), m.name) in have for cell in self.grid.cells for m in METHODS):
                run.finish()


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    config = request.config
    with TemporaryDirectory() as temporary:
        raw = config.getoption("raw") if chosen_grid(config).kept else temporary
        bench = Bench(config, Path(str(raw)))
        for item in request.session.items:
            if (call := getattr(item, "callspec", None)) is not None and "cell" in call.params:
                key = str(call.params["cell"]), call.params["device"]
                bench.wanted.setdefault(key, set()).add(call.params["method"])
        yield bench
        bench.finish()
