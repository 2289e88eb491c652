"""What is worked out from the tables: pure functions of rows, shared by figures and reports.

An analysis is one file: rows of a table in, plain rows out, numbers unrounded, NaN where there is none.
A figure draws its rows and a page prints them, so that both say the same.
"""

from .break_even import break_even
from .feasibility import feasibility
from .growth import growth
from .machines import comparison
from .means import means
from .pareto import pareto
from .profiles import profiles, shares
from .settings import main_setting, other_settings
from .targets import targets

__all__ = [
    "break_even",
    "comparison",
    "feasibility",
    "growth",
    "main_setting",
    "means",
    "other_settings",
    "pareto",
    "profiles",
    "shares",
    "targets",
]
