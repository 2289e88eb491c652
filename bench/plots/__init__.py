"""Figures: pure functions of the tables in `results/tables/<device>/`, as SVG and PNG.

    python -m bench plots                     # results/tables -> results/figures
A new figure is one file beside this one and one line in FIGURES.
"""

from constrained.errors import require

require("matplotlib", "bench")

from ._base import AbstractFigure, NothingToDrawError  # noqa: E402  (after the check)
from ._figures import FIGURES  # noqa: E402
from ._files import ENDINGS, figure_path  # noqa: E402
from ._make import make_plots, plots_main  # noqa: E402

__all__ = [
    "ENDINGS",
    "FIGURES",
    "AbstractFigure",
    "NothingToDrawError",
    "figure_path",
    "make_plots",
    "plots_main",
]
