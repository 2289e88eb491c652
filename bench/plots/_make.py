"""All figures of all devices from one folder of tables, and the command that makes them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from constrained.errors import ConstraintError

from .._tables_io import TABLES, Tables, read_all
from ..analyses import main_setting
from ..rows import RESULTS
from ._base import NothingToDrawError
from ._figures import FIGURES
from ._files import remove_figure, write_figure


def make_plots(tables: Path, figures: Path) -> list[Path]:
    """Write `figures/<device>/<name>.svg` and `.png` for every figure that the tables support.

    A figure whose table is missing, or has no row for it, is skipped with a printed line, and its
    old files are deleted: what is there was drawn from the tables that are there.

    Returns:
        The files written.

    Raises:
        InvalidInputError: no tables, or a damaged one; nothing is written then.
    """
    return [path for device in read_all(tables) for path in _plot_device(main_setting(device), figures)]


def _plot_device(tables: Tables, figures: Path) -> list[Path]:
    written = []
    for figure in FIGURES:
        rows = tables.rows[figure.table]
        try:
            if rows is None:
                raise NothingToDrawError(f"{tables.folder / figure.table}.csv is missing")
            written += write_figure(figure, rows, figures, tables.device)
        except NothingToDrawError as error:
            remove_figure(figure, figures, tables.device)
            command = TABLES[figure.table].command
            print(f"{tables.device}/{figure.name}: skipped, {error}; `{command}` makes it")
    return written


def plots_main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 if every table was readable, 1 with the reason on stderr otherwise."""
    parser = argparse.ArgumentParser(prog="python -m bench plots", description="Draw the tables.")
    parser.add_argument("--tables", type=Path, default=RESULTS / "tables", help="folder of tables")
    parser.add_argument("--figures", type=Path, default=RESULTS / "figures", help="folder for the figures")
    arguments = parser.parse_args(argv)
    try:
        written = make_plots(arguments.tables, arguments.figures)
    except ConstraintError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(written)} files in {arguments.figures}")
    return 0
