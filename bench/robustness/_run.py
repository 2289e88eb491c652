"""The run: every method, every input, into a run file that is continued where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from constrained.errors import UnknownNameError, require

from ..rows import RESULTS, Run
from ._cases import CASES, Case
from ._isolation import CASE_SECONDS, METHOD_SECONDS
from ._judge import EXACT, GARBAGE, judge
from ._methods import METHODS, PEER_SECONDS, AbstractMethod

KIND = TABLE = "robustness"
COLUMNS = ("method", "role", "input", "outcome", "origin", "violation", "distance", "reason")

Row = dict[str, Any]


def robustness_rows(methods: Iterable[str | AbstractMethod] | None = None) -> list[Row]:
    """One row a method and input, in this order: see COLUMNS.

    Args:
        methods: names out of METHODS, or methods; default: all.

    Raises:
        UnknownNameError: no method has this name.
    """
    return [row for method in _chosen(methods) for row in _rows(method, CASES)]


def run(directory: Path, methods: Iterable[str | AbstractMethod] | None = None, fresh: bool = False) -> Run:
    """Add the rows of every method to a run file in `directory`, or continue one that was cut off.

    Returns the finished run; for `methods` see `robustness_rows`, for `fresh` see `Run.open`.
    """
    chosen = _chosen(methods)
    settings = {
        "methods": [method.name for method in chosen],
        "inputs": [case.name for case in CASES],
        "exact": EXACT,
        "garbage": GARBAGE,
        "seconds": {"input": CASE_SECONDS, "method": METHOD_SECONDS, "peer": PEER_SECONDS},
        "dtype": "float64",
    }
    file = Run.open(directory, KIND, settings, fresh=fresh)
    known = {row["method"] for row in file.rows}  # a method's rows are added together
    for method in chosen:
        if method.name not in known:
            file.add(*({"table": TABLE} | row for row in _rows(method, CASES)))
    file.finish()
    return file


def robustness_table(rows: Iterable[Row]) -> Any:
    """The rows of a run as a frame with the columns COLUMNS."""
    require("pandas", "bench")
    import pandas as pd

    mine = [row for row in rows if row["table"] == TABLE]
    return pd.DataFrame(mine, columns=pd.Index(COLUMNS))


def main(argv: Sequence[str] | None = None) -> int:
    """From the command line; see `--help`."""
    parser = argparse.ArgumentParser(
        "python -m bench robustness", description="What every method does with bad and degenerate input."
    )
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--results", type=Path, default=RESULTS / "raw", help="folder of the run files")
    parser.add_argument("--fresh", action="store_true", help="do not continue an unfinished run")
    options = parser.parse_args(argv)
    file = run(options.results, options.methods, options.fresh)
    for role in dict.fromkeys(row["role"] for row in file.rows):
        counts = Counter(row["outcome"] for row in file.rows if row["role"] == role)
        print(f"{role:12}" + ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    print(f"rows: {file.path}", file=sys.stderr)
    return 0


def _rows(method: AbstractMethod, cases: Sequence[Case]) -> list[Row]:
    reports = method.reports(cases)
    rows = [judge(method, case, report) for case, report in zip(cases, reports, strict=True)]
    return [{name: row[name] for name in COLUMNS} for row in rows]


def _chosen(methods: Iterable[str | AbstractMethod] | None) -> list[AbstractMethod]:
    known = {method.name: method for method in METHODS}
    chosen = []
    for method in known if methods is None else methods:
        if isinstance(method, str) and method not in known:
            raise UnknownNameError(f"unknown method {method!r}; available: {', '.join(map(repr, known))}")
        chosen.append(known[method] if isinstance(method, str) else method)
    return chosen
