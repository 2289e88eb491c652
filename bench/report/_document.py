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
class Image:
    """A figure by its path without ending, relative to the document."""

    path: str
    caption: str


Block = Heading | Paragraph | Bullets | Table | Image


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
        case Image(path, caption):
            return f"![{path.rpartition('/')[2].replace('_', ' ')}]({path}.svg)\n\n{caption}"
        case Table(header, rows, left):
            rule = ["---" if i < left else "---:" for i in range(len(header))]
            return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))
