"""The strict variants beside their plain maps: what the guarantee costs, and that it holds."""

from __future__ import annotations

from collections.abc import Callable

from .._cells import BATCH, PROBLEM, distinct, main_cell, ok, where
from .._numbers import NONE, error, interval, number, share, times
from .._tables_io import COMMAND, Row, Tables
from ._document import Block, Heading, Paragraph, Table, code

VARIANTS = {"strict": "`strict=True`", "tight": '`strict="tight"`'}
"""The endings of their names."""
EACH = ("time / plain", "breaks a row", "moves")


def strict(tables: Tables) -> list[Block]:
    """The main cell."""
    cell = main_cell(tables.find("inference"))
    if not any(row["plain"] for row in cell):
        return [Paragraph(f"No strict map measured on {PROBLEM} at batch {BATCH} yet: `{COMMAND}` does.")]
    return [
        _table(cell),
        Paragraph(
            f"{PROBLEM}, batch {BATCH}. Breaks a row: the share of answers that break an inequality by any "
            "amount, decided exactly (in brackets the largest violation); time / plain: ratio to the same "
            "map without the guarantee, interleaved in one run, with its 95 % interval; moves: as a multiple "
            "of the exact projection's distance, median."
        ),
    ]


def strict_everywhere(rows: list[Row]) -> list[Block]:
    """A table for each cell that has a strict row."""
    blocks: list[Block] = [Heading(3, "Strict feasibility")]
    for problem, batch, dtype in dict.fromkeys(_place(row) for row in rows if row["plain"]):
        blocks.append(Paragraph(f"{problem}, batch {batch}, {dtype}:"))
        blocks.append(_table(where(rows, problem=problem, batch=batch, dtype=dtype)))
    return blocks if len(blocks) > 1 else []


def _place(row: Row) -> tuple[str, int, str]:
    return row["problem"], row["batch"], row["dtype"]


def _table(cell: list[Row]) -> Table:
    """One row a map that has an answer, plain or strict."""
    header = ["map", "plain: breaks a row", "moves"]
    for text in VARIANTS.values():
        header += [f"{text}: {EACH[0]}", *EACH[1:]]
    names = [name for name in distinct(cell, "plain") if name and _answered(cell, name)]
    return Table(tuple(header), tuple(_line(cell, name) for name in names))


def _answered(cell: list[Row], name: str) -> bool:
    return bool(ok(where(cell, method=name)) + ok(where(cell, plain=name)))


def _line(cell: list[Row], name: str) -> tuple[str, ...]:
    cells = _cells(cell, name, [_broken, _moves])
    for ending in VARIANTS:
        cells += _cells(cell, f"{name}_{ending}", [_ratio, _broken, _moves])
    return (code(name), *cells)


def _cells(cell: list[Row], method: str, texts: list[Callable[[Row], str]]) -> list[str]:
    row = next(iter(where(cell, method=method)), None)
    if row is None or row["status"] != "ok":
        return ["not measured" if row is None else row["status"], *[NONE] * (len(texts) - 1)]
    return [text(row) for text in texts]


def _ratio(row: Row) -> str:
    return interval(row["ratio_plain"], row["ratio_plain_low"], row["ratio_plain_high"], times)


def _broken(row: Row) -> str:
    largest = f" ({error(row['violation'])})" if row["broken_share"] > 0 else ""
    return share(row["broken_share"]) + largest


def _moves(row: Row) -> str:
    excess = number(row["excess"])
    return excess if excess == NONE else f"{excess}x"
