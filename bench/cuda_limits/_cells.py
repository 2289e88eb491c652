"""What the rows of the limits have in common: cells, points, rows of measured calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..machine import device_name
from ..timing import Cache, Call, clock, measure

Row = dict[str, Any]
Capture = Callable[..., Call]
"""`bench.graphs.captured`, or what stands for it where there is no device."""

BATCHES = (1, 256, 4096, 65536)
DTYPES = ("float32", "bfloat16")
KEY = ("what", "map", "strict", "hidden", "n", "m", "batch", "dtype", "l2")
"""The fields of a cell, whose calls are measured interleaved."""
EMPTY: Row = {"map": "", "strict": False, "hidden": "", "dtype": "float32", "l2": "warm"}


def cell_key(row: Row) -> tuple:
    """What tells a cell from others."""
    return tuple(row[name] for name in KEY)


def reason_of(error: Exception) -> str:
    """The text of an error on one line, not too long for a table."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def points(cell: Row, device: torch.device) -> Tensor:
    """Normal points, (batch, n), in the dtype of the cell."""
    generator = torch.Generator(device).manual_seed(0)
    normal = torch.randn(cell["batch"], cell["n"], generator=generator, device=device)
    return normal.to(getattr(torch, cell["dtype"]))


def measured(
    cell: Row,
    calls: Mapping[tuple[str, str], Call],
    device: torch.device,
    seconds: float,
    repeats: int = 1,
    failed: Mapping[tuple[str, str], str] | None = None,
) -> list[Row]:
    """A row for each call, named by (path, launch).

    Args:
        cell: the fields of KEY.
        calls: what to time; those in a graph are so many `repeats` of one call.
        device: where they run.
        seconds: of timing for each.
        repeats: calls in a graph.
        failed: calls that could not be made, with the reason.
    """
    cache: Cache = cell["l2"]
    timings = measure({"/".join(name): call for name, call in calls.items()}, device, seconds, cache)
    rows = [
        cell | {"path": path, "launch": launch, "status": "failed", "reason": reason}
        for (path, launch), reason in (failed or {}).items()
    ]
    for path, launch in calls:
        timing, times = timings[f"{path}/{launch}"], repeats if launch == "graph" else 1
        rows.append(
            cell
            | {"path": path, "launch": launch, "status": "ok", "reason": "", "calls": timing.calls * times}
            | {"seconds": [second / times for second in timing.seconds]}
        )
    return [row | {"device": device_name(device), "clock": clock(device)} for row in rows]
