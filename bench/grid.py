"""What is measured: cells (problem x batch size x dtype), in grids of different length.

A cell is measured in one interleaved pass over its methods; a grid is lists of cells, one for each
table, and a budget of seconds a method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from constrained.errors import UnknownNameError

from .problems import family
from .problems._base import Instance
from .timing import Cache

BATCHES = (1, 32, 256, 4096)
ON_CUDA = (1, 256, 4096, 65536)
"""Batch sizes for a CUDA device: from launches that wait for the host to more bytes than its caches hold."""
CHECKERBOARD = ("checkerboard", (28, 28, 7))
CONE = ("random_cone", (784, 16))


@dataclass(frozen=True)
class Cell:
    """One problem at one batch size in one dtype."""

    family: str
    size: tuple[int, ...]
    batch: int = 256
    dtype: str = "float32"
    seed: int = 0
    strict: bool = False
    """Whether the strict variants of the maps are measured as well."""
    field: bool = False
    """Whether peers' layers are measured as well, and modelling tools around solvers that are there bare."""
    host: bool = True
    """Whether projections that compute on the host are measured as well, beside those of every cell."""
    graphs: bool = False
    """Whether maps are measured in a captured CUDA graph as well."""

    def generate(self) -> Instance:
        """The instance; the same cell gives the same bytes."""
        return family(self.family).generate(self.size, self.batch, self.seed)

    def __str__(self) -> str:
        """Family, size and batch; a dtype other than float32 and a seed other than 0."""
        name = f"{self.family}-{'x'.join(map(str, self.size))}-batch{self.batch}"
        dtype = "" if self.dtype == "float32" else f"-{self.dtype}"
        return name + dtype + (f"-seed{self.seed}" if self.seed else "")


@dataclass(frozen=True)
class Grid:
    """Cells, the seconds of timing a method, and when a call or a set-up is a time-out.

    `cells` are those of inference, `steps` those of the training step, `plans` those of planning,
    `accuracy` those where the projections are asked for different accuracies, `compiled` those where maps
    are compared with themselves after `torch.compile`.
    """

    name: str
    cells: tuple[Cell, ...]
    budget: float
    steps: tuple[Cell, ...] = ()
    plans: tuple[Cell, ...] = ()
    accuracy: tuple[Cell, ...] = ()
    compiled: tuple[Cell, ...] = ()
    call_limit: float = 30.0
    setup_limit: float = 20.0
    peer_limit: float = 60.0
    """Seconds that each command to a peer may take, its set-up and the first call included."""
    cache: Cache = "warm"
    """The state of the caches when a round starts, see `bench/timing.py`."""
    kept: bool = True
    """Whether its rows go to `results/raw`."""

    @property
    def settings(self) -> dict[str, Any]:
        """What two runs must share for one to continue the other."""
        return {"grid": self.name, "budget": self.budget, "cache": self.cache}


def _cones(
    *sizes: tuple[int, int], batch: int = 256, strict: bool = False, field: bool = False
) -> tuple[Cell, ...]:
    return tuple(Cell("random_cone", size, batch, strict=strict, field=field) for size in sizes)


def _polytopes(*sizes: tuple[int, int], batch: int = 256, strict: bool = False) -> tuple[Cell, ...]:
    return tuple(Cell("random_polytope", size, batch, strict=strict) for size in sizes)


def _named(size: int, batch: int = 256) -> tuple[Cell, ...]:
    return tuple(Cell(name, (size,), batch, strict=True) for name in ("box", "simplex", "monotone"))


def _planning(*sizes: int) -> tuple[Cell, ...]:
    return _cones(*((size, size) for size in sizes), batch=1)


def _accuracy(batch: int) -> tuple[Cell, ...]:
    sizes = (("random_cone", (64, 32)), ("random_polytope", (64, 128)))
    return tuple(Cell(*size, batch, dtype="float64") for size in sizes)


def _smoke() -> Grid:
    board = Cell(*CHECKERBOARD, batch=8, strict=True, field=True)
    cells = (board, *_cones((6, 9), batch=8), *_polytopes((5, 8), batch=8, strict=True), *_named(4, batch=8))
    accuracy = (Cell("random_cone", (6, 9), 8, dtype="float64"),)
    steps = _cones((6, 9), batch=8)
    return Grid("smoke", cells, 0.02, steps, _planning(10), accuracy, steps, kept=False)


def _short() -> Grid:
    strict = (Cell(*CHECKERBOARD, strict=True), *_cones((64, 32), strict=True))
    return Grid("short", (*strict, *_cones((8, 16)), *_polytopes((8, 16), strict=True)), 0.7, kept=False)


