"""What a figure is: a pure function of one table's rows."""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from constrained.errors import ConstraintError

from .._cells import distinct, failures, fewer_projections, ok, places, plain_maps, where
from .._tables_io import Row
from ._style import Style, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REASON_WIDTH = 170
NAMED_LABELS = 4


class NothingToDrawError(ConstraintError):
    """The table is there and has no row that this figure could show; the text says what it lacks."""


class AbstractFigure(ABC):
    """One figure of the results; a new one is a file beside this one and a line in FIGURES.

    Attributes:
        name: file name without its ending.
        table: the table it is drawn from.
        caption: the sentence under the figure in the report.
    """

    name: str
    table: str
    caption: str

    @abstractmethod
    def data(self, rows: list[Row]) -> list[Row]:
        """The rows behind the figure, all with the same columns; none where there is nothing to draw."""

    @abstractmethod
    def draw(self, rows: list[Row]) -> Figure:
        """The figure of these rows, or `NothingToDrawError`."""


def columns(rows: list[Row], *names: str) -> list[Row]:
    """The rows with these columns alone."""
    return [{name: row[name] for name in names} for row in rows]


def method_styles(rows: list[Row]) -> dict[str, Style]:
    """The styles of the plain methods of the inference table, the same in every figure of it.

    The projections that figures show come first, so that their markers differ.
    """
    rows = plain_maps(rows)
    names = [*distinct(fewer_projections(rows), "method"), *distinct(rows, "method")]
    return styles(dict.fromkeys(names), {row["method"]: row["role"] for row in rows})


def require_rows(rows: list[Row], what: str) -> None:
    """Raise `NothingToDrawError` unless there is a row."""
    if not rows:
        raise NothingToDrawError(f"the table has no row {what}")


def failure_notes(shown: list[Row], table: list[Row]) -> list[str]:
    """A line for every method that is in the table and has no number among the rows shown, or only some.

    What was refused is one line for all methods: every map is made for some sets and not for others.
    """
    notes = _refusals(shown)
    for failure in failures(row for row in shown if row["status"] != "refused"):
        reason = textwrap.shorten(failure.reason, REASON_WIDTH, placeholder=" ...")
        text = f"{failure.method}: {failure.status} at {_named(failure.problems)}"
        notes.append(f"{text}: {reason}" if reason else text)
    absent = [name for name in distinct(table, "method") if name not in distinct(shown, "method")]
    return notes + ([f"not measured here: {', '.join(absent)}"] if absent else [])


def _refusals(shown: list[Row]) -> list[str]:
    problems = distinct(shown, "problem")
    methods: dict[str, list[str]] = {}
    for method in distinct(shown, "method"):
        refusing = distinct(where(shown, method=method, status="refused"), "problem")
        if refusing:
            methods.setdefault(places(refusing, problems), []).append(method)
    text = "; ".join(f"{', '.join(names)} at {named}" for named, names in methods.items())
    return [f"refused (reasons in the table): {text}"] if text else []


def unstable_note(shown: list[Row]) -> list[str]:
    """A line that names the rows whose timing was not stable."""
    unstable = [f"{row['method']} at {row['problem']}" for row in ok(shown) if row["stable"] == 0]
    return [f"timing not stable (see the table): {_named(list(dict.fromkeys(unstable)))}"] if unstable else []


def add_notes(figure: Figure, notes: Iterable[str]) -> None:
    """Write the notes under the figure, wrapped to its width; the layout makes room for them."""
    width = int(figure.get_figwidth() * 16.5)
    lines = [line for note in notes for line in textwrap.wrap(note, width, subsequent_indent="    ")]
    if lines:
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7, color="#333333", linespacing=1.35)


def add_legend(figure: Figure, title: str, handles: list) -> None:
    """The title with a legend under it, above the panels: each label once, in as many columns as fit."""
    once = {handle.get_label(): handle for handle in handles}
    widest = max(map(len, once), default=1)
    figure.legend(
        handles=list(once.values()), title=title, alignment="left", loc="outside upper left", fontsize=8,
        title_fontsize=10, ncols=max(1, min(len(once), int(figure.get_figwidth() * 14 / (widest + 7)))),
    )  # fmt: skip


def _named(labels: list[str]) -> str:
    more = f" and {len(labels) - NAMED_LABELS} more" if len(labels) > NAMED_LABELS else ""
    return ", ".join(labels[:NAMED_LABELS]) + more
