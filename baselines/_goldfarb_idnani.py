"""Dual active set in the coordinates of the rows, compiled, for points that are solved one after the other.

    min_u 1/2 u^T G u - e^T u,  u_i >= 0 where only the upper bound is finite,     s = e - G u,  s in [-w, 0]

The constants are those of `Dual`: G the Gram matrix, e = A y - h, w the width of a row. Each step takes the
row that is exceeded most and raises its multiplier, the active rows W staying on their bounds, until it is
met (the row joins W) or the multiplier of an active row is 0 (that row leaves). Kept is the inverse H of
G_WW, bordered when a row joins and reduced when one leaves, k^2 operations for k active rows; the residuals
of all m rows cost k m a step. One step of refinement ends it.

Compiled by numba at the first use of a process, and kept on disk by it. Runs without Python's lock, so that
parts of a batch run in as many threads as torch uses.
Source: Goldfarb and Idnani, A numerically stable dual method for solving strictly convex quadratic programs,
Mathematical Programming 27, 1983, here with H = I, for which the Gram matrix says all. The start, several
rows at once where their multipliers come out positive, is ours.
"""

# pyright: reportUntypedFunctionDecorator=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

DEPENDENT = 1e-10
"""What is left of a unit row across the active ones, squared, from which it counts as one of their span."""
START = 0.5
"""The same for a row to be part of the start."""
MOST_START = 48
"""Rows up to which the start has all exceeded rows, if no more than features; otherwise it is empty."""
ROUNDING = 1e-12
"""What counts as not exceeded, relative to the point and the bound."""
PASSES = 3
"""Of steps and refinement, until no row is exceeded."""
MOST_STEPS = 20
"""For each row."""

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz"},
}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled at the first call, and kept on disk where there is a folder for it."""
    try:
        return njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache may anything be written
        return njit(**OPTIONS)(function)


@compiled
def _across(gram, H, W, side, k, p, sign, g, d):
    """`d = H G_Wp` in the signs of the rows; what is left of row p across W, squared."""
    for j in range(k):
        g[j] = sign * side[j] * gram[p, W[j]]
    rest = gram[p, p]
    for i in range(k):
        row = H[i]
        total = 0.0
        for j in range(k):
            total += row[j] * g[j]
        d[i] = total
        rest -= total * g[i]
    return rest


@compiled
def _join(H, k, d, rest):
    """The inverse with one more row, from `_across`."""
    for i in range(k):
        row = H[i]
        c = d[i] / rest
        for j in range(k):
            row[j] += c * d[j]
        row[k] = -c
        H[k, i] = -c
    H[k, k] = 1.0 / rest


@compiled
def _leave(H, W, side, v, k, j, h):
    """The inverse without active row j; the last one takes its place."""
    for i in range(k):
        h[i] = H[j, i]
    for i in range(k):
        row = H[i]
        c = -h[i] / h[j]
        for col in range(k):
            row[col] += c * h[col]
    last = k - 1
    for i in range(k):
        H[j, i] = H[last, i]
    for i in range(k):
        H[i, j] = H[i, last]
    H[j, j] = H[last, last]
    W[j], side[j], v[j] = W[last], side[last], v[last]


@compiled
def _residuals(gram, e, W, side, v, k, s):
    """`s = e - G u`."""
    for i in range(len(e)):
        s[i] = e[i]
    for j in range(k):
        row = gram[W[j]]
        c = -side[j] * v[j]
        for i in range(len(e)):
            s[i] += c * row[i]


@compiled
def _solve(H, W, side, width, s, k, g, v, add):
    """`v += H s_W`, or `v = H s_W` without `add`; the position of the least entry."""
    for j in range(k):
        g[j] = s[W[j]] if side[j] > 0 else -s[W[j]] - width[W[j]]
    worst = 0
    for i in range(k):
        row = H[i]
        total = 0.0
        for j in range(k):
            total += row[j] * g[j]
        v[i] = v[i] + total if add else total
        if v[i] < v[worst]:
            worst = i
    return worst


@compiled
def _most_exceeded(s, width, margin, active, two_sided):
    """(row, sign) of the row that is exceeded most, -1 where none is."""
    row, sign, most = -1, 1.0, 0.0
    for i in range(len(s)):
        if not active[i]:
            if s[i] > margin[i] and s[i] > most:
                row, sign, most = i, 1.0, s[i]
            if two_sided and -s[i] - width[i] > margin[i] and -s[i] - width[i] > most:
                row, sign, most = i, -1.0, -s[i] - width[i]
    return row, sign


@compiled
def _kkt(s, u, width, bounds, size):
    """The KKT residual, see `_pivoting.kkt_residual`; NaN where something overflowed."""
    worst = 0.0
    for i in range(len(s)):
        wide = size + bounds[i]
        below = -s[i] - width[i]
        if u[i] > 0:
            gap = abs(s[i])
        else:
            gap = wide if np.isinf(width[i]) else abs(below)
        primal, dual = max(s[i], below) / wide, abs(u[i]) / size * (gap / wide)
        if not (wide < np.inf and primal < np.inf and dual < np.inf):
            return np.nan
        worst = max(worst, primal, dual)
    return worst


@compiled
def multipliers(gram, width, bounds, two_sided, start, e_all, norms, u_all, kkt_all):
    """The multipliers and KKT residuals of points, written to the last two arguments.

    Args:
        gram: (m, m), rows of unit norm.
        width: (m,), infinite for rows of one side.
        bounds: (m,), |h|.
        two_sided: whether any width is finite.
        start: whether to begin with all exceeded rows.
        e_all: (q, m).
        norms: (q,) of the points.
        u_all: (q, m).
        kkt_all: (q,).
    """
    m = len(gram)
    H, s, margin = np.empty((m + 1, m + 1)), np.empty(m), np.empty(m)
    W, side, active = np.empty(m + 1, np.int64), np.empty(m + 1), np.empty(m, np.bool_)
    v, d, g = np.empty(m + 1), np.empty(m + 1), np.empty(m + 1)
    for point in range(len(e_all)):
        e = e_all[point]
        size = 0.0
        for i in range(m):
            active[i] = False
            size = max(size, e[i], -e[i] - width[i])
        size = max(size + norms[point], 2.3e-308)
        for i in range(m):
            margin[i] = ROUNDING * (size + bounds[i])
        k = 0
        if start:
            k = _first_rows(gram, H, W, side, active, width, margin, two_sided, e, g, d, v)
        _residuals(gram, e, W, side, v, k, s)
        for _ in range(PASSES):
            k = _steps(gram, H, W, side, active, width, margin, two_sided, s, g, d, v, k)
            _residuals(gram, e, W, side, v, k, s)
            _solve(H, W, side, width, s, k, g, v, True)
            _residuals(gram, e, W, side, v, k, s)
            if _most_exceeded(s, width, margin, active, two_sided)[0] < 0:
                break
        u = u_all[point]
        for i in range(m):
            u[i] = 0.0
        for j in range(k):
            u[W[j]] = side[j] * v[j]
        kkt_all[point] = _kkt(s, u, width, bounds, size)


@compiled
def _first_rows(gram, H, W, side, active, width, margin, two_sided, e, g, d, v):
    """All exceeded rows that are well apart, less those whose multiplier is below 0; how many."""
    k = 0
    for i in range(len(e)):
        above, below = e[i] > margin[i], two_sided and -e[i] - width[i] > margin[i]
        if above or below:
            sign = 1.0 if above else -1.0
            rest = _across(gram, H, W, side, k, i, sign, g, d)
            if rest > START:
                _join(H, k, d, rest)
                W[k], side[k], active[i] = i, sign, True
                k += 1
    while k > 0:
        worst = _solve(H, W, side, width, e, k, g, v, False)
        if v[worst] >= 0:
            break
        active[W[worst]] = False
        _leave(H, W, side, v, k, worst, d)
        k -= 1
    return k


@compiled
def _steps(gram, H, W, side, active, width, margin, two_sided, s, g, d, v, k):
    """Steps until no row is exceeded, or none is possible; the number of active rows."""
    m = len(s)
    p, sign, raised = -1, 1.0, 0.0
    for _ in range(MOST_STEPS * m):
        if p < 0:
            p, sign = _most_exceeded(s, width, margin, active, two_sided)
            raised = 0.0
            if p < 0:
                break
        rest = _across(gram, H, W, side, k, p, sign, g, d)
        exceeded = s[p] if sign > 0 else -s[p] - width[p]
        step, block = np.inf, -1
        if rest > DEPENDENT:
            step = exceeded / rest
        for j in range(k):
            if d[j] > 0 and v[j] < step * d[j]:
                step, block = v[j] / d[j], j
        if not step < np.inf:
            break
        row = gram[p]
        for i in range(m):
            s[i] -= step * sign * row[i]
        for j in range(k):
            row = gram[W[j]]
            c = step * d[j] * side[j]
            for i in range(m):
                s[i] += c * row[i]
            v[j] -= step * d[j]
        raised += step
        if block < 0:
            _join(H, k, d, rest)
            W[k], side[k], v[k], active[p] = p, sign, raised, True
            k += 1
            p = -1
        else:
            active[W[block]] = False
            _leave(H, W, side, v, k, block, d)
            k -= 1
    return k
