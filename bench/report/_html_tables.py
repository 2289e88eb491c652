"""Tables as HTML: each in a box of its own that scrolls, with a name for the file it is saved as."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ._document import Grouped, Table, literal
from ._html_text import inline, plain

LONG = 40


def table(block: Table | Grouped) -> str:
    """A table; one in parts becomes a single one with the part as its first column and filters."""
    if isinstance(block, Table):
        text = [i < block.left for i in range(len(block.header))]
        return box(block.header, block.rows, text, name=plain(block.header[0]))
    header = (block.name, *block.header)
    rows = [(literal(part), *row) for _, part, rows in block.parts for row in rows]
    text = [i <= block.left for i in range(len(header))]
    return box(header, rows, text, name=block.label, filters=block.filters)


def box(
    header: Iterable[str],
    rows: Iterable[Iterable[str]],
    text: Sequence[bool],
    name: str,
    filters: tuple[str, ...] = (),
) -> str:
    """The element; `text` says of each column whether it is text, aligned and sorted as such, or numbers."""
    chosen = f' data-filters="{html.escape(",".join(filters))}"' if filters else ""
    body = "\n".join(_row("td", row, text) for row in rows)
    label = html.escape(name)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table: {label}">\n'
        f'<table data-name="{label}"{chosen}>\n<thead>\n{_row("th", header, text)}\n</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _row(tag: str, cells: Iterable[str], text: Sequence[bool]) -> str:
    return "<tr>" + "".join(_cell(tag, cell, left) for cell, left in zip(cells, text, strict=True)) + "</tr>"


def _cell(tag: str, cell: str, left: bool) -> str:
    """A text that is longer than LONG wraps, everything else stays on a line."""
    mark = (' class="l long"' if len(cell) > LONG else ' class="l"') if left else ""
    return f"<{tag}{mark}>{inline(cell)}</{tag}>"
