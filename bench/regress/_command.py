"""`python -m bench regress`: compare with the reference, or measure a new one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..grid import grid
from ..rows import RESULTS, write_atomic
from ._gate import gate, measure_reference
from ._reference import check_threads, read_reference, write_reference
from ._summary import junit, markdown, passed, terminal
from ._verdicts import PASSES, TOLERANCE

GRID = "short"
LIMIT = 120.0
STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""Where GitHub says which file it shows on the page of a run."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 if no row fails, 1 with the rows named."""
    parser = _parser()
    options = parser.parse_args(argv)
    if not 0 < options.tolerance < 1:
        parser.error(f"--tolerance: expected a number between 0 and 1, found {options.tolerance:g}")
    if not options.limit >= 0:
        parser.error(f"--limit: expected seconds from 0 on, found {options.limit:g}")
    if options.update:
        if not (options.reason or "").strip():
            parser.error("--update needs --reason TEXT: what made the old reference wrong")
        return _update(options.reference, options.reason.strip())
    if options.reason is not None:
        parser.error("--reason goes with --update")
    return _compare(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench regress", description=__doc__)
    add = parser.add_argument
    add("--reference", type=Path, default=RESULTS / "reference.csv", help="the table of ratios")
    add("--tolerance", type=float, default=TOLERANCE, help="how much slower a row may be, default 0.25")
    add("--limit", type=float, default=LIMIT, metavar="SECONDS", help="when to leave rows undecided")
    add("--markdown", type=Path, metavar="FILE", help="write the summary as Markdown")
    add("--junit", type=Path, metavar="FILE", help="write the summary as JUnit XML")
    add("--update", action="store_true", help="write a new reference instead of comparing")
    add("--reason", metavar="TEXT", help="why there is a new reference; kept beside it")
    return parser


def _update(path: Path, reason: str) -> int:
    write_reference(path, measure_reference(grid(GRID)), reason)
    print(f"wrote {path} and {path.with_suffix('.json').name}: the rounds of {PASSES} passes")
    return 0


def _compare(options: argparse.Namespace) -> int:
    reference = read_reference(options.reference)
    check_threads(reference.rows)
    elsewhere = reference.other_machine()
    notes = [note for note in (reference.origin(), elsewhere) if note]
    limit = 0.0 if elsewhere else options.limit  # one pass, of which no row is called slower
    judgements = gate(reference.rows, grid(GRID), options.tolerance, limit)
    print(terminal(judgements, notes))
    if options.markdown is not None:
        write_atomic(options.markdown, markdown(judgements, notes))
    if options.junit is not None:
        write_atomic(options.junit, junit(judgements))
    if page := os.environ.get(STEP_SUMMARY):
        with open(page, "a", encoding="utf-8") as file:
            file.write(markdown(judgements, notes))
    return 0 if passed(judgements) else 1
