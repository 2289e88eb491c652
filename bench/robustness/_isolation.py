"""Calls in a process of their own: one that dies or hangs costs its own row and nothing else.

The processes are forked from a server that has imported the packages once and computed nothing, so that
one costs milliseconds and no thread pool is copied; where there is no fork, they start from nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from time import perf_counter

from constrained.errors import EngineError

from .._processes import context, end_with_parent, silence
from ._cases import Case
from ._reports import Report

CASE_SECONDS, METHOD_SECONDS, START_SECONDS = 10.0, 20.0, 120.0
"""Limits: for one input, for all inputs of a method together, and for a process to start."""
PRELOAD = ("torch", "scipy.optimize", "baselines", "constrained", "bench.robustness")


def isolated(attempt: Callable[[Case], Report], cases: Sequence[Case]) -> Iterator[Report]:
    """`attempt(case)` for each case in a process of its own; a new process after one that ended."""
    todo, left = list(cases), METHOD_SECONDS
    while todo:
        if left <= 0:
            yield Report("timeout", reason=f"the {METHOD_SECONDS:g} s of the method were used up before")
            todo.pop(0)
            continue
        with _Process(attempt, todo) as process:
            while todo and left > 0:
                start = perf_counter()
                report = process.next(min(CASE_SECONDS, left))
                left -= perf_counter() - start
                todo.pop(0)
                yield report
                if report.event in ("crash", "timeout"):
                    break


class _Process:
    """A worker that sends one report a case."""

    def __init__(self, attempt: Callable[[Case], Report], cases: Sequence[Case]) -> None:
        made_by = context(PRELOAD)
        self._connection, other = made_by.Pipe(duplex=False)
        self._process = made_by.Process(target=_work, args=(other, attempt, list(cases)), daemon=True)
        self._process.start()
        other.close()
        self._started = False

    def next(self, seconds: float) -> Report:
        """The report of the next case, or that there is none."""
        if not self._started:
            self._start()
        return self._receive(seconds)

    def _start(self) -> None:
        """Nothing that goes wrong before the first case is the method's fault."""
        if (report := self._receive(START_SECONDS)).event != "answer":
            raise EngineError(
                f"a worker process did not start: {report.reason}; the script that is run must be "
                'importable: put its calls under `if __name__ == "__main__":`'
            )
        self._started = True

    def _receive(self, seconds: float) -> Report:
        if not self._connection.poll(seconds):
            return Report("timeout", reason=f"no answer within {seconds:.3g} s")
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(START_SECONDS)
            return Report("crash", reason=f"its process ended with exit code {self._process.exitcode}")

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()


def _work(connection: Connection, attempt: Callable[[Case], Report], cases: Sequence[Case]) -> None:
    end_with_parent()
    silence()
    connection.send(Report("answer"))  # started
    for case in cases:
        connection.send(attempt(case))
