"""How a method looks: assigned by its place among those of its role, so that a new one needs no entry here.

Embedded maps and networks have a colour each, first Okabe and Ito's, then Tol's (both safe for the
colour-blind); projections are black with hollow markers, yardsticks gray: a new projection does not
change the looks of a map. Markers and line styles differ as well, so that every figure reads in black
and white. The cycles have lengths without a common factor: the combination repeats only after all of
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

COLOURS = {
    "embedded": (
        "#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#882255", "#999933", "#332288",
        "#A0522D", "#44AA99", "#EE3377",
    ),
    "projection": ("#000000",),
    "peer": ("#5E2D91",),
    "yardstick": ("#8A8A8A",),
}  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
LINES = ("-", "--", "-.", ":", (0, (6, 1.5, 1, 1.5, 1, 1.5)))
FILLS = {"embedded": None, "projection": "#FFFFFF", "peer": "#E9DDF5", "yardstick": "#D5D5D5"}
"""The face of a marker by role; None is the method's own colour."""

RC = {
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 5,
    "svg.fonttype": "path",
    "svg.hashsalt": "constrained",
}


@dataclass(frozen=True)
class Style:
    """Colour, marker, line and marker face of one method or network."""

    colour: str
    marker: str
    line: Any
    face: str

    def options(self) -> dict[str, Any]:
        """Arguments for `Axes.plot` and `Axes.errorbar`."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.face,
            "markeredgecolor": self.colour,
        }


def styles(names: Iterable[str], roles: dict[str, str] | None = None) -> dict[str, Style]:
    """A style for each name, by its place among the names of its role; without roles, as embedded ones."""
    chosen, places = {}, dict.fromkeys(COLOURS, 0)
    for name in names:
        role = roles[name] if roles else "embedded"
        i, colours = places[role], COLOURS[role]
        places[role] += 1
        colour = colours[i % len(colours)]
        chosen[name] = Style(colour, MARKERS[i % len(MARKERS)], LINES[i % len(LINES)], FILLS[role] or colour)
    return chosen
