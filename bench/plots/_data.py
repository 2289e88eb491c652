"""The rows behind a figure as CSV text."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from .._tables_io import Row


def csv_text(rows: list[Row]) -> str:
    """A header and a line for each row; NaN is empty, floats have six digits as in the tables."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_field(value) for value in row.values()] for row in rows)
    return buffer.getvalue()


def _field(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    return str(value)
