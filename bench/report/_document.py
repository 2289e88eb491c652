"""What a report is made of, and its Markdown form.

Texts are in a small part of Markdown: `code`, **bold**, [text](address) and a backslash before a
character that is meant literally. `literal` makes such a text of any string.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 4."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """One paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; the first `left` columns are aligned to the left, numbers after them to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(default_factory=tuple)
    left: int = 1


@dataclass(frozen=True)
class Grouped:
    """One long table in parts: in Markdown a heading and a table each, in HTML a single one to filter.

    Attributes:
        name: the header of the column that says the part, which only the single table needs.
        header: the other columns.
        parts: for each its heading, its name and its rows.
        left: as in `Table`, without the column of the part.
        filters: the columns that can be chosen from.
        label: of the single table, after which a file that it is saved as is called.
    """

    name: str
    header: tuple[str, ...]
    parts: tuple[tuple[str, str, tuple[tuple[str, ...], ...]], ...]
    left: int
    filters: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Image:
    """A figure by its path without ending, relative to the document, and the CSV text behind it."""

    path: str
    caption: str
    csv: str = ""


@dataclass(frozen=True)
class Download:
    """A CSV file by its path relative to the document, and its text."""

    path: str
    csv: str


Block = Heading | Paragraph | Bullets | Table | Grouped | Image | Download


def literal(text: str) -> str:
    """A text that shows `text` as it is, whatever characters it has."""
    # An underscore between two letters is no emphasis, and names are full of them.
    return re.sub(r"([\\`*<>|\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A name in code type."""
    return f"`{text}`" if text and not set(text) & set("`|\\\n") else literal(text)


def markdown(blocks: Iterable[Block]) -> str:
    """The blocks with an empty line between them, without a line break at the end."""
    return "\n\n".join(_block(block) for block in blocks)


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Image(path, caption, csv):
            data = f" [Data (CSV)]({path}.csv)" if csv else ""
            return f"![{path.rpartition('/')[2].replace('_', ' ')}]({path}.svg)\n\n{caption}{data}"
        case Download(path, _):
            return f"[{path}]({path})"
        case Grouped(header=header, parts=parts, left=left):
            tables = (f"#### {title}\n\n{_table(header, rows, left)}" for title, _, rows in parts)
            return "\n\n".join(tables)
        case Table(header, rows, left):
            return _table(header, rows, left)


def _table(header: tuple[str, ...], rows: tuple[tuple[str, ...], ...], left: int) -> str:
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
