"""Whole networks in a CUDA graph: linear layers and rectifiers, with a map behind them and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from constrained import constrain

from ..graphs import captured
from ..problems.random_cone import random_cone
from ..timing import Call
from ._cells import BATCHES, EMPTY, Capture, Row, measured, points, reason_of
from ._maps import MAPS

SIZE = (784, 16)
NETWORKS: dict[str, tuple[int, ...]] = {"256": (256,), "1024, 1024": (1024, 1024)}
"""Widths of the hidden layers: a network that is small for its output, and one that is not."""
UNCONSTRAINED = "unconstrained"


def network_cells(
    networks: dict[str, tuple[int, ...]] = NETWORKS,
    batches: Sequence[int] = BATCHES,
    size: tuple[int, int] = SIZE,
) -> Iterator[Row]:
    """Each network at each batch."""
    for hidden in networks:
        for batch in batches:
            yield EMPTY | {"what": "network", "hidden": hidden, "n": size[0], "m": size[1], "batch": batch}


def measure_network(
    cell: Row, device: torch.device, seconds: float, capture: Capture = captured
) -> list[Row]:
    """A row for the network alone, then one for each map behind it, plain and strict."""
    polyhedron, widths = random_cone(cell["n"], cell["m"]), NETWORKS[cell["hidden"]]
    layers: dict[tuple[str, bool], nn.Module] = {(UNCONSTRAINED, False): nn.Identity()}
    for name in MAPS:
        for strict in (False, True):
            layers[name, strict] = constrain(polyhedron, method=name, strict=strict)
    z = points(cell, device)
    calls: dict[tuple[str, str], Call] = {}
    failed = {}
    with torch.inference_mode():
        for variant, layer in layers.items():
            network = _network(cell["n"], widths, layer).to(device).eval()
            name = _label(*variant), "graph"
            try:
                calls[name] = capture(partial(network, z), device)
            except Exception as error:  # the others are measured all the same
                failed[name] = reason_of(error)
        rows = measured(cell, calls, device, seconds, failed=failed)
    variants = {_label(*variant): dict(zip(("map", "strict"), variant, strict=True)) for variant in layers}
    return [row | variants[row["path"]] | {"path": "chosen"} for row in rows]


def _label(name: str, strict: bool) -> str:
    return f"{name}_strict" if strict else name


def _network(n: int, widths: tuple[int, ...], layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for before, after in pairwise((n, *widths, n)):
        parts += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*parts[:-1], layer)
