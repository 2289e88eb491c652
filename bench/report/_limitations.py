"""What the numbers do not say."""

from __future__ import annotations

from .._cells import ok
from .._tables_io import Tables
from ._document import Block, Bullets, Heading


def limitations(devices: list[Tables]) -> list[Block]:
    """The limits of the method, then those of these very tables."""
    return [Heading(2, "Limitations"), Bullets((*GENERAL, *(_specific(tables) for tables in devices)))]


GENERAL = (
    "Times are wall-clock on an ordinary machine: the processor's frequency, its temperature and other "
    "processes are not controlled, and torch on several threads suffers from a busy processor far more than "
    "a solver on one. Methods are measured interleaved and compared by ratios for that reason; "
    "absolute times do not carry over to another machine.",
    "Each method is called again and again on the same batch, and OSQP starts every solve from the last "
    "solution; but between two of its rounds dozens of other methods have run, and caches hold their data. "
    "A first call costs more, and so does set-up, which is shown apart.",
    "A projection is timed as a user calls it from torch: the conversion of tensors and the Python loop over "
    "the batch are inside. For small problems that is a large share; the column of the solver's own time "
    "shows how much. `batched_active_set` alone is compiled for batches where few rows can be active.",
    "Peers run in processes of their own, on as many threads, timed inside; they are tuned as their papers "
    "advise on points of another seed. Their promises differ (nearest point, some feasible point, a point "
    "closer to feasible), and so do their violations; HardNet-Aff and DC3's correction are our own "
    "implementations of the papers, which have no package.",
    "Solvers run with one setting for all problems (OSQP to 1e-6 with polishing, as in the paper) and were "
    "not tuned for each. Methods are not equally accurate: read the time beside violation and distance.",
    "The threads are those of the machine line. Solvers of one point at a time use one of them; the batched "
    "ones (`batched_active_set`, `proxqp_batch`, closed forms) use all. Spreading a batch over processes is "
    "not measured.",
    "An embedded method answers another question than projection: it maps to a feasible point, not to the "
    "nearest one. Where it takes a point to project, the excess says how far from nearest it is; rays take "
    "no point at all: in the grid they are fed random coefficients, whose points lie well inside the set, so "
    "that they show no violation; what they can represent is judged by the trained networks alone.",
    "Infeasible counts any violation above exactly 0, decided in rational arithmetic where float64 could "
    "not; the size of the violation tells whether it is more than rounding of the dtype. Equalities count as "
    "broken by their float64 residual; in floating point most of them hold up to rounding only, strict or "
    "not.",
    "The sets are a checkerboard cone, whose rows are orthogonal and which suits half_spaces best, and "
    "random cones and polyhedra with a known interior. Real constraints may be degenerate, badly scaled or "
    "sparse.",
    "The floor is two calls of torch, not a fused kernel: a map that fuses them could cost less, and for "
    "small batches it is the overhead of the calls that is compared. Rays look at no constraint and may be "
    "below it.",
    "Means and profiles weigh the problems of this suite equally, and a profile depends on which methods are "
    "compared. Exponents are fitted to few sizes, where the overhead of a call still counts. Set-up is "
    "measured once a cell, so a break-even is an order of magnitude.",
    "The training step has no optimiser and no other layers, so what the constrained layer adds there is "
    "larger than in a whole network.",
    "The networks of the main job are small, each is trained once and, in the short run, for fewer epochs "
    "than in the paper; differences between their errors have no interval.",
)


def _specific(tables: Tables) -> str:
    """What is particular to one device's tables."""
    rows = tables.find("inference")
    measured = ok(rows)
    unstable = sum(row["stable"] == 0 for row in measured)
    cores = (tables.machine or {}).get("cores", "an unknown number of")
    return (
        f"{tables.device}: {cores} cores; {len(measured)} of {len(rows)} cells have a number, {unstable} "
        "of them with a spread that is too wide to be called stable."
    )
