"""The command `python -m bench.cuda_limits`."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import perf_counter

import torch

from ..machine import device_name, take_machine
from ..rows import RESULTS, Run
from ._cells import Row, cell_key, measured, reason_of
from ._maps import map_cells, measure_map
from ._networks import measure_network, network_cells
from ._yardsticks import measure_yardsticks

SECONDS = 0.02
"""Of timing for each call of a cell."""
YARDSTICKS = 10
"""The yardsticks have so many times as long."""
Measure = Callable[[Row, torch.device, float], list[Row]]


def limits_main(argv: Sequence[str] | None = None) -> int:
    """Measure what is missing of the newest unfinished run, or all of it; 1 without a device."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cuda_limits", description="The kernels and the limits of the device."
    )
    parser.add_argument("--raw", type=Path, default=RESULTS / "raw", help="folder of run files")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the table of this run as CSV, besides")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each call of a cell")
    parser.add_argument("--fresh", action="store_true", help="start anew instead of continuing a stopped run")
    arguments = parser.parse_args(take_machine(sys.argv[1:] if argv is None else argv))
    if not torch.cuda.is_available():
        text = "cuda_limits: no CUDA device here (torch.cuda.is_available() is False); nothing was measured"
        print(text, file=sys.stderr)
        return 1
    device = torch.device("cuda")
    settings = {"seconds": arguments.seconds}
    run = Run.open(arguments.raw, "limits", settings, arguments.fresh, device_name(device))
    gc.freeze()  # garbage is collected before each capture; what was imported is none
    measure_limits(run, device, arguments.seconds)
    print(run.path)
    if arguments.out is not None:
        _write_table(arguments.out, run)
    return 0


def measure_limits(
    run: Run,
    device: torch.device,
    seconds: float,
    cells: Iterable[Row] | None = None,
    measures: dict[str, Measure] | None = None,
) -> None:
    """Add to a run the cells that it does not hold yet, one by one, and finish it.

    Args:
        run: a run file that may hold some of them.
        device: where the calls run.
        seconds: of timing for each.
        cells: those of maps and networks; default: all.
        measures: how a cell of each kind is measured; default: as it is.
    """
    measures = measures or {"map": measure_map, "network": measure_network}
    chosen = [*map_cells(), *network_cells()] if cells is None else list(cells)
    if not any(row["what"] == "copy" for row in run.rows):
        run.add(*measure_yardsticks(device, YARDSTICKS * seconds))
    known, start = {cell_key(row) for row in run.rows}, perf_counter()
    for place, cell in enumerate(chosen, 1):
        if not {cell_key(cell), cell_key(cell | {"map": "unconstrained"})} & known:
            run.add(*_rows(cell, device, seconds, measures[cell["what"]]))
            _tell(place, len(chosen), cell, perf_counter() - start)
    run.finish()


def _rows(cell: Row, device: torch.device, seconds: float, measure: Measure) -> list[Row]:
    """The rows of a cell; one that fails as a whole is a row with the reason, and does not stop the next."""
    try:
        return measure(cell, device, seconds)
    except Exception as error:
        return measured(cell, {}, device, seconds, failed={("", ""): reason_of(error)})


def _tell(place: int, count: int, cell: Row, seconds: float) -> None:
    """A line a cell on the standard error, so that a stopped run says where it was."""
    what = " ".join(str(cell[name]) for name in ("what", "map", "hidden", "dtype", "l2") if cell[name])
    strict = " strict" if cell["strict"] else ""
    size = f"{cell['n']}x{cell['m']}, batch {cell['batch']}"
    print(f"limits {place}/{count} at {seconds:.0f} s: {what}{strict} {size}", file=sys.stderr, flush=True)


def _write_table(path: Path, run: Run) -> None:
    from .._tables_io import TABLES, write_table
    from ._rows import limits_table

    write_table(path, limits_table(run.rows), TABLES["limits"])
