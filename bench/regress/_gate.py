"""Measuring for the gate: every cell once, then the undecided ones until they are decided or time is over."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic

import torch

from ..grid import Cell, Grid
from ..measure import measure_cell
from ..methods import ALWAYS, METHODS
from ..suites import methods_at
from ._pooled import Pass, Row
from ._verdicts import OURS, PASSES, Judgement, Verdict, judge

GATED = {m.name for m in METHODS if m.role == "embedded"} | {*ALWAYS, "daqp", OURS}
"""The methods of a new reference."""


def measure_pass(cell: Cell, chosen: Grid, methods: Collection[str]) -> Pass:
    """One interleaved pass; always of all methods, as in the reference, for they warm each other's caches."""
    picked = [m for m in methods_at("inference", cell) if m.name in {*methods, *ALWAYS}]
    return measure_cell(cell, chosen, torch.device("cpu"), picked)


def gate(reference: list[Row], chosen: Grid, tolerance: float, limit: float) -> list[Judgement]:
    """The judgement of each row of the reference; a cell that the grid does not have is missing.

    Args:
        reference: rows as in the table `reference`.
        chosen: the grid that it was measured on.
        tolerance: how much larger a ratio may be, 0.25 for 25 %.
        limit: seconds after which no cell is measured again; every cell is measured once all the same.
    """
    end = monotonic() + limit
    methods = {row["method"] for row in reference}
    passes: dict[str, list[Pass]] = {str(cell): [] for cell in chosen.cells}
    found: dict[str, list[Judgement]] = {}
    cells = list(chosen.cells)
    while cells:
        for cell in cells:
            if passes[str(cell)] and monotonic() >= end:
                break
            print(f"measuring {cell}, pass {len(passes[str(cell)]) + 1}", flush=True)
            passes[str(cell)].append(measure_pass(cell, chosen, methods))
            found[str(cell)] = judge(_rows_at(reference, str(cell)), passes, tolerance)
        undecided = {
            name for name, rows in found.items() if any(row.verdict is Verdict.INCONCLUSIVE for row in rows)
        }
        cells = [cell for cell in chosen.cells if str(cell) in undecided and monotonic() < end]
    other = [row for row in reference if row["cell"] not in passes]
    return [judgement for rows in found.values() for judgement in rows] + judge(other, {}, tolerance)


def _rows_at(reference: list[Row], cell: str) -> list[Row]:
    return [row for row in reference if row["cell"] == cell]


def measure_reference(chosen: Grid) -> dict[str, list[Pass]]:
    """PASSES passes over every cell, by cell; the passes of a cell are not in a row."""
    passes: dict[str, list[Pass]] = {str(cell): [] for cell in chosen.cells}
    for number in range(PASSES):
        for cell in chosen.cells:
            print(f"measuring {cell}, pass {number + 1} of {PASSES}", flush=True)
            passes[str(cell)].append(measure_pass(cell, chosen, GATED))
    return passes
