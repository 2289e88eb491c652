"""How near the fused kernels come to what the device can do: `python -m bench.cuda_limits [--out FILE]`.

    copy          bytes a second of a device copy, read and written: the limit of the memory
    product       operations a second of the library's product of large matrices, float32 and bfloat16
    map           bytes a second (each point read once, each value written once) and operations a second (the
                  products with the rows), with their shares of the two limits, fused and on the plain path;
                  beside them the seconds that `constrained.kernels.model` expects
    network       Linear, ReLU, Linear, then a map, in a captured CUDA graph, beside the same without the map

All calls of a cell are interleaved (`bench/timing.py`), the yardsticks run in the same process before them. A
share of the memory's limit above what the formula allows would be a mistake of this file, not a result.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from constrained import Polyhedron, UnsupportedSetError, constrain, kernels

from .machine import device_name
from .problems.random_cone import random_cone
from .timing import measure

MAPS = {"shift": 1, "gauge": 1, "half_spaces": 2, "refined": 3}
"""Products with the rows that each makes."""
SIZES = ((64, 32), (784, 16), (1024, 64))
NETWORK = (784, 16)
BATCHES = (1, 256, 4096, 65536)
DTYPES = (torch.float32, torch.bfloat16)
SIDE, COPIED = 8192, 2**28
"""Rows and columns of the large matrices, and numbers of the copy, 1 GiB."""
SECONDS = 0.05
COLUMNS: tuple[str, ...] = (
    "device", "what", "map", "strict", "path", "n", "m", "batch", "dtype", "seconds", "bytes_per_second",
    "operations_per_second", "share_of_copy", "share_of_product", "model_seconds", "note",
)  # fmt: skip

Row = dict[str, Any]


def yardsticks(device: torch.device, side: int = SIDE, copied: int = COPIED, seconds: float = SECONDS) -> Row:
    """`copy` in bytes a second; `float32` and `bfloat16` in operations a second."""
    source = torch.zeros(copied, device=device)
    target = torch.empty_like(source)
    calls: dict[str, Callable[[], object]] = {"copy": lambda: target.copy_(source)}
    for dtype in DTYPES:
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        calls[_name(dtype)] = lambda a=a, b=b: a @ b
    found = {name: median(timing.seconds) for name, timing in measure(calls, device, seconds).items()}
    amounts = {"copy": 8.0 * copied} | {_name(dtype): 2.0 * side**3 for dtype in DTYPES}
    return {name: amounts[name] / time for name, time in found.items()}


def map_rows(
    device: torch.device,
    limits: Row,
    sizes: Sequence[tuple[int, int]] = SIZES,
    batches: Sequence[int] = BATCHES,
    seconds: float = SECONDS,
) -> Iterator[Row]:
    """A row for each map, plain and strict, size, batch, dtype and path."""
    for n, m in sizes:
        polyhedron = random_cone(n, m)
        for name in MAPS:
            for strict in (False, True):
                for batch in batches:
                    for dtype in DTYPES:
                        cell = {"map": name, "strict": strict, "n": n, "m": m, "batch": batch, "dtype": dtype}
                        yield from _cell(polyhedron, cell, device, limits, seconds)


def _cell(
    polyhedron: Polyhedron, cell: Row, device: torch.device, limits: Row, seconds: float
) -> Iterator[Row]:
    try:
        layer = constrain(polyhedron, method=cell["map"], strict=cell["strict"]).to(device)
        z = _points(cell["batch"], cell["n"], device, cell["dtype"])
        with torch.inference_mode():
            layer(z)
            found = measure({path: _call(layer, z, path) for path in ("fused", "plain")}, device, seconds)
    except UnsupportedSetError as error:
        yield {"what": "map", **cell, "dtype": _name(cell["dtype"]), "note": str(error)}
        return
    model = kernels.model(cell["n"], cell["m"], MAPS[cell["map"]], cell["batch"])
    for path, expected in zip(("fused", "plain"), model, strict=True):
        yield _shares(cell, path, median(found[path].seconds), expected, limits)


def _call(layer: nn.Module, z: Tensor, path: str) -> Callable[[], object]:
    """The map on one path; "fused" whatever the model prefers, where a kernel serves at all."""

    def run() -> object:
        with kernels.fused(path == "fused", always=True):
            return layer(z)

    return run


def _shares(cell: Row, path: str, seconds: float, expected: float, limits: Row) -> Row:
    width = cell["dtype"].itemsize
    moved = 2.0 * cell["batch"] * cell["n"] * width
    operations = 2.0 * cell["batch"] * cell["n"] * cell["m"] * MAPS[cell["map"]]
    return {
        "what": "map",
        **cell,
        "dtype": _name(cell["dtype"]),
        "path": path,
        "seconds": seconds,
        "bytes_per_second": moved / seconds,
        "operations_per_second": operations / seconds,
        "share_of_copy": moved / seconds / limits["copy"],
        "share_of_product": operations / seconds / limits["float32"],  # products are made in float32
        "model_seconds": expected,
    }


def network_rows(
    device: torch.device, batches: Sequence[int] = BATCHES, seconds: float = SECONDS
) -> Iterator[Row]:
    """Inference of a small network in a CUDA graph, with and without a map behind it."""
    n, m = NETWORK
    networks = {"unconstrained": _network(n, nn.Identity(), device)}
    polyhedron = random_cone(n, m)
    for name in MAPS:
        networks[name] = _network(n, constrain(polyhedron, method=name), device)
    for batch in batches:
        z = _points(batch, n, device, torch.float32)
        calls = {name: _captured(network, z) for name, network in networks.items()}
        for name, timing in measure(calls, device, seconds).items():
            time = median(timing.seconds)
            yield {"what": "network in a CUDA graph", "map": name, "n": n, "m": m, "batch": batch,
                   "dtype": "float32", "seconds": time}  # fmt: skip


def _network(n: int, layer: nn.Module, device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(n, 256), nn.ReLU(), nn.Linear(256, n), layer).to(device).eval()


def _captured(network: nn.Module, z: Tensor) -> Callable[[], object]:
    """A graph of one call; warmed up on another stream first, as torch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(3):
            network(z)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        network(z)
    return graph.replay


def _points(batch: int, n: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, n, generator=generator).to(device, dtype)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure all of it; rows as CSV on the standard output, or in a file."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cuda_limits", description="The kernels and the limits of the device."
    )
    parser.add_argument("--out", metavar="FILE", help="where the rows go, as CSV; default: standard output")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each call of a cell")
    arguments = parser.parse_args(argv)
    if not torch.cuda.is_available():
        text = "cuda_limits: no CUDA device here (torch.cuda.is_available() is False); nothing was measured"
        print(text, file=sys.stderr)
        return 1
    device = torch.device("cuda")
    limits = yardsticks(device, seconds=10 * arguments.seconds)
    with open(arguments.out, "w", newline="") if arguments.out else sys.stdout as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in _all_rows(device, limits, arguments.seconds):
            writer.writerow({"device": device_name(device), **row})
            file.flush()
    return 0


def _all_rows(device: torch.device, limits: Row, seconds: float) -> Iterator[Row]:
    yield {"what": "copy", "bytes_per_second": limits["copy"], "share_of_copy": 1.0}
    for dtype in map(_name, DTYPES):
        yield {"what": "product", "dtype": dtype, "operations_per_second": limits[dtype]}
    yield from map_rows(device, limits, seconds=seconds)
    yield from network_rows(device, seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
