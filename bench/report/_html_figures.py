"""Figures as HTML: the image, its caption, and the table behind it to read and to save."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path
from urllib.parse import quote

from ._document import Image, literal
from ._html_tables import box
from ._html_text import inline, plain

SAFE = " !'()*+,-./:;=?@[]^_{|}~"
"""What an address inside an attribute in double quotes may hold as it is."""
WIDEST = 60
"""A table with more columns, such as the pixels of digits, is there to save, not to read."""


def figure(block: Image, folder: Path) -> str:
    """The figure's SVG file inside the page, as an image so that its ids stay its own."""
    svg = (folder / f"{block.path}.svg").read_text(encoding="utf-8")
    name = html.escape(Path(block.path).name)
    image, caption = _uri(_smaller(svg), "image/svg+xml"), html.escape(plain(block.caption))
    data = _data(block) if block.csv else ""
    return (
        f'<figure>\n<div class="frame" tabindex="0" role="region" aria-label="figure: {name}">'
        f'<img src="{image}" alt="{caption}" /></div>\n'
        f"<figcaption>{inline(block.caption)}</figcaption>\n{data}</figure>"
    )


def download(path: str, text: str, label: str) -> str:
    """A link that saves a CSV text under the file name of `path`."""
    name = html.escape(Path(path).name)
    return f'<a class="download" download="{name}" href="{_uri(text, "text/csv")}">{html.escape(label)}</a>'


def _data(block: Image) -> str:
    header, *rows = csv.reader(io.StringIO(block.csv))
    link = download(f"{block.path}.csv", block.csv, "data (CSV)")
    if len(header) > WIDEST:
        return f"{link}\n"
    name = Path(block.path).name
    text = [not all(map(_is_number, column)) for column in zip(*rows, strict=True)]
    shown = box(map(literal, header), [map(literal, row) for row in rows], text, name=name)
    return f"{link}\n<details>\n<summary>Table ({len(rows)} rows)</summary>\n{shown}\n</details>\n"


def _is_number(field: str) -> bool:
    return not field or re.fullmatch(r"-?(\d+(\.\d+)?(e[-+]\d+)?|inf)", field) is not None


def _uri(text: str, kind: str) -> str:
    """The text inside an address; nearly all of it is ASCII, so that base64 would be a third longer."""
    return f"data:{kind};charset=utf-8,{quote(text, safe=SAFE)}"


def _smaller(svg: str) -> str:
    """The SVG element alone, without what no browser draws."""
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg)
    return re.sub(r"\s+", " ", svg.replace('"', "'")).strip()
