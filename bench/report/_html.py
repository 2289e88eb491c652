"""The same blocks as one HTML page that needs nothing else: styles, script, figures and data are inside."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from ._document import Block, Bullets, Download, Grouped, Heading, Image, Paragraph, Table
from ._html_figures import download, figure
from ._html_tables import table
from ._html_text import inline, plain

ASSETS = Path(__file__).parent / "assets"
# The page asks nothing of any network, and the browser is told so.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
Anchored = tuple[Block, str]
"""A block and the id of its element, if it is a heading."""
CONTENTS = (2, 3)
"""The levels of the headings in the table of contents."""


def page(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """A whole HTML document; figures are read from SVG files relative to `folder`."""
    anchored = list(zip(blocks, _anchors(blocks), strict=True))
    body = "\n".join(_run(kind, list(run), folder) for kind, run in groupby(anchored, lambda a: type(a[0])))
    style, script = (_asset(f"report.{ending}") for ending in ("css", "js"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8" />\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"{_contents(anchored)}\n<main>\n{body}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _anchors(blocks: Iterable[Block]) -> list[str]:
    """An id for each heading, all different; empty for other blocks."""
    found: list[str] = []
    for block in blocks:
        start = (
            re.sub(r"\W+", "-", plain(block.text).lower()).strip("-") if isinstance(block, Heading) else ""
        )
        name, number = start, 2
        while name and name in found:
            name, number = f"{start}-{number}", number + 1
        found.append(name)
    return found


def _contents(anchored: Iterable[Anchored]) -> str:
    items = "\n".join(
        f'<li class="level{block.level}"><a href="#{anchor}">{html.escape(plain(block.text))}</a></li>'
        for block, anchor in anchored
        if isinstance(block, Heading) and block.level in CONTENTS
    )
    return f'<nav>\n<details open="">\n<summary>Contents</summary>\n<ul>\n{items}\n</ul>\n</details>\n</nav>'


def _run(kind: type, run: list[Anchored], folder: Path) -> str:
    """Blocks of one kind that follow one another; figures stand side by side where there is room."""
    text = "\n".join(_block(block, anchor, folder) for block, anchor in run)
    return f'<div class="figures">\n{text}\n</div>' if kind is Image else text


def _block(block: Block, anchor: str, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f'<h{level} id="{anchor}">{inline(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{inline(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{inline(item)}</li>" for item in items) + "\n</ul>"
        case Image():
            return figure(block, folder)
        case Download(path, csv):
            return f"<p>{download(path, csv, Path(path).name)}</p>"
        case Table() | Grouped():
            return table(block)
