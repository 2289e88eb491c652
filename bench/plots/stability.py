"""How steady training is: gradient norms, and how much of the output the constraints hold at a bound."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from .._cells import distinct, where
from .._tables_io import Row
from ._base import AbstractFigure, add_legend, columns, require_rows
from ._tasks import compared, task_styles

PANELS = {
    "gradient_norm": "norm of the gradient",
    "active_share": "outputs with an active row",
    "infeasible_share": "outputs outside before projection",
}


class Stability(AbstractFigure):
    """Three panels a task, against epochs."""

    name, table = "stability", "learning"
    caption = (
        "While training, means of the seeds: median norm of the gradient in an epoch; share of the feasible "
        "validation outputs at which some inequality is active; share of the outputs that are outside before "
        "any projection, 0 throughout for what is strictly feasible."
    )

    def data(self, rows: list[Row]) -> list[Row]:
        """A row for each task, method and epoch."""
        return columns(compared(rows), "task", "method", "role", "epoch", *PANELS)

    def draw(self, rows: list[Row]) -> Figure:
        """Epoch 0 has no gradient."""
        known = [row for row in compared(rows) if row["epoch"] > 0 and row["gradient_norm"] > 0]
        require_rows(known, "with a gradient")
        tasks, chosen = distinct(known, "task"), task_styles(rows)
        figure = Figure(figsize=(9.5, 0.9 + 2.1 * len(tasks)), layout="constrained")
        handles = []
        for panels, task in zip(figure.subplots(len(tasks), 3, squeeze=False), tasks, strict=True):
            mine = where(known, task=task)
            for axes, (name, label) in zip(panels, PANELS.items(), strict=True):
                for i, (method, style) in enumerate(chosen.items()):
                    curve = [row for row in where(mine, method=method) if math.isfinite(row[name])]
                    options = style.options() | {"label": method, "markevery": (i % 5, 8), "markersize": 4}
                    if curve:
                        values = [[row[key] for row in curve] for key in ("epoch", name)]
                        handles += axes.plot(*values, **options)
                axes.set_title(f"{task}: {label}" if name == "gradient_norm" else label, loc="left")
                if name != "gradient_norm":
                    axes.set_ylim(-0.05, 1.05)
            panels[0].set_yscale("log")
        add_legend(figure, "Stability, against epochs", handles)
        return figure
