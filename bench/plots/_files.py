"""Where a figure's files are, and writing them so that the same rows give the same bytes."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib.style

from .._tables_io import Row
from ..rows import write_atomic
from ._base import AbstractFigure
from ._data import csv_text
from ._style import RC

IMAGES = ("svg", "png")
ENDINGS = (*IMAGES, "csv")


def figure_path(figures: Path, device: str, name: str, ending: str) -> Path:
    """The file of a figure."""
    return figures / device / f"{name}.{ending}"


def write_figure(figure: AbstractFigure, rows: list[Row], figures: Path, device: str) -> list[Path]:
    """Draw a figure, write its images and the table behind it.

    The caller's matplotlib settings neither matter nor change.
    """
    contents = {}
    with matplotlib.style.context(["default", RC]):
        drawn = figure.draw(rows)
        for ending in IMAGES:
            buffer = io.BytesIO()
            drawn.savefig(buffer, format=ending, metadata={"Date": None} if ending == "svg" else None)
            contents[ending] = buffer.getvalue()
    contents["csv"] = csv_text(figure.data(rows)).encode()
    paths = [figure_path(figures, device, figure.name, ending) for ending in ENDINGS]
    for path in paths:
        write_atomic(path, contents[path.suffix[1:]])
    return paths


def remove_figure(figure: AbstractFigure, figures: Path, device: str) -> None:
    """Delete a figure that the tables no longer support."""
    for ending in ENDINGS:
        figure_path(figures, device, figure.name, ending).unlink(missing_ok=True)
