"""What the columns of the printed tables mean; those of the files are declared in `schema`."""

from __future__ import annotations

LEGEND = {
    "problem": "family and size n x m: n features, m constraints",
    "role": "embedded: a map into the set, part of the network; projection: nearest point of the set, "
    "afterwards; peer: another paper's layer, in its own process; yardstick: a plain Linear(n, n), and the "
    "floor, the least that looks at every constraint",
    "batch": "points in one call",
    "status": "ok, skipped (not installed), refused (does not apply to this set), failed, timeout or crashed",
    "us a sample": "time of one call, tensor in to tensor out, divided by the batch: median [quartiles]; "
    r"\* marks a timing that was not stable",
    "rounds": "interleaved calls that were timed",
    "solver us": "the part of the time inside the solver, where the solver is not torch",
    "x osqp": "time of `osqp` / time of the method, in the same run [95 % interval]; below 1: osqp is faster",
    "x best": "the same over the fastest projection of the cell that reached 1e-6, which is named",
    "x Linear": "time of the method / time of Linear(n, n) [95 % interval]",
    "x floor": "time of the method / time of `X @ A.T` and `X.clone()`, the least that looks at every "
    "constraint and returns a vector [95 % interval]",
    "x plain": "strict variants: time / time of the map without the guarantee [95 % interval]",
    "set-up ms": "from the constraints to the first call being possible",
    "peak MB": "peak memory of the call",
    "violation": "largest max(A x - b) of the answers, in float64, from the returned numbers",
    "infeasible": "share of the answers with any violation at all, rounding included; decided exactly",
    "distance": "projections and peers: largest relative distance to the exact projection",
    "within 1e-6": "projections and peers: share of the answers within 1e-6 of the exact projection and of "
    "the set, relative",
    "excess": "embedded maps that take a point to project: how far they move it, as a multiple of the "
    "distance to the exact projection (median); 1 is nearest",
}
"""The columns of the printed tables, in Markdown."""
