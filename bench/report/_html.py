"""The same blocks as one HTML page that needs nothing else: styles and figures are inside."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import Path

from ._document import Block, Bullets, Heading, Image, Paragraph, Table

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #111; background: #fff; max-width: 75rem;
  margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; margin-top: 2em; }
table { border-collapse: collapse; font-size: 12px; margin: 1em 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #bbb; padding: 2px 7px; text-align: right; white-space: nowrap; }
th { background: #eee; }
.l { text-align: left; }
figure { margin: 1.5em 0; break-inside: avoid; }
figure svg { max-width: 100%; height: auto; }
figcaption { font-size: 13px; color: #333; }
code { font-size: 0.92em; }
@media print { body { max-width: none; font-size: 10px; } table { font-size: 7px; display: table; }
  th, td { white-space: normal; padding: 1px 3px; } }
"""
INLINE = re.compile(r"\\(.)|`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\(([^)\s]+)\)")


def page(title: str, blocks: Iterable[Block], folder: Path) -> str:
    """A whole HTML document; figures are read from SVG files relative to `folder`."""
    body = "\n".join(_block(block, folder) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def inline(text: str) -> str:
    """A text of `_document` as HTML."""
    parts, end = [], 0
    for match in INLINE.finditer(text):
        parts += [html.escape(text[end : match.start()]), _token(*match.groups())]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def _token(escaped: str | None, name: str | None, bold: str | None, link: str | None, address: str) -> str:
    if escaped:
        return html.escape(escaped)
    if name:
        return f"<code>{html.escape(name)}</code>"
    if bold:
        return f"<b>{inline(bold)}</b>"
    return f'<a href="{html.escape(address)}">{inline(link or "")}</a>'


def _block(block: Block, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{inline(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{inline(text)}</p>"
        case Bullets(items):
            return "<ul>\n" + "\n".join(f"<li>{inline(item)}</li>" for item in items) + "\n</ul>"
        case Image(path, caption):
            svg = _svg(folder / f"{path}.svg", prefix=re.sub(r"\W+", "-", path), label=caption)
            return f"<figure>\n{svg}\n<figcaption>{inline(caption)}</figcaption>\n</figure>"
        case Table(header, rows, left):
            lines = [_row("th", header, left), *(_row("td", row, left) for row in rows)]
            return "<table>\n" + "\n".join(lines) + "\n</table>"


def _row(tag: str, cells: Iterable[str], left: int) -> str:
    marks = (' class="l"' if i < left else "" for i in range(1 << 20))
    return (
        "<tr>"
        + "".join(f"<{tag}{m}>{inline(c)}</{tag}>" for m, c in zip(marks, cells, strict=False))
        + "</tr>"
    )


def _svg(path: Path, prefix: str, label: str) -> str:
    """The SVG element alone, its ids made unique in a page with several figures."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    plain = re.sub(r"[`*\\]", "", label)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(plain)}"', 1).strip()
