"""What accuracy costs: every solver at its own tolerance, at 1e-6 and at 1e-9, as in qpbenchmark.

Measured in float64, so that the dtype of the answer hides nothing; modelling tools around a solver that is
there bare are left out.
"""

from __future__ import annotations

from baselines import PROJECTIONS

from .methods import AbstractMethod, Projected

SETTINGS: tuple[AbstractMethod, ...] = tuple(
    Projected(entry, setting) for entry in PROJECTIONS if not entry.wraps for setting in entry.settings
)
"""Named `<projection>@<setting>`."""
