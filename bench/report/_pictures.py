"""The figures of one device for its sections; those that no section asked for are shown after them."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from constrained.errors import InvalidInputError

from ..plots import FIGURES, figure_path
from ._document import Block, Heading, Image, Paragraph

HINT = "No figure drawn yet: `python -m bench plots` draws them."


class Pictures:
    """Figures that were drawn, as blocks with their paths from the page.

    Args:
        figures: the folder of figures.
        device: the folder's name within it.
        folder: where the page will be.
    """

    def __init__(self, figures: Path, device: str, folder: Path) -> None:
        self._drawn = {
            figure.name: _image(figure_path(figures, device, figure.name, "svg"), figure.caption, folder)
            for figure in FIGURES
            if figure_path(figures, device, figure.name, "svg").exists()
        }
        self._left = list(self._drawn)

    def of(self, *names: str) -> list[Block]:
        """The figures of these names that were drawn, and not shown yet."""
        shown = [name for name in names if name in self._left]
        self._left = [name for name in self._left if name not in names]
        return [self._drawn[name] for name in shown]

    def others(self) -> list[Block]:
        """The figures that were not asked for, or how to draw some if there is none at all."""
        if not self._drawn:
            return [Heading(3, "Figures"), Paragraph(HINT)]
        names = list(self._left)
        return [Heading(3, "Other figures"), *self.of(*names)] if names else []


def _image(svg: Path, caption: str, folder: Path) -> Image:
    data = svg.with_suffix(".csv")
    path = Path(os.path.relpath(svg.with_suffix(""), folder)).as_posix()
    if "<svg" not in svg.read_text(encoding="utf-8"):
        raise _damaged(svg, "expected an SVG image, found none")
    return Image(path, caption, _table(data) if data.exists() else "")


def _table(path: Path) -> str:
    """The text of a CSV file that has a header and as many fields in every line."""
    text = path.read_text(encoding="utf-8")
    widths = {len(line) for line in csv.reader(io.StringIO(text))}
    if len(widths) != 1 or not text.endswith("\n"):
        raise _damaged(
            path, f"expected as many fields in every line, found {sorted(widths)}, or it was cut off"
        )
    return text


def _damaged(path: Path, what: str) -> InvalidInputError:
    return InvalidInputError(f"{path}: {what}; `python -m bench plots` draws it again")
