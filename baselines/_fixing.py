"""A box cut by rows with disjoint supports, compiled, one point after the other: Newton, variable fixing.

    min_x 1/2 ||x - y||^2,  low <= x <= high,  w x = t;     x = clip(y - lam w, low, high),  w > 0

With I the features that are not fixed, all but those that stay on a bound whatever is left to do:

    lam = (sum_I w y - (t - sum_fixed w x)) / sum_I w^2,
    below = sum_I w (low - (y - lam w))^+,  above = sum_I w ((y - lam w) - high)^+

Newton's method, kept between what is known to be on either side, finds the root in some five passes. What it
leaves, where the function is flat, goes through rounds of fixing. If below > above the sum at lam is too
large, the root lies above lam, and what is below its bound there stays on it; if above is larger, what is
above. lam is the root where both are equal. Each round takes time |I| and fixes at least one feature, in
practice half of them: O(S) a row of S features.
Source: Cominetti, Mascarenhas, Silva, A Newton's method for the continuous quadratic knapsack problem,
Mathematical Programming Computation 6, 2014; Bitran and Hax, Disaggregation and resource allocation using
convex knapsack problems with bounded variables, Management Science 27(4), 1981; Kiwiel, Variable fixing
algorithms for the continuous quadratic knapsack problem, Journal of Optimization Theory and Applications
136, 2008.
"""

# pyright: reportUntypedFunctionDecorator=false

from __future__ import annotations

import numpy as np

from ._goldfarb_idnani import compiled

STEPS = 12
"""Of Newton's method."""
ROUNDING = 1e-15
"""Of the sums, relative, up to which below and above count as equal."""


@compiled
def _root(w, v, low, high, count, rest, raised):
    """lam for `count` features, overwritten as they are fixed; `raised`: whether lam is positive."""
    kept = 0
    for i in range(count):  # those on a bound that they will not leave
        stays = v[i] <= low[i] if raised else v[i] >= high[i]
        if stays:
            rest -= w[i] * (low[i] if raised else high[i])
        else:
            w[kept], v[kept], low[kept], high[kept] = w[i], v[i], low[i], high[i]
            kept += 1
    count, lam = kept, 0.0
    while count > 0:
        product, square = 0.0, 0.0
        for i in range(count):
            product += w[i] * v[i]
            square += w[i] * w[i]
        lam = (product - rest) / square
        below, above = 0.0, 0.0
        for i in range(count):
            x = v[i] - lam * w[i]
            below += w[i] * max(low[i] - x, 0.0)
            above += w[i] * max(x - high[i], 0.0)
        if abs(below - above) <= ROUNDING * (abs(product) + abs(rest)):
            break
        kept = 0
        for i in range(count):
            x = v[i] - lam * w[i]
            if below > above:
                if x <= low[i]:
                    rest -= w[i] * low[i]
                    continue
            elif x >= high[i]:
                rest -= w[i] * high[i]
                continue
            w[kept], v[kept], low[kept], high[kept] = w[i], v[i], low[i], high[i]
            kept += 1
        if kept == count:
            break
        count = kept
    return lam


@compiled
def _newton(w, v, low, high, count, target):
    """lam by Newton's method from 0, kept between what is known to be on either side; whether it is found.

    A pass has no branches, so that it runs in vector registers: five of them cost less than one round
    of fixing. Where the function is flat, or after STEPS, it is left to that.
    """
    lam, left, right = 0.0, -np.inf, np.inf
    above, below = 0.0, 0.0
    for _ in range(STEPS):
        total, slope, size = 0.0, 0.0, 0.0
        for i in range(count):
            a = w[i]
            x = v[i] - lam * a
            clipped = x if x > low[i] else low[i]
            clipped = clipped if clipped < high[i] else high[i]
            part = a * clipped
            total += part
            size += part if part > 0.0 else -part
            slope += a * a if clipped == x else 0.0
        excess = total - target
        if abs(excess) <= ROUNDING * (size + abs(target)):
            return lam, True
        if excess > 0.0:
            left, above = lam, excess
        else:
            right, below = lam, excess
        if slope == 0.0:
            break
        lam += excess / slope
        if not left < lam < right:
            lam = left + (right - left) * (above / (above - below))
            if not left < lam < right:  # also where one of them is infinite
                break
    return lam, False


@compiled
def nearest(starts, index, a, weight, sign, low, high, lower, upper, bottom, top, y_all, x_all):
    """The nearest points, written to the last argument, in float64 inside.

    Args:
        starts: (R + 1,), where each row begins in the next six, and where the last one ends.
        index, a, weight, sign, low, high: (k,), features, a, |a|, the sign of a, bounds of `sign x`.
        lower, upper: (R,), of the rows.
        bottom, top: (n,), bounds of the features.
        y_all, x_all: (q, n).
    """
    size = 0
    for r in range(len(lower)):
        size = max(size, starts[r + 1] - starts[r])
    w, v, down, up = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    for p in range(len(y_all)):
        y, x = y_all[p], x_all[p]
        for j in range(len(y)):
            x[j] = min(max(y[j], bottom[j]), top[j])
        for r in range(len(lower)):
            first, count, total = starts[r], starts[r + 1] - starts[r], 0.0
            for k in range(first, first + count):
                total += a[k] * x[index[k]]
            if lower[r] <= total <= upper[r]:
                continue
            for i in range(count):
                k = first + i
                w[i], v[i], down[i], up[i] = weight[k], sign[k] * np.float64(y[index[k]]), low[k], high[k]
            raised = total > upper[r]
            target = upper[r] if raised else lower[r]
            lam, found = _newton(w, v, down, up, count, target)
            if not found:
                lam = _root(w, v, down, up, count, target, raised)
            for i in range(count):
                k = first + i
                moved = sign[k] * np.float64(y[index[k]]) - lam * weight[k]
                x[index[k]] = sign[k] * min(max(moved, low[k]), high[k])
