"""The ELBO of every autoencoder with its interval over the seeds, and the difference to its reference."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from .._cells import ok
from .._tables_io import Row
from ._base import AbstractFigure, add_notes, columns, require_rows
from ._style import Style, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS = {"images": "constraint on images", "codes": "constraint on codes"}


class VaeElbo(AbstractFigure):
    """Two rows of panels, images and codes; on the left the ELBO, on the right the paired difference."""

    name, table = "vae_elbo", "vae"
    caption = (
        "Validation ELBO (filled) and test ELBO (hollow) of each autoencoder, mean over seeds with 95 % "
        "intervals; on the right the difference to the reference with the same seed, right of the line: "
        "better. Images are judged after they are made feasible; the unconstrained network is shown with "
        "the codes, to which it is the reference."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each method."""
        names = ("elbo", "difference")
        values = [f"{s}_{n}{e}" for s in ("val", "test") for n in names for e in ("", "_low", "_high")]
        return columns(_methods(rows), "method", "reference", *values)

    def draw(self, rows: list[Row]) -> Figure:
        """Methods from top to bottom in the table's order."""
        methods = [row for row in _methods(rows) if math.isfinite(row["val_elbo"])]
        require_rows(methods, "with an ELBO")
        roles = {row["method"]: row["role"] for row in methods}
        chosen = styles(roles, roles)
        groups = {name: [row for row in methods if _group(row) == name] for name in GROUPS}
        groups = {name: group for name, group in groups.items() if group}
        heights = [len(group) + 1 for group in groups.values()]
        figure = Figure(figsize=(9, 0.8 + 0.3 * sum(heights)), layout="constrained")
        panels = figure.subplots(len(groups), 2, squeeze=False, height_ratios=heights)
        for (left, right), (name, group) in zip(panels, groups.items(), strict=True):
            _panel(left, group, chosen, "elbo")
            _panel(right, group, chosen, "difference")
            left.set_title(f"{GROUPS[name]}: ELBO (nats)", loc="left")
            right.set_title(f"minus that of {group[0]['reference']} (nats)", loc="left")
            right.axvline(0, color="#000000", linewidth=1)
            left.set_yticks(range(len(group)), [row["method"] for row in group])
            right.set_yticks([])
            for axes in (left, right):
                axes.set_ylim(len(group) - 0.5, -0.5)
                axes.tick_params(axis="y", length=0)
        add_notes(figure, _notes(rows, methods))
        return figure


def _methods(rows: list[Row]) -> list[Row]:
    """One row a method: a projection at test time has one for each projection, with the same ELBO."""
    return list({row["method"]: row for row in reversed(ok(rows))}.values())[::-1]


def _group(row: Row) -> str:
    return "codes" if row["role"] == "yardstick" else row["judged"]


def _panel(axes: Axes, group: list[Row], chosen: dict[str, Style], what: str) -> None:
    for i, row in enumerate(group):
        style = chosen[row["method"]]
        reference = what == "difference" and row["method"] == row["reference"]
        for split, shift in (("val", -0.12), ("test", 0.12)):
            value, low, high = (row[f"{split}_{what}{end}"] for end in ("", "_low", "_high"))
            if reference or not math.isfinite(value):
                continue
            options = style.options() | {"linestyle": "none", "markersize": 5}
            options |= {"markerfacecolor": style.colour if split == "val" else "#FFFFFF"}
            if math.isfinite(low):
                axes.plot([low, high], [i + shift] * 2, color=style.colour, linewidth=1.4)
            axes.plot(value, i + shift, **options)


def _notes(rows: list[Row], methods: list[Row]) -> list[str]:
    seeds = sorted({int(row["seeds"]) for row in methods})
    failed = [f"{row['method']}: failed, {row['reason']}" for row in rows if row["status"] == "failed"]
    few = " No intervals: one seed has none." if seeds == [1] else ""
    return [f"Seeds: {', '.join(map(str, seeds))}.{few}", *failed]
