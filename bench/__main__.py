"""`python -m bench COMMAND`, alone for the list of commands.

`--machine NAME` names this machine, so that its runs and tables lie beside those of others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from constrained.errors import ConstraintError

Command = Callable[[Sequence[str]], int]


def _list(argv: Sequence[str]) -> int:
    """Methods, projections with their versions, problem families, grids."""
    from .listing import listing

    print(listing())
    return 0


def _new(argv: Sequence[str]) -> int:
    """Write a stub that works, and its test: new method NAME, new problem NAME."""
    from .extending import new_main

    return new_main(argv)


def _validate(argv: Sequence[str]) -> int:
    """Run the checks that a method must pass: validate NAME."""
    from .extending import validate_main

    return validate_main(argv)


def _run(argv: Sequence[str]) -> int:
    """Train an experiment, run NAME; or measure a grid with pytest, whose arguments it takes (--grid)."""
    from .experiments import EXPERIMENTS

    if argv and argv[0] in EXPERIMENTS:
        return EXPERIMENTS[argv[0]](argv[1:])
    import pytest

    from .machine import ROOT

    watch = _Watch()
    where = ["-c", str(ROOT / "pyproject.toml"), str(ROOT / "bench")]
    code = pytest.main([*where, "--benchmark-only", "-q", *argv], plugins=[watch])
    if watch.stopped:
        raise KeyboardInterrupt
    return int(code)


class _Watch:
    """A pytest plugin that knows whether Ctrl-C ended the run; pytest's exit code also means other things."""

    stopped = False

    def pytest_keyboard_interrupt(self) -> None:
        self.stopped = True


def _mnist(argv: Sequence[str]) -> int:
    """The paper's experiment on digits."""
    from .experiments.mnist_projection import main

    return main(argv)


def _robustness(argv: Sequence[str]) -> int:
    """What every method does with bad and degenerate input."""
    from .robustness import main

    return main(argv)


def _tables(argv: Sequence[str]) -> int:
    """Tables from raw rows, of the machine that --machine names or of all."""
    from .tables import main

    return main(argv)


def _schema(argv: Sequence[str]) -> int:
    """The data dictionary: columns, units and meanings of every table."""
    from .schema.dictionary import main

    return main(argv)


def _plots(argv: Sequence[str]) -> int:
    """Figures from tables."""
    from .plots import plots_main

    return plots_main(argv)


def _report(argv: Sequence[str]) -> int:
    """README blocks, results/README.md and results/report.html from tables."""
    from .report import report_main

    return report_main(argv)


def _regress(argv: Sequence[str]) -> int:
    """Compare ratios with results/reference.csv."""
    from .regress import main

    return main(argv)


def _cluster(argv: Sequence[str]) -> int:
    """Measure a grid by workers of submitit, on Slurm or here."""
    from .cluster import main

    return main(argv)


def _selftest(argv: Sequence[str]) -> int:
    """Whether the stopwatch tells the truth here and now."""
    from .selftest import main

    return main(argv)


COMMANDS: dict[str, Command] = {
    "list": _list,
    "new": _new,
    "validate": _validate,
    "run": _run,
    "cluster": _cluster,
    "mnist": _mnist,
    "robustness": _robustness,
    "tables": _tables,
    "schema": _schema,
    "plots": _plots,
    "report": _report,
    "regress": _regress,
    "selftest": _selftest,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error of ours is one line, not a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in COMMANDS:
        lines = [f"  {name:10} {command.__doc__}" for name, command in COMMANDS.items()]
        print("usage: python -m bench COMMAND [options]\n" + "\n".join(lines))
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    from .machine import take_machine

    try:
        return COMMANDS[arguments[0]](take_machine(arguments[1:]))
    except (ConstraintError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was measured is kept, the same command continues", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
