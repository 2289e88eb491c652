"""`python -m bench new method|problem NAME` and `python -m bench validate NAME`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..machine import ROOT
from ..methods import method
from ._new import KINDS, new_method, new_problem
from ._validate import validate


def validate_main(argv: Sequence[str]) -> int:
    """Print the table of checks; 0 if the method passed, 1 if it did not."""
    parser = argparse.ArgumentParser(prog="python -m bench validate", description=validate.__doc__)
    parser.add_argument("name", help="a method, as `python -m bench list` shows it")
    parser.add_argument(
        "--problem", help="a problem family, whose smallest size is taken; default: small sets"
    )
    options = parser.parse_args(argv)
    report = validate(method(options.name), options.problem)
    print(report)
    return 0 if report.passed else 1


def new_main(argv: Sequence[str]) -> int:
    """Write the stub and its test, and say what to do next."""
    parser = argparse.ArgumentParser(prog="python -m bench new", description=new_main.__doc__)
    parser.add_argument("what", choices=("method", "problem"))
    parser.add_argument("name", help="lower-case identifier: the name in the tables")
    parser.add_argument("--kind", choices=KINDS, default="projection", help="of a method")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--to", type=Path, default=ROOT, help="the checkout to write into; default: this one")
    where.add_argument("--package", type=Path, help="a new folder for a package of its own instead")
    options = parser.parse_args(argv)
    if options.what == "problem":
        steps = new_problem(options.name, options.to, options.package)
    else:
        steps = new_method(options.name, options.kind, options.to, options.package)
    print(steps)
    return 0
