"""The process of a cell: measures it, says in a shared note what it is at, and ends with its parent."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from constrained.errors import ConstraintError

from ._processes import end_with_parent, silence
from .grid import Cell, Grid
from .measure import STAGES, Stage, measure_cell
from .methods import AbstractMethod


class Note:
    """The shared note: which method is at work, on what, and how often that changed."""

    def __init__(self, names: Sequence[str], cells: Any) -> None:
        self._names, self._cells = ["", *names], cells

    def write(self, method: str, stage: Stage) -> None:
        """A `Watch`; the count is written last, so that a change is seen with what it is about."""
        self._cells[0], self._cells[1] = self._names.index(method), STAGES.index(stage)
        self._cells[2] += 1

    def read(self) -> tuple[str, Stage, int]:
        """(method, stage, count)."""
        method, stage, count = self._cells[:]
        return self._names[method], STAGES[stage], count


def work(
    connection: Connection,
    note: Note,
    cell: Cell,
    grid: Grid,
    device: str,
    methods: Sequence[AbstractMethod],
    table: str,
) -> None:
    """In the child: sends the rows, or a text if the harness itself failed."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which then ends the child
    silence()
    try:
        _first_use(torch.device(device))
        answer = measure_cell(cell, grid, torch.device(device), methods, table, note.write)
    except ConstraintError as error:
        answer = f"{cell}: {error}"
    except Exception as error:  # a defect of the harness: where it is matters
        answer = f"{cell}: {''.join(traceback.format_exception(error)).strip()}"
    connection.send(answer)


def _first_use(device: torch.device) -> None:
    """The CUDA context and what torch sets up at a first product count as no method's set-up or memory."""
    square = torch.ones(64, 64, device=device)
    (square @ square).sum().item()