def _quick() -> Grid:
    """What a newcomer waits for: the main cells, without peers and modelling tools."""
    cones = (*_cones((64, 32), (784, 16), strict=True), *_cones((8, 16), (16, 64)))
    return Grid(
        "quick",
        (Cell(*CHECKERBOARD, strict=True), *cones, *_polytopes((8, 32)), Cell(*CHECKERBOARD, batch=1)),
        budget=0.3,
        steps=(Cell(*CHECKERBOARD), *_cones((64, 32))),
        plans=_planning(200),
        accuracy=_accuracy(32)[:1],
        compiled=(Cell(*CHECKERBOARD),),
        call_limit=5.0,
        setup_limit=5.0,
    )


def _default() -> Grid:
    """Behind the published tables: the whole field on the main cells, sweeps, every batch size."""
    headline = Cell(*CHECKERBOARD, strict=True, field=True)
    sweep_n = _cones((8, 8), (16, 8), (64, 8), (256, 8), (784, 8))
    sweep_m = (*_cones((8, 4), (8, 12)), *_cones((8, 16), (16, 64), field=True), *_cones((8, 32)))
    wide = _cones((64, 32), (784, 16), (128, 256), strict=True, field=True)
    polytopes = (*_polytopes((8, 32)), *_polytopes((128, 256), strict=True))
    batches = (
        Cell(*board, batch) for board in (CHECKERBOARD, ("random_cone", (64, 32))) for batch in (1, 32, 4096)
    )
    dtypes = (Cell(*CHECKERBOARD, dtype=dtype, strict=True) for dtype in ("float64", "bfloat16", "float16"))
    return Grid(
        "default",
        (headline, *sweep_n, *sweep_m, *wide, *polytopes, *_named(64), *batches, *dtypes),
        budget=0.4,
        steps=(Cell(*CHECKERBOARD, field=True), *_cones((64, 32), field=True), *_cones((128, 256))),
        plans=_planning(200, 1000),
        accuracy=_accuracy(32),
        compiled=(Cell(*CHECKERBOARD, field=True), Cell(*CHECKERBOARD, 1, field=True)),
        call_limit=5.0,
        setup_limit=5.0,
    )


def _cuda() -> Grid:
    """What a device is judged by, in about five minutes, two more with the peers' environments.

    Of the projections those that run on the device, beside OSQP; on single points, where the host wins, all.
    """
    main = [Cell(*problem, batch, strict=True, host=batch == 1) for problem in (CHECKERBOARD, CONE)
            for batch in ON_CUDA]  # fmt: skip
    others = [
        Cell(family, size, batch, host=batch == 1)
        for family, size in (("random_cone", (64, 32)), ("random_polytope", (128, 256)))
        for batch in ON_CUDA
    ]
    half = [Cell(*CHECKERBOARD, batch, "bfloat16", strict=True, host=False) for batch in ON_CUDA]
    half += [Cell(*CONE, batch, "bfloat16", host=False) for batch in ON_CUDA[1:]]
    peers = {Cell(*CHECKERBOARD, batch, strict=True, host=False) for batch in (256, 4096)}
    return Grid(
        "cuda",
        tuple(replace(cell, field=cell in peers) for cell in (*main, *others, *half)),
        budget=0.1,
        steps=(Cell(*CHECKERBOARD, 4096, host=False),),
        compiled=(Cell(*CHECKERBOARD, graphs=True),),
        call_limit=5.0,
        setup_limit=2.0,
        peer_limit=20.0,
    )


def _full() -> Grid:
    """Every size of every family, n from 2 to 4096 and m from 1 to 4096, in every batch size and dtype."""
    from .problems import FAMILIES

    headline = Cell(*CHECKERBOARD, strict=True, field=True)
    problems = [(entry.name, size) for entry in FAMILIES for size in entry.sizes]
    cells = [
        *(Cell(*problem, batch, strict=True, field=True) for problem in problems for batch in BATCHES),
        *(Cell(*problem, dtype="float64", strict=True, field=True) for problem in problems),
        *(Cell(*problem, dtype="bfloat16") for problem in problems),  # peers and strict maps have no bfloat16
    ]
    return Grid(
        "full",
        (headline, *(cell for cell in cells if cell != headline)),
        budget=2.0,
        steps=tuple(Cell(*problem, batch, field=True) for problem in problems for batch in (256, 4096)),
        plans=_planning(50, 100, 200, 500, 1000),
        accuracy=_accuracy(256),
        compiled=tuple(Cell(*problem, batch, field=True) for problem in problems for batch in (1, 256)),
        call_limit=60.0,
    )


def all_grids() -> tuple[Grid, ...]:
    """Every grid, the shortest first."""
    return _smoke(), _short(), _quick(), _cuda(), _default(), _full()


def grid(name: str) -> Grid:
    """The grid of this name."""
    grids = {entry.name: entry for entry in all_grids()}
    if name not in grids:
        raise UnknownNameError(f"unknown grid {name!r}; available: {', '.join(map(repr, grids))}")
    return grids[name]
