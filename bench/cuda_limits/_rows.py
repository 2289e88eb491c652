"""From raw rows of the limits to their table: amounts a second, shares of the yardsticks, ratios."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..timing import is_stable, ratio_interval
from ._cells import Row, cell_key
from ._maps import OWN
from ._networks import UNCONSTRAINED

WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""


def limits_table(rows: Sequence[Row]) -> list[Row]:
    """A table row for each raw row; of a call that was measured twice the later one counts."""
    newest = {(*cell_key(row), row["path"], row["launch"]): row for row in rows}
    cells: dict[tuple, list[Row]] = {}
    for row in newest.values():
        cells.setdefault(cell_key(row)[3:], []).append(row)  # a network's maps are one cell
    limits = _limits(newest.values())
    return [_line(row, cells[cell_key(row)[3:]], limits) for row in newest.values()]


def _limits(rows: Iterable[Row]) -> dict[str, float]:
    """Bytes a second of the copy; operations a second of the products by their dtype."""
    found = {}
    for row in rows:
        if row["status"] == "ok" and row["what"] in ("copy", "product"):
            name = "copy" if row["what"] == "copy" else row["dtype"]
            found[name] = (_bytes if name == "copy" else _operations)(row) / np.median(row["seconds"])
    return found


def _bytes(row: Row) -> float:
    """Each number read once and written once."""
    return 2.0 * row["batch"] * row["n"] * WIDTH[row["dtype"]]


def _operations(row: Row) -> float:
    return 2.0 * row["batch"] * row["n"] * row["m"] * row.get("products", 1)


def _line(row: Row, cell: list[Row], limits: dict[str, float]) -> Row:
    line = row | {"seconds": None}
    if row["status"] != "ok":
        return line
    low, median, high = np.quantile(row["seconds"], [0.25, 0.5, 0.75])
    line |= {"seconds": median, "seconds_q25": low, "seconds_q75": high, "rounds": len(row["seconds"])}
    line["stable"] = is_stable(row["seconds"])
    if row["what"] == "network":
        return line | _ratio("ratio_unconstrained", row, _find(cell, map=UNCONSTRAINED))
    if row["what"] in ("copy", "map") and row["path"] != OWN:
        line["bytes_per_second"] = _bytes(row) / median
        line["share_of_copy"] = _share(line["bytes_per_second"], limits.get("copy"))
    if row["what"] in ("product", "map"):
        # Maps multiply in float32, whatever the dtype of the points.
        line["operations_per_second"] = _operations(row) / median
        dtype = row["dtype"] if row["what"] == "product" else "float32"
        line["share_of_product"] = _share(line["operations_per_second"], limits.get(dtype))
    if row["what"] == "map" and row["path"] != OWN:
        same = {"map": row["map"], "strict": row["strict"], "what": "map"}
        line |= _ratio("ratio_plain", row, _find(cell, **same, path="plain", launch=row["launch"]))
        if (own := _find(cell, **same, path=OWN)) is not None:
            line["share_of_own_product"] = ratio_interval(own["seconds"], row["seconds"])[0]
    return line


def _find(rows: Iterable[Row], **values: Any) -> Row | None:
    fits = (row for row in rows if all(row[name] == value for name, value in values.items()))
    return next((row for row in fits if row["status"] == "ok"), None)


def _share(amount: float, limit: float | None) -> float | None:
    return None if limit is None else amount / limit


def _ratio(name: str, slow: Row, fast: Row | None) -> Row:
    if fast is None:
        return {}
    ratio, low, high = ratio_interval(slow["seconds"], fast["seconds"])
    return {name: ratio, f"{name}_low": low, f"{name}_high": high}
