"""The limits of the device: a copy, and products of large matrices."""

from __future__ import annotations

import torch

from ..timing import Call
from ._cells import DTYPES, EMPTY, Row, measured

SIDE, COPIED = 8192, 2**28
"""Rows and columns of the large matrices, and numbers of the copy, 1 GiB."""


def measure_yardsticks(
    device: torch.device, seconds: float, side: int = SIDE, copied: int = COPIED
) -> list[Row]:
    """A row for the copy, and one for the product in each dtype."""
    source = torch.zeros(copied, device=device)
    target = torch.empty_like(source)
    copy = EMPTY | {"what": "copy", "n": copied, "m": 0, "batch": 1}
    rows = measured(copy, {("", "eager"): lambda: target.copy_(source)}, device, seconds)
    for dtype in DTYPES:
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
        call: Call = lambda a=a, b=b: a @ b  # noqa: E731
        cell = EMPTY | {"what": "product", "n": side, "m": side, "batch": side, "dtype": dtype}
        rows += measured(cell, {("", "eager"): call}, device, seconds)
    return rows
