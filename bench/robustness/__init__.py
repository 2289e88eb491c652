"""What every method does with input that it was not made for: bad sets, bad numbers, degenerate sets.

    rows = robustness_rows(["osqp", "gauge"])      # one row a method and input, see `judge`
    run(Path("results/raw"))                       # all of them into a run file of kind "robustness"
    python -m bench robustness                     # the same from the command line, once it is a command

No time is measured. The judge works in float64 from the set and the returned numbers, never from what a
method says of its own result; what it says counts as a flag.
"""

from ._cases import CASES
from ._judge import OUTCOMES, judge
from ._methods import METHODS
from ._run import COLUMNS, KIND, main, robustness_rows, robustness_table, run

__all__ = [
    "CASES",
    "COLUMNS",
    "KIND",
    "METHODS",
    "OUTCOMES",
    "judge",
    "main",
    "robustness_rows",
    "robustness_table",
    "run",
]
