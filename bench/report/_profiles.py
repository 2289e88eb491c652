"""Performance profiles as a table: the share of the problems within a few factors of the fastest."""

from __future__ import annotations

from .._cells import distinct, where
from .._numbers import share
from .._tables_io import Row
from ..analyses import profiles as profiles_of
from ..analyses import shares
from ..analyses.profiles import FACTORS, NEAR
from ._document import Block, Paragraph, Table, code

HEADER = ("method", "role", "answered", "fastest", *(f"within {t}x" for t in FACTORS[1:]))
NAMES = {
    "feasible": "Every answer counts:",
    "near": f"Answers that move a point at most {NEAR:g} times as far as the exact projection (median):",
}


def profiles(rows: list[Row]) -> list[Block]:
    """A table for each set of answers; a method that solves nothing in a set has no row there."""
    lines = [line for line in shares(profiles_of(rows)) if line["solved"]]
    blocks: list[Block] = []
    for name in distinct(lines, "set"):
        mine = sorted(where(lines, set=name), key=lambda line: -line["solved"])
        blocks += [Paragraph(NAMES[name]), Table(HEADER, tuple(_row(line) for line in mine), left=2)]
    return blocks or [Paragraph("No problem was answered, so that there is no profile.")]


def _row(line: Row) -> tuple[str, ...]:
    solved = f"{line['solved']} of {line['problems']}"
    return code(line["method"]), line["role"], solved, *(share(line[f"within_{t}"]) for t in FACTORS)
