"""A cell in a process of its own: a method that crashes, hangs or eats the memory costs its own row only.

    child     measures the cell, and keeps a shared note of which method is at work on what
    parent    looks at the note, the clock and the memory; when a limit is reached it ends the child with
              its children, writes the row of the method that was at work, and measures the cell anew
              without it, so that the rounds of the others stay interleaved

Children are forked from a server that has imported the packages once and computed nothing, so starting one
costs milliseconds, and CUDA is initialised in none but the child. A child ends when its parent does, whatever
ended that. What the child does is in `bench/_child.py`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import psutil
import torch

from constrained.errors import EngineError

from ._child import Note, work
from ._processes import context
from .grid import Cell, Grid
from .measure import Row, Stage, common_row, identity
from .methods import AbstractMethod

POLL_SECONDS = 0.1
START_SECONDS = 120.0
"""For a process to start; the first one imports everything."""
SLACK_SECONDS, SLACK = 120.0, 4.0
"""Limits are this factor of the grid's own and so many seconds more: they are for what hangs, not for what
is slow, which the grid's limits are for; a peer may take a minute a command."""
HARNESS_SECONDS = 600.0
"""For the harness itself between two methods: generating the problem, judging."""
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Limits:
    """When a child is ended.

    Attributes:
        setup: seconds for the set-up of a method.
        call: seconds for its first calls, and for each of its rounds.
        memory_mb: resident memory of the child and its children together, in MB.
    """

    setup: float
    call: float
    memory_mb: float = MEMORY_SHARE * psutil.virtual_memory().total / 2**20

    @classmethod
    def of(cls, grid: Grid) -> Limits:
        """Those of a grid, which are far above what it calls a timeout."""
        return cls(SLACK_SECONDS + SLACK * grid.setup_limit, SLACK_SECONDS + SLACK * grid.call_limit)

    def seconds(self, stage: Stage) -> float:
        """For a method at this stage."""
        return {"harness": HARNESS_SECONDS, "set-up": self.setup}.get(stage, self.call)


def isolated_cell(
    cell: Cell,
    grid: Grid,
    device: torch.device,
    methods: Sequence[AbstractMethod],
    table: str = "inference",
    limits: Limits | None = None,
) -> list[Row]:
    """What `measure_cell` returns, measured in a process of its own.

    A method whose process crashed, hung or took too much memory has the status "crashed" or "timeout",
    and so have its strict variants, which are not tried.

    Raises:
        EngineError: the child failed while no method was at work, or did not start.
    """
    limits, left, ends = limits or Limits.of(grid), list(methods), {}
    rows: list[Row] = []
    while left:
        with _Child(cell, grid, device, left, table) as child:
            end = child.wait(limits)
        if not isinstance(end, _End):
            rows = end
            break
        ends |= {m.name: end for m in left if end.method in (m.name, m.plain)}
        left = [m for m in left if m.name not in ends]
    if ends:
        common = common_row(table, cell, cell.generate(), device, grid.cache)
        common |= {"pass": rows[0]["pass"]} if rows else {}
        rows += [common | identity(m) | ends[m.name].columns for m in methods if m.name in ends]
    places = {m.name: place for place, m in enumerate(methods)}
    return sorted(rows, key=lambda row: places[row["method"]])


@dataclass(frozen=True)
class _End:
    """How a child ended, and the method that was at work then."""

    method: str
    status: str
    reason: str

    @property
    def columns(self) -> Row:
        """What a row says about it."""
        return {"status": self.status, "reason": self.reason}


class _Child:
    """The process that measures, and those that it starts."""

    def __init__(
        self, cell: Cell, grid: Grid, device: torch.device, methods: Sequence[AbstractMethod], table: str
    ) -> None:
        made_by = _context()
        self._connection, other = made_by.Pipe(duplex=False)
        self._note = Note([m.name for m in methods], made_by.RawArray("q", 3))
        arguments = other, self._note, cell, grid, str(device), list(methods), table
        self._process = made_by.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        other.close()
        self._family: set[psutil.Process] = set()

    def wait(self, limits: Limits) -> list[Row] | _End:
        """The rows, or how the child ended; looks at the note, the clock and the memory meanwhile."""
        seen, since = self._note.read(), perf_counter()
        while not self._connection.poll(POLL_SECONDS):
            if (now := self._note.read()) != seen:
                seen, since = now, perf_counter()
            method, stage, count = seen
            limit = limits.seconds(stage) if count else START_SECONDS
            if perf_counter() - since > limit:
                return self._ended(method, "timeout", f"hung: no end after {limit:.3g} s, {_at(stage)}")
            if (used := self._memory_mb()) > limits.memory_mb:
                text = f"took {used:.0f} MB of memory, more than {limits.memory_mb:.0f} MB, {_at(stage)}"
                return self._ended(method, "crashed", text)
        return self._received()

    def _received(self) -> list[Row] | _End:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(START_SECONDS)
            method, stage, _ = self._note.read()
            return self._ended(method, "crashed", f"{_exit(self._process.exitcode)}, {_at(stage)}")
        if isinstance(answer, str):
            raise EngineError(f"a cell could not be measured: {answer}")
        return answer

    def _ended(self, method: str, status: str, reason: str) -> _End:
        if not method:
            raise EngineError(
                f"a cell could not be measured; while no method was at work its process {reason}"
            )
        return _End(method, status, f"its process {reason}")

    def _memory_mb(self) -> float:
        """Resident memory of the child and its children; those are remembered, to be ended with it."""
        try:
            child = psutil.Process(self._process.pid)
            self._family |= {child, *child.children(recursive=True)}
        except psutil.Error:
            return 0.0
        return sum(map(_resident_bytes, self._family)) / 2**20

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory_mb()
        self._process.kill()
        for process in self._family:
            if process.is_running():  # false if its number belongs to another process by now
                process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def _at(stage: Stage) -> str:
    return f"at the {stage}" if stage in ("set-up", "first call") else "while it was timed"


def _exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _context() -> Any:
    """Where processes come from; they have as many threads as this one has for torch."""
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    return context(["bench._preload"])
