"""What is measured: cells (problem x batch size x dtype), in grids of different length.

A cell is measured in one interleaved pass over its methods; a grid is a list of cells and a budget
of seconds a method.
"""

from __future__ import annotations

from dataclasses import dataclass

from constrained.errors import UnknownNameError

from .problems import family
from .problems._base import Instance

CHECKERBOARD = ("checkerboard", (28, 28, 7))


@dataclass(frozen=True)
class Cell:
    """One problem at one batch size in one dtype."""

    family: str
    size: tuple[int, ...]
    batch: int = 256
    dtype: str = "float32"
    seed: int = 0

    def generate(self) -> Instance:
        """The instance; the same cell gives the same bytes."""
        return family(self.family).generate(self.size, self.batch, self.seed)

    def __str__(self) -> str:
        return f"{self.family}-{'x'.join(map(str, self.size))}-batch{self.batch}"


@dataclass(frozen=True)
class Grid:
    """Cells, the seconds of timing a method, and when a call or a set-up is a time-out."""

    name: str
    cells: tuple[Cell, ...]
    budget: float
    call_limit: float = 30.0
    setup_limit: float = 20.0
    kept: bool = True
    """Whether its rows go to `results/raw`."""


def _cones(*sizes: tuple[int, int], batch: int = 256) -> tuple[Cell, ...]:
    return tuple(Cell("random_cone", size, batch) for size in sizes)


def _full_cells() -> tuple[Cell, ...]:
    from .problems import FAMILIES

    return tuple(
        Cell(entry.name, size, batch)
        for entry in FAMILIES
        for size in entry.sizes
        for batch in (1, 32, 256, 4096)
    )


def all_grids() -> tuple[Grid, ...]:
    """Every grid, the shortest first."""
    headline = Cell(*CHECKERBOARD)
    sweep_n = _cones((8, 8), (16, 8), (64, 8), (256, 8), (784, 8))
    sweep_m = _cones((8, 4), (8, 12), (8, 16), (8, 32))
    others = _cones((64, 32), (784, 16), (128, 256))
    single = (Cell(*CHECKERBOARD, batch=1), *_cones((64, 32), batch=1))
    return (
        Grid("smoke", (Cell(*CHECKERBOARD, batch=8), *_cones((6, 9), batch=8)), budget=0.02, kept=False),
        Grid("short", (headline, *_cones((64, 32), (8, 16))), budget=0.7, kept=False),
        Grid("default", (headline, *sweep_n, *sweep_m, *others, *single), budget=0.5, setup_limit=5.0),
        Grid("full", (headline, *(c for c in _full_cells() if c != headline)), budget=2.0, call_limit=60.0),
    )


def grid(name: str) -> Grid:
    """The grid of this name."""
    grids = {entry.name: entry for entry in all_grids()}
    if name not in grids:
        raise UnknownNameError(f"unknown grid {name!r}; available: {', '.join(map(repr, grids))}")
    return grids[name]
