"""The tables that a device's pages are made from, to save as CSV files."""

from __future__ import annotations

import os
from pathlib import Path

from .._tables_io import Tables
from ._document import Block, Download, Heading, Paragraph

INSIDE_A_FIGURE = ("digits", "vae_images")
"""Tables that a figure brings along whole."""


def downloads(tables: Tables, folder: Path) -> list[Block]:
    """One file a table."""
    paths = [tables.folder / f"{name}.csv" for name, rows in tables.rows.items() if rows is not None]
    files: list[Block] = [
        Download(Path(os.path.relpath(path, folder)).as_posix(), path.read_text(encoding="utf-8"))
        for path in paths
        if path.stem not in INSIDE_A_FIGURE
    ]
    return [Heading(3, "Tables"), Paragraph("All numbers unrounded, as CSV:"), *files] if files else []
