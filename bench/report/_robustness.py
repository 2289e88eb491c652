"""What every method does with bad and degenerate input: one word a method and input."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .._cells import distinct, where
from .._numbers import NONE, error
from .._tables_io import COMMAND, Row, Tables
from ..robustness import CASES, OUTCOMES
from ._document import Block, Bullets, Heading, Paragraph, Table, code, literal

GARBAGE = "silent garbage"
SHORT = {GARBAGE: "**garbage**"}
NO_ANSWER = ("refused", "skipped", "error")
"""Outcomes of a method that is not tried; one that has nothing else gets no line in the matrix."""
ORIGINS = {"engine": "of a solver or peer", "foreign": "of a class that is not the suite's own"}


def robustness(rows: list[Row]) -> list[Block]:
    """The matrix, methods with the same words in one line; then what was silent, and what the words mean."""
    inputs = distinct(rows, "input")
    tried = [name for name in distinct(rows, "method") if not _silent(rows, name)]
    lines: dict[tuple[str, ...], list[str]] = {}
    for name in tried:
        mine = where(rows, method=name)
        cells = (mine[0]["role"], *(_cell(where(mine, input=i)) for i in inputs))
        lines.setdefault(cells, []).append(code(name))
    blocks: list[Block] = [
        Heading(3, "Robustness"),
        Paragraph(
            "The same inputs through every method, in float64, each in a process that may die. The judge "
            "looks at the set and the returned numbers; what a method says of its own answer counts as a "
            "flag. Numbers: the largest violation or distance, relative to the size of the point."
        ),
        Table(
            ("method", "role", *(code(name) for name in inputs)),
            tuple((", ".join(names), *cells) for cells, names in lines.items()),
            left=2 + len(inputs),
        ),
        Paragraph(_counts(rows)),
    ]
    items = [*_garbage(rows), *_untried(rows)]
    if items:
        blocks.append(Bullets(tuple(items)))
    return [*blocks, Paragraph(_legend(rows, inputs))]


def robustness_in_short(tables: Tables) -> list[Block]:
    """The counts, and where garbage was returned."""
    rows = tables.find("robustness")
    if not rows:
        return [Paragraph(f"Not measured yet: `{COMMAND}` does.")]
    inputs, methods = distinct(rows, "input"), distinct(rows, "method")
    blocks: list[Block] = [Paragraph(f"{len(inputs)} inputs, {len(methods)} methods. {_counts(rows)}")]
    items = tuple(_garbage(rows))
    return [*blocks, Bullets(items)] if items else blocks


def _silent(rows: list[Row], method: str) -> bool:
    return all(row["outcome"] in NO_ANSWER for row in where(rows, method=method))


def _cell(rows: list[Row]) -> str:
    if not rows:
        return NONE
    row = rows[0]
    word = str(SHORT.get(row["outcome"], row["outcome"]))
    if row["outcome"] in (GARBAGE, "inaccurate"):
        return f"{word} {_size(row)}".rstrip()
    return f"{word} ({row['origin']})" if row["origin"] in ORIGINS else word


def _size(row: Row) -> str:
    """The larger of violation and distance; nothing where neither has a meaning."""
    known = [row[name] for name in ("violation", "distance") if math.isfinite(row[name])]
    return error(max(known)) if known else ""


def _counts(rows: list[Row]) -> str:
    """A sentence about silent garbage for each role, and one about what ended otherwise than by a word."""
    parts = []
    for role in distinct(rows, "role"):
        mine = [row for row in where(rows, role=role) if row["outcome"] not in ("refused", "skipped")]
        parts.append(f"{role} {len(where(mine, outcome=GARBAGE))} of {len(mine)}")
    ends = [f"{len(where(rows, outcome=word))} {word}" for word in ("spread", "crash", "timeout")]
    errors = where(rows, outcome="error")
    raised = [f"{len(where(errors, origin=origin))} {text}" for origin, text in ORIGINS.items()]
    return (
        f"Silent garbage, of the calls that were neither refused nor skipped: {'; '.join(parts)}. "
        f"Other outcomes: {', '.join(ends)}; of {len(errors)} exceptions, {', '.join(raised)}."
    )


def _garbage(rows: list[Row]) -> Iterable[str]:
    """One item a method that returned garbage."""
    for name in distinct(where(rows, outcome=GARBAGE), "method"):
        mine = where(rows, outcome=GARBAGE, method=name)
        places = ", ".join(f"{code(row['input'])} {_size(row)}".rstrip() for row in mine)
        yield f"{code(name)} ({mine[0]['role']}): silent garbage on {places}"


def _untried(rows: list[Row]) -> Iterable[str]:
    """One item for the methods that refused everything, one a reason for those that were skipped."""
    silent = [name for name in distinct(rows, "method") if _silent(rows, name)]
    missing = [name for name in silent if where(rows, method=name, outcome="skipped")]
    refused = [name for name in silent if name not in missing]
    if refused:
        yield f"no answer to any input, since made for other sets: {', '.join(map(code, refused))}"
    for name in missing:
        yield f"{code(name)} skipped: {literal(where(rows, method=name, outcome='skipped')[0]['reason'])}"


def _legend(rows: list[Row], inputs: list[str]) -> str:
    known = {case.name: case for case in CASES}
    words = [word for word in OUTCOMES if where(rows, outcome=word)]
    meanings = "; ".join(f"{SHORT.get(word, word)}: {OUTCOMES[word]}" for word in words)
    described = "; ".join(f"{code(i)}: {literal(known[i].description)}" for i in inputs if i in known)
    without = [code(i) for i in inputs if i in known and known[i].twin is None]
    right = f" For {' and '.join(without)} there is no answer: an error, a refusal or a flag is right."
    return f"{meanings}. Inputs: {described}.{right if without else ''}".strip()
