"""`python -m bench cluster`: the grid by several workers of submitit, on Slurm or on this machine.

    worker    measures its cells one after the other, each in its own process, and writes a part file a cell
    command   hands the cells out, merges parts into the run file by (table, cell, method), and hands out
              anew what a worker that ended early left behind

The run file is that of `python -m bench run`, and the same command continues it: what it holds is not
measured again, and a part that was written is merged later. The rows of a cell are always from one worker,
so ratios hold; but workers that share a machine disturb each other, so that numbers to be kept need
`--executor local --workers 1`, or Slurm, where each worker gets a node to itself. The header of the run file
describes the machine that the command runs on; `cpu` in each row is the processor that it was measured on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from constrained.errors import ConstraintError, EngineError, InvalidInputError, require

from .grid import Cell, Grid, grid
from .isolation import isolated_cell
from .machine import describe_machine, device_name
from .rows import RESULTS, Run, write_atomic
from .suites import items, matches, row_key, with_references

ATTEMPTS = 3
"""How often a cell is handed out before its worker's end is taken for the cell's fault."""
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """A cell of a table, and the names of the methods that are still to be measured there."""

    table: str
    cell: Cell
    methods: tuple[str, ...]

    @property
    def file(self) -> str:
        """The name of its part file."""
        return f"{self.table}-{self.cell}.json"


def tasks(chosen: Grid, expression: str, run: Run) -> list[Task]:
    """What is left to measure: the rows that fit the filter and that the run does not hold, by cell."""
    known = set(map(row_key, run.rows))
    names: dict[tuple[str, Cell], list[str]] = {}
    for table, cell, method in items(chosen):
        if matches(expression, table, cell, method.name) and (table, str(cell), method.name) not in known:
            names.setdefault((table, cell), []).append(method.name)
    return [Task(table, cell, tuple(methods)) for (table, cell), methods in names.items()]


def work(todo: Sequence[Task], chosen: Grid, device: str, folder: Path) -> None:
    """What a worker does: measure cells and write their parts; a cell that fails does not stop the next.

    Raises `EngineError` at the end, with all that failed.
    """
    failed = []
    for task in todo:
        try:
            methods = with_references(task.table, task.cell, set(task.methods))
            rows = isolated_cell(task.cell, chosen, torch.device(device), methods, task.table)
        except ConstraintError as error:
            failed.append(f"{task.table}/{task.cell}: {error}")
            continue
        cpu = describe_machine(device)["cpu"]
        write_atomic(folder / task.file, json.dumps([row | {"cpu": cpu} for row in rows], allow_nan=False))
    if failed:
        raise EngineError("; ".join(failed))


def parts(run: Run) -> Path:
    """The folder of the part files and of what jobs print, beside the run file; gone when all is measured."""
    return run.path.with_suffix(".parts")


def merge(run: Run, folder: Path) -> None:
    """Move every part in the folder into the run, but for one whose rows the run holds already.

    A part with new rows is kept whole: their ratios are to rows of the same pass.
    """
    for path in sorted(folder.glob("*.json")):
        rows, known = json.loads(path.read_text()), set(map(row_key, run.rows))
        if not known.issuperset(map(row_key, rows)):
            run.add(*rows)
        path.unlink()


def measure_grid(chosen: Grid, expression: str, device: str, run: Run, executor: Any, workers: int) -> None:
    """Fill the run with what is missing, by so many workers at a time.

    Args:
        chosen: the grid.
        expression: a filter of its rows, see `suites.matches`.
        device: "cpu" or "cuda".
        run: a run file that may hold some of the rows.
        executor: submitit's, or anything with its `submit`.
        workers: how many jobs are submitted at once.

    Raises:
        InvalidInputError: the filter fits no row of the grid.
        EngineError: something is missing still after ATTEMPTS; the text says what, and what a worker said.
    """
    if not any(matches(expression, table, cell, method.name) for table, cell, method in items(chosen)):
        raise InvalidInputError(
            f"--filter {expression!r} fits no row of the grid {chosen.name!r}; rows are named "
            "table/cell/method; give a part of such a name, or a glob of all of it"
        )
    folder = parts(run)
    folder.mkdir(parents=True, exist_ok=True)
    run.add()  # so that the file is there to be continued, whatever happens now
    merge(run, folder)
    said: list[str] = []
    for _ in range(ATTEMPTS):
        if not (todo := tasks(chosen, expression, run)):
            break
        shares = [todo[start::workers] for start in range(min(workers, len(todo)))]
        jobs = [executor.submit(work, share, chosen, device, folder) for share in shares]
        while not all([job.done() for job in jobs]):
            time.sleep(POLL_SECONDS)
            merge(run, folder)
        merge(run, folder)
        said = [_last_line(job) for job in jobs]
    if todo := tasks(chosen, expression, run):
        missing = ", ".join(f"{task.table}/{task.cell}" for task in todo)
        reasons = "; ".join(filter(None, said)) or "its workers ended without a word"
        raise EngineError(f"not measured in {ATTEMPTS} attempts: {missing}: {reasons}")
    shutil.rmtree(folder)
    if not tasks(chosen, "", run):
        run.finish()


def _last_line(job: Any) -> str:
    """What a job that failed said last; empty for one that did not."""
    try:
        error = job.exception()
    except Exception as unreadable:  # a worker that was killed leaves no result to read
        error = unreadable
    return "" if error is None else str(error).strip().rpartition("\n")[2]


def _executor(options: argparse.Namespace, logs: Path) -> Any:
    """Submitit's executor; on Slurm a job has its node to itself."""
    require("submitit", "bench")
    import submitit

    if options.executor == "slurm" and shutil.which("sbatch") is None:
        raise InvalidInputError(
            "--executor slurm needs the command sbatch; none is here; try --executor local"
        )
    executor = submitit.AutoExecutor(logs, cluster=options.executor)
    executor.update_parameters(
        name="bench",
        timeout_min=60 * options.hours,
        gpus_per_node=int(options.device == "cuda"),
        slurm_exclusive=True,
        **({"slurm_partition": options.partition} if options.partition else {}),
    )
    return executor


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m bench cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", default="default", help="smoke, short, quick, default or full")
    parser.add_argument("--filter", default="", metavar="EXPR", help="as for `python -m bench run`")
    parser.add_argument("--workers", type=int, default=1, help="jobs at a time (default: 1)")
    parser.add_argument("--executor", choices=("local", "slurm"), default="local")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--cache", choices=("warm", "cold"), default="warm", help="when a round starts")
    parser.add_argument("--raw", type=Path, default=RESULTS / "raw", help="folder of the run files")
    parser.add_argument("--fresh", action="store_true", help="start anew instead of continuing a stopped run")
    parser.add_argument("--hours", type=int, default=24, help="limit of a job (default: 24)")
    parser.add_argument("--partition", help="of Slurm")
    options = parser.parse_args(argv)
    if options.workers < 1 or options.hours < 1:
        parser.error("--workers and --hours must be at least 1")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """From the command line; see `--help`."""
    options = _options(argv)
    chosen = replace(grid(options.grid), cache=options.cache)
    device = device_name(torch.device(options.device))
    run = Run.open(options.raw, "inference", chosen.settings, options.fresh, device)
    executor = _executor(options, parts(run) / "jobs")
    measure_grid(chosen, options.filter, options.device, run, executor, options.workers)
    print(f"{len(run.rows)} rows: {run.path}", file=sys.stderr)
    return 0
