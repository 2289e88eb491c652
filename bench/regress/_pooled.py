"""Rows of several passes over a cell, and the ratios of their rounds taken together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..schema import RATIOS
from ..timing import ratio_interval

Row = dict[str, Any]
Pass = list[Row]
"""The raw rows of one interleaved measurement of a cell."""


def row_of(rows: Pass, method: str) -> Row | None:
    """The row of a method, if it was measured."""
    return next((row for row in rows if row["method"] == method), None)


def pooled_ratios(passes: Sequence[Pass], method: str) -> dict[str, tuple[float, float, float]]:
    """By the names in RATIOS, the ratio and its interval over the rounds of all passes.

    A ratio is left out if the method or its yardstick is not ok in one of them.
    """
    return {name: ratio_interval(mine, other) for name, (mine, other) in _sides(passes, method).items()}


def median_ratios(rows: Pass, method: str) -> dict[str, float]:
    """The ratios of one pass, without intervals."""
    sides = _sides([rows], method)
    return {name: float(np.median(mine) / np.median(other)) for name, (mine, other) in sides.items()}


def _sides(passes: Sequence[Pass], method: str) -> dict[str, tuple[list[float], list[float]]]:
    """By the names in RATIOS, the rounds of the method and of its yardstick."""
    mine = _seconds(passes, method)
    others = {name: _seconds(passes, yardstick) for name, yardstick in RATIOS.items()}
    return {name: (mine, other) for name, other in others.items() if mine and other}


def _seconds(passes: Sequence[Pass], method: str) -> list[float]:
    rows = [row_of(rows, method) for rows in passes]
    if any(row is None or row["status"] != "ok" for row in rows):
        return []
    return [seconds for row in rows if row is not None for seconds in row["seconds"]]
