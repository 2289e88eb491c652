"""The texts of `_document` as HTML."""

from __future__ import annotations

import html
import re

INLINE = re.compile(r"\\(.)|`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\(([^)\s]+)\)")


def inline(text: str) -> str:
    """A text with its markup as elements."""
    parts, end = [], 0
    for match in INLINE.finditer(text):
        parts += [html.escape(text[end : match.start()]), _token(*match.groups())]
        end = match.end()
    return "".join([*parts, html.escape(text[end:])])


def plain(text: str) -> str:
    """A text without its markup, not escaped."""
    return html.unescape(re.sub(r"<[^>]*>", "", inline(text)))


def _token(escaped: str | None, name: str | None, bold: str | None, link: str | None, address: str) -> str:
    if escaped:
        return html.escape(escaped)
    if name:
        return f"<code>{html.escape(name)}</code>"
    if bold:
        return f"<b>{inline(bold)}</b>"
    return f'<a href="{html.escape(address)}">{inline(link or "")}</a>'
