"""The gate: are the ratios still what they were, is everything still feasible, is nothing missing?

Compared are ratios of interleaved passes, of the embedded maps and of our own projection to Linear, to the
floor and to OSQP, with those in `results/reference.csv`; absolute times never. A row is slower only if the
whole 95 % interval of its change lies beyond the tolerance against most of its yardsticks, with the rounds
of all passes taken together, and if every pass says so: of one ratio alone the other side may have become
faster, as the floor does from process to process at small sizes. A cell with an undecided row is measured
again until the interval decides or the time is over; what is undecided then does not fail.

Feasibility, how far points are moved, and missing rows are not a matter of noise and fail at once; a
strict map fails for a single point outside.

The gate runs on one thread (OMP_NUM_THREADS=1, as `make regress` sets it): two threads that wait for
each other turn a busy neighbour into a slowdown of the embedded side alone.
"""

from ._command import main

__all__ = ["main"]
