"""Whether points satisfy `lower <= A x <= b` as rational numbers: no tolerance, no rounding.

Every floating-point number is a rational number, and so is `a x - b`. Three steps, each of which is
certain of what it decides and leaves the rest to the next:

1. `a x - b` in float64 with a rigorous bound of its error, all rows and points in one product. In any order
   of summation, with or without fused multiply-add (Higham, Accuracy and Stability, sec. 3.1 and 2.1),
       |fl(a x - b) - (a x - b)| <= gamma_{n+2} (|a| |x| + |b|) + (n + 2) eta,    gamma_k = k u / (1 - k u),
   u = 2^-53, eta the largest error of an operation that underflows; |a| |x| <= ||a||_1 max_j |x_j|.
2. Each product as an exact sum of two doubles (Veltkamp's splitting, Dekker's product), all of them and
   -b summed from left to right if that rounds nowhere, else by `math.fsum`, which rounds only once: the
   sign is right. After scaling by powers of two, and only where no product can round, overflow or underflow.
3. `fractions.Fraction`.

NumPy alone; imports nothing of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import fsum

import numpy as np

U = 2.0**-53
ETA = 2.0**-1022  # twice the largest subnormal's worth: also right where subnormals are flushed to zero
SPLIT = 2.0**27 + 1
SMALL = 2.0**-450  # products of numbers between SMALL and 1 have all their bits above 2^-1074
BLOCK = 1 << 20  # entries that are looked at together


@dataclass
class Count:
    """How many (row, point) pairs each step decided."""

    filtered: int = 0
    summed: int = 0
    fractions: int = 0


def exactly_feasible(
    A: np.ndarray,  # (m, n)
    b: np.ndarray,  # (m,), infinite for no bound
    lower: np.ndarray,  # (m,)
    x,  # (q, n), array or tensor of any floating dtype
    count: Count | None = None,
) -> np.ndarray:  # (q,)
    """For each point, whether it satisfies every row exactly; never for a point with NaN or infinity."""
    G, h = one_sided(A, b, lower)
    points = as_float64(x)
    count = Count() if count is None else count
    answer = np.isfinite(points).all(1)
    block = max(1, BLOCK // points.shape[1])
    for start in range(0, len(points), block):
        part = slice(start, start + block)
        answer[part] &= _feasible_block(G, h, np.where(answer[part, None], points[part], 0.0), count)
    return answer


def exact_excess(A: np.ndarray, b: np.ndarray, x) -> np.ndarray:  # (m, n), (m,), (q, n) -> (q, m)
    """`A x - b` rounded once, correctly; slow, for few finite points."""
    points = as_float64(x)
    rows, samples = (index.ravel() for index in np.indices((len(A), len(points))))
    return _exact(A, b, points, rows, samples, Count()).reshape(len(A), len(points)).T


def one_sided(A: np.ndarray, b: np.ndarray, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(G, h)` with `{lower <= A x <= b} = {G x <= h}`."""
    A, b, lower = (np.asarray(v, dtype=np.float64) for v in (A, b, lower))
    above, below = b < np.inf, lower > -np.inf
    return np.concatenate([A[above], -A[below]]), np.concatenate([b[above], -lower[below]])


def as_float64(x) -> np.ndarray:
    """A tensor or array of points as float64, which holds every narrower floating number exactly."""
    if hasattr(x, "detach"):
        x = x.detach().cpu().double().numpy()
    return np.asarray(x, dtype=np.float64)


def _feasible_block(G: np.ndarray, h: np.ndarray, x: np.ndarray, count: Count) -> np.ndarray:
    with np.errstate(all="ignore"):  # what overflows is left undecided
        excess = x @ G.T - h
        size = np.abs(x).max(1, initial=0)[:, None] * np.abs(G).sum(1) + np.abs(h)
        # Twice gamma_{n+2}: the bound itself is computed in floating point.
        error = 2 * (G.shape[1] + 4) * (U * size + ETA)
        above, inside = excess > error, excess <= -error
        known = (above | inside) & np.isfinite(error)
    broken = (above & known).any(1)
    samples, rows = np.nonzero(~known & ~broken[:, None])
    count.filtered += known.size - len(samples)
    values = _exact(G, h, x, rows, samples, count)
    broken[samples[values > 0]] = True
    return ~broken


def _exact(
    G: np.ndarray, h: np.ndarray, x: np.ndarray, rows: np.ndarray, samples: np.ndarray, count: Count
) -> np.ndarray:  # (k,), the pairs
    """`g x - h` for pairs of a row and a point, rounded once."""
    values = np.empty(len(rows))
    step = max(1, BLOCK // max(1, G.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        values[part] = _sums(G[rows[part]], h[rows[part]], x[samples[part]], count)
    return values


def _sums(g: np.ndarray, h: np.ndarray, x: np.ndarray, count: Count) -> np.ndarray:  # (k, n), (k,), (k, n)
    with np.errstate(all="ignore"):
        g_scaled, g_power, g_exact = _scaled(g)
        x_scaled, x_power, x_exact = _scaled(x)
        power = g_power + x_power
        h_scaled = np.ldexp(h, power)
        h_exact = (np.abs(h_scaled) < 2.0**900) & (np.ldexp(h_scaled, -power) == h)
        product, rest = two_product(g_scaled, x_scaled)
        terms = np.concatenate([product, rest, -h_scaled[:, None]], 1)
        values, plain = running_sum(terms)
    exact = g_exact & x_exact & h_exact
    for k in np.flatnonzero(~(plain & exact)).tolist():
        if exact[k]:
            values[k] = fsum(terms[k].tolist())
        else:
            values[k] = as_float(plain_excess(g[k], h[k], x[k]))
    with np.errstate(all="ignore"):
        back = np.ldexp(values, np.where(exact, -power, 0))
    # Scaling back may underflow: the sign is what matters.
    back[(back == 0) & (values != 0)] = np.copysign(5e-324, values[(back == 0) & (values != 0)])
    count.summed += int(exact.sum())
    count.fractions += int((~exact).sum())
    return back


def _scaled(v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # (k, n)
    """`v` times a power of two, entries below 1; the power; whether products are then free of rounding."""
    power = -np.frexp(np.abs(v).max(1, initial=0))[1]
    scaled = np.ldexp(v, power[:, None])
    large = (np.abs(scaled) >= SMALL) | (scaled == 0)
    return scaled, power, (large & (np.ldexp(scaled, -power[:, None]) == v)).all(1)


def two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(p, e)` with `a b = p + e` exactly and `p` the rounded product; NumPy fuses nothing."""
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def running_sum(terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # (k, n) -> (k,), (k,)
    """Sums from left to right, and whether no addition was rounded (Knuth's two-sum): ties are many."""
    total, plain = np.zeros(len(terms)), np.ones(len(terms), dtype=bool)
    for term in np.ascontiguousarray(terms.T):
        new = total + term
        part = new - total
        plain &= (total - (new - part)) + (term - part) == 0
        total = new
    return total, plain


def _split(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    c = SPLIT * a
    high = c - (c - a)
    return high, a - high


def plain_excess(g: np.ndarray, h: float, x: np.ndarray) -> Fraction:
    """`g x - h` by the book."""
    pairs = zip(g.tolist(), x.tolist(), strict=True)
    return sum((Fraction(a) * Fraction(v) for a, v in pairs), -Fraction(float(h)))


def as_float(value: Fraction) -> float:
    """The nearest double, away from 0 where that would lose the sign, infinite beyond the range."""
    try:
        near = float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
    return near if near or not value else (5e-324 if value > 0 else -5e-324)
