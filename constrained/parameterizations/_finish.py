"""The strict map that other maps end with, where their own value is feasible up to rounding only."""

from __future__ import annotations

from ..analysis import analyse
from ..polyhedron import Polyhedron
from ._base import Strict
from ._interior import AbstractInterior
from .gauge import Gauge
from .shift import Shift


def strict_finish(polyhedron: Polyhedron, strict: Strict, blank: bool = False) -> AbstractInterior:
    """`Shift` where the set has an interior direction, else `Gauge`; `blank` for one without set-up."""
    if blank:  # its buffers tell which of the two it is
        return Gauge.without_setup(polyhedron, strict)
    return (Gauge if analyse(polyhedron).direction is None else Shift)(polyhedron, strict=strict)
