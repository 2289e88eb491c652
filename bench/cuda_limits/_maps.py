"""The maps that have fused kernels, on every path, called from Python and in a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from constrained import Polyhedron, UnsupportedSetError, constrain, kernels

from ..graphs import captured
from ..problems.random_cone import random_cone
from ..timing import Call
from ._cells import BATCHES, DTYPES, EMPTY, Capture, Row, measured, points, reason_of

MAPS = {"shift": 1, "gauge": 1, "half_spaces": 2, "refined": 3}
"""Products with the rows that each makes."""
SIZES: dict[tuple[int, int], tuple[str, ...]] = {
    (784, 16): tuple(MAPS),
    (64, 32): tuple(MAPS),
    (1024, 64): ("shift", "half_spaces"),
    (1024, 1024): ("shift", "gauge"),
}
"""Features and rows, and the maps that are measured there; the first is also measured with a cold cache."""
PATHS = ("fused", "plain", "chosen")
OWN = "own product"
COLD = (256, 4096)
"""Batches of the first size whose points the cache holds."""
REPEATS, NUMBERS = 16, 2**25
"""Calls in a graph, fewer where so many numbers are written: a replay should outlast its launch."""
_cone = cache(random_cone)


def map_cells(
    sizes: dict[tuple[int, int], tuple[str, ...]] = SIZES, batches: Sequence[int] = BATCHES
) -> Iterator[Row]:
    """Every map, plain and strict, by size, batch and dtype."""
    for place, ((n, m), maps) in enumerate(sizes.items()):
        for batch in batches:
            caches = ("warm", "cold") if place == 0 and batch in COLD else ("warm",)
            for name in maps:
                for strict in (False, True):
                    cell = EMPTY | {"what": "map", "map": name, "strict": strict, "n": n, "m": m}
                    for dtype in DTYPES:
                        for l2 in caches:
                            yield cell | {"batch": batch, "dtype": dtype, "l2": l2}


def measure_map(cell: Row, device: torch.device, seconds: float, capture: Capture = captured) -> list[Row]:
    """A row for each path and way to launch, and one for the product of the same points with the rows.

    A set that is too thin for the dtype is a single row with the reason; so is a path that fails.
    """
    polyhedron, z = _cone(cell["n"], cell["m"]), points(cell, device)
    cell = cell | {"products": MAPS[cell["map"]]}
    try:
        layer = constrain(polyhedron, method=cell["map"], strict=cell["strict"]).to(device)
    except UnsupportedSetError as error:
        return measured(cell, {}, device, seconds, failed={("", ""): str(error)})
    eager = {path: _on_path(layer, z, path) for path in PATHS} | {OWN: _product(polyhedron, z, cell)}
    repeats = 1 if cell["l2"] == "cold" else max(1, min(REPEATS, NUMBERS // z.numel()))
    calls: dict[tuple[str, str], Call] = {}
    failed = {}
    with torch.inference_mode():
        for path, call in eager.items():
            try:
                calls |= _calls(path, call, cell["l2"] == "warm", partial(capture, call, device, repeats))
            except Exception as error:  # whatever a compiler or a device says becomes a row
                failed[path, "graph"] = reason_of(error)
        rows = measured(cell, calls, device, seconds, repeats, failed)
    return [row | _expected(row) for row in rows]


def _calls(path: str, call: Call, eager: bool, capture: Callable[[], Call]) -> dict[tuple[str, str], Call]:
    """The call in a graph and from Python, made once; the product of the points in a graph alone.

    A cold cache leaves one call a round, of which from Python it would be the launch that is timed.
    """
    call()
    graph = {(path, "graph"): capture()}
    return graph | ({(path, "eager"): call} if eager and path != OWN else {})


def _on_path(layer: nn.Module, z: Tensor, path: str) -> Call:
    """The map on one path; "fused" whatever the model prefers, where a kernel serves at all."""

    def run() -> object:
        with kernels.fused(path != "plain", always=path == "fused"):
            return layer(z)

    return run


def _product(polyhedron: Polyhedron, z: Tensor, cell: Row) -> Callable[[], object]:
    """The products of the points with the rows in float32, in which the maps multiply."""
    x, A = z.float(), torch.tensor(polyhedron.A, dtype=torch.float32, device=z.device)  # (batch, n), (m, n)

    def run() -> object:
        for _ in range(cell["products"] - 1):
            F.linear(x, A)
        return F.linear(x, A)

    return run


def _expected(row: Row) -> Row:
    """The seconds that the model of the library's choice has for the fused and the plain path."""
    fused, plain = kernels.model(row["n"], row["m"], row["products"], row["batch"])
    return {"model_seconds": {"fused": fused, "plain": plain}.get(row["path"])}
