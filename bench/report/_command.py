"""The command `python -m bench report`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from constrained.errors import ConstraintError

from ..rows import RESULTS
from ._pages import make_pages, write_pages
from ._readme import check_readme, update_readme


def report_main(argv: Sequence[str] | None = None) -> int:
    """Write README blocks and pages; with --check write nothing and return 1 if one of them is stale."""
    parser = argparse.ArgumentParser(prog="python -m bench report", description="Write the reports.")
    parser.add_argument("--tables", type=Path, default=RESULTS / "tables", help="folder of tables")
    parser.add_argument("--figures", type=Path, default=RESULTS / "figures", help="folder of figures")
    parser.add_argument("--readme", type=Path, default=RESULTS.parent / "README.md", help="README to update")
    parser.add_argument("--check", action="store_true", help="only say what is not up to date")
    arguments = parser.parse_args(argv)
    if arguments.readme.resolve() == (arguments.tables.parent / "README.md").resolve():
        parser.error("--readme names the page of results that is written beside the tables; name another")
    try:
        return (_check if arguments.check else _write)(arguments.tables, arguments.figures, arguments.readme)
    except ConstraintError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _write(tables: Path, figures: Path, readme: Path) -> int:
    changed = update_readme(readme, tables)
    print(f"{readme}: {'updated' if changed else 'up to date'}")
    for path in write_pages(tables, figures):
        print(f"{path}: written")
    return 0


def _check(tables: Path, figures: Path, readme: Path) -> int:
    stale = [f"{readme}, block {name}" for name in check_readme(readme, tables)]
    for path, text in make_pages(tables, figures).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path))
    for name in stale:
        print(f"not what the tables give: {name}; `python -m bench report` writes it anew", file=sys.stderr)
    return 1 if stale else 0
