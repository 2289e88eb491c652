"""Whether a set is empty, what its affine hull is, and a point strictly inside every other row.

Cheapest first: the origin's nearest point in the hull of the equalities, a deepest direction (either
makes the set full-dimensional in that hull), an interior-point method, and only then linear programs,
which find the rows that are never strict; these join the equalities, and it starts again. A point is
accepted when each row has more slack than the rounding errors of its evaluation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import EngineError
from ..polyhedron import Polyhedron
from ._centre import central_point
from ._distance import deepest_direction, shortest
from ._programs import MarginProgram, largest_margin, never_strict
from ._rows import EPS, NOISE, TOLERANCE, Inequalities, Reduced, one_sided, reduce, unit


class Decision(NamedTuple):
    """The set inside its affine hull, a strict point `x0 + y`, and the deepest direction if it was sought."""

    reduced: Reduced
    y: np.ndarray
    direction: np.ndarray | None
    sought: bool


def decide(polyhedron: Polyhedron) -> Decision | None:
    """None if the set is empty."""
    rows = one_sided(polyhedron)
    equal = (polyhedron.lower == polyhedron.b)[rows.index]
    tolerance = TOLERANCE
    while (reduced := reduce(polyhedron, equal, tolerance)) is not None:
        found = _strict(reduced)
        if found is not None:
            return found
        program, scale = _program(reduced)
        if program.margin < -TOLERANCE - _noise(reduced) / scale:
            return None
        if is_strict(reduced, scale * program.y):
            return Decision(reduced, scale * program.y, None, sought=True)
        # Bounds that differ by less than 1e-8 are taken as equal; the hull has to allow for that.
        equal, tolerance = equal | _mask(rows, reduced, _never_strict(reduced, program, scale)), 1e-6
    return None


def _strict(reduced: Reduced) -> Decision | None:
    """A decision from the first strict point found."""
    start = np.zeros(reduced.F.shape[1])
    if is_strict(reduced, start):
        return Decision(reduced, start, None, sought=False)
    direction = direction_of(reduced)
    if direction is not None:
        # F (t e) <= -t <= r for t = max(-r); a little more makes it strict.
        reach = 2 * float(np.abs(reduced.r).max()) or 1.0
        return Decision(reduced, reach * direction, direction, sought=True)
    y = centre_of(reduced)
    return None if y is None else Decision(reduced, y, None, sought=True)


def centre_of(reduced: Reduced) -> np.ndarray | None:
    """A central point y of a set with a bounded margin; None where none was found strictly inside.

    The method starts from the point of the set nearest to the origin, so that where the set lies does
    not matter.
    """
    start = shortest(reduced.F, reduced.r)
    if start is None:
        return None
    y = start + central_point(reduced.F, np.maximum(reduced.r - reduced.F @ start, 0.0))
    return y if is_strict(reduced, y) else None


def direction_of(reduced: Reduced) -> np.ndarray | None:
    """The deepest direction; a row bounded on both sides leaves none."""
    if len(np.unique(reduced.rows.index)) < len(reduced.rows.index):
        return None
    e = deepest_direction(reduced.F)
    if e is None or not len(reduced.r):
        return e
    e = e - reduced.hull.Q.T @ (reduced.hull.Q @ e)
    return e / -(unit(reduced.rows.G, reduced.rows.h)[0] @ e).max()


def is_strict(reduced: Reduced, y: np.ndarray) -> bool:
    """Whether every row has more slack at `x0 + y` than its evaluation can be wrong by."""
    slack = reduced.r - reduced.F @ y
    size = np.linalg.norm(reduced.x0) + np.linalg.norm(y)
    error = 8 * EPS * (np.sqrt(len(y)) + 4) * (np.abs(reduced.r) + size)
    return bool((slack > error).all())


def _program(reduced: Reduced) -> tuple[MarginProgram, float]:
    """The largest margin by a linear program in the unit max|r|, and that unit."""
    scale = float(np.abs(reduced.r).max()) or 1.0
    return largest_margin(reduced.F, reduced.r / scale), scale


def _noise(reduced: Reduced) -> float:
    """How wrong the bounds r can be by rounding."""
    return NOISE * float(np.linalg.norm(reduced.x0))


def _never_strict(reduced: Reduced, program: MarginProgram, scale: float) -> np.ndarray:
    """The rows that hold with equality on the whole set, (q,) bool, at least one of them."""
    reach = min(1e8, scale / max(_noise(reduced), 1e-300))
    try:
        never = never_strict(reduced.F, reduced.r / scale, max(reach, 10.0))
    except EngineError:
        # The multipliers of the margin 0 say `sum lam_i slack_i = 0`: the slacks with lam_i > 0 are 0.
        never = program.multipliers > 1e-3 * program.multipliers.max()
    if not never.any():  # strict only by less than can be verified: the tightest rows count as equal
        slack = reduced.r / scale - reduced.F @ program.y
        never = slack <= max(float(slack.min()), TOLERANCE)
    return never


def _mask(rows: Inequalities, reduced: Reduced, never: np.ndarray) -> np.ndarray:
    """`never`, said of the rows inside the hull, as a mask of all one-sided rows."""
    chosen = set(reduced.rows.select(never).pairs())
    return np.array([pair in chosen for pair in rows.pairs()], dtype=bool)
