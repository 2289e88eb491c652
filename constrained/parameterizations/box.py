"""Box: each feature between its own two bounds, where every row has a single non-zero entry.

    x = min(max(z, low), high),    low_j = max of h_i / g_ij over g_ij < 0,  high_j = min over g_ij > 0

for the rows G x <= h of both signs. The orthogonal projection: onto the set, the identity on it.
The bounds are the closest numbers of the dtype that lie inside: as a rule h_i / g_ij is not one of
its numbers, and the nearest one could exceed the row. So rows hold exactly wherever the dtype has a
number between the bounds; strict mode refuses a dtype that has none. A feature that an equality
fixes is the nearest number that keeps its inequalities, at most 1 ulp away. Differentiable except
on the bounds. Cost: one pass over the point; strict mode four, to look for NaN and infinity.
Source: Boyd and Vandenberghe, Convex Optimization, sec. 8.1.1; that rounding inward is exact is
proved by `_down`, in integers.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import frexp, inf, isinf, ldexp
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import UnsupportedSetError
from ..polyhedron import Polyhedron
from ._base import AbstractParameterization
from ._gradient import inward_clamp, reaches_inward
from ._guard import only_finite

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""The rows of the tables of bounds, the finest first."""


class _Numbers(NamedTuple):
    """The numbers k 2^s with |k| <= 2^digits, s >= lowest, none above the largest."""

    digits: int
    lowest: int
    largest: int

    @classmethod
    def of(cls, dtype: torch.dtype) -> _Numbers:
        """Those of a floating dtype."""
        info = torch.finfo(dtype)
        digits = 2 - frexp(info.eps)[1]  # eps = 2^(1 - digits)
        return cls(digits, frexp(info.smallest_normal)[1] - digits, int(info.max))


Rounding = Callable[[float, float, _Numbers], float]


class Box(AbstractParameterization):
    """`z -> z.clamp(low, high)`.

    Args:
        polyhedron: every row of A and of C with exactly one entry that is not 0.
        strict, check_finite, gradient: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). In strict mode NaN or infinity makes its whole sample NaN.

    Raises:
        UnsupportedSetError: a row with several entries or none; an empty set; in strict mode, at
            the call, a dtype without a number between two bounds, at set-up if none of them has one.
    """

    name, surjective, projection, citation = "box", True, True, "boyd2004"
    inward = True
    low: Tensor
    high: Tensor

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        low, high = _tables(polyhedron)
        self._note(low, high)
        self.constant("low", low)  # (4, n): a row for each of DTYPES
        self.constant("high", high)
        if self.strict:
            self._check_dtype(DTYPES[0])

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """The size, and which dtypes strict mode refuses."""
        self._note(*_tables(polyhedron))

    def _note(self, low: np.ndarray, high: np.ndarray) -> None:
        self.in_features = low.shape[1]
        bad = (low > high) | (low == inf) | (high == -inf)  # (4, n)
        self.refused = {DTYPES[i]: int(bad[i].argmax()) for i in np.flatnonzero(bad.any(1))}

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """One entry in each row, and no feature with a lower bound above its upper one."""
        finite = np.isfinite(polyhedron.b) | np.isfinite(polyhedron.lower)
        for name, rows, used in (("A", polyhedron.A, finite), ("C", polyhedron.C, True)):
            entries = np.count_nonzero(rows, axis=1)
            if (wrong := np.flatnonzero((entries != 1) & used)).size:
                i = int(wrong[0])
                return f"row {i} of {name} has {entries[i]} non-zero entries; a box has one in each row"
        low, high = _bounds(polyhedron)
        if (wrong := np.flatnonzero(low > high)).size:
            j = int(wrong[0])
            return f"it is empty: feature {j} must be at least {low[j]:g} and at most {high[j]:g}"
        return None

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """The clamp, with the bounds of the dtype of `z`."""
        return self._clamp(z, z.dtype)

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """The clamp with bounds that are numbers of `dtype`: rounding cannot lead past them."""
        self._check_dtype(dtype)
        return only_finite(self._clamp(z, dtype).to(dtype), z)

    def _clamp(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        row = DTYPES.index(dtype)
        if reaches_inward(self.gradient):
            return inward_clamp(z, self.low[row], self.high[row])
        return torch.clamp(z, self.low[row], self.high[row])

    def _check_dtype(self, dtype: torch.dtype) -> None:
        if dtype in self.refused:
            raise UnsupportedSetError(
                f"method 'box' has no strict mode for this set in {dtype}: no number of this dtype lies "
                f"between the bounds of feature {self.refused[dtype]}; widen them or use a wider dtype"
            )


def _bounds(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """low and high, (n,) each, in float64, each quotient rounded to nearest; equalities included."""
    G, h = polyhedron.inequalities()
    C, d = polyhedron.C, polyhedron.d
    G, h = np.concatenate([G, C, -C]), np.concatenate([h, d, -d])
    feature, g = _entries(G)
    with np.errstate(over="ignore"):
        return _tightest(feature, g, h / g, polyhedron.n)


def _tables(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """low and high, (4, n) each, row i in the numbers of DTYPES[i] and exactly inside the rows."""
    G, h = polyhedron.inequalities()
    feature, g = _entries(G)
    fixed, c = _entries(polyhedron.C)
    tables = []
    for dtype in DTYPES:
        low, high = _tightest(feature, g, _divide(h, g, dtype, _inward), polyhedron.n)
        value = np.clip(_divide(polyhedron.d, c, dtype, _nearest), low[fixed], high[fixed])
        np.maximum.at(low, fixed, value)
        np.minimum.at(high, fixed, value)
        tables.append((low, high))
    low, high = zip(*tables, strict=True)
    return np.array(low), np.array(high)


def _entries(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # (q, n) -> (q,), (q,)
    """Where the only entry of each row is, and its value."""
    feature = np.abs(rows).argmax(1)
    return feature, rows[np.arange(len(rows)), feature]


def _tightest(
    feature: np.ndarray, g: np.ndarray, quotient: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """low and high, (n,) each, from rows `g x_feature <= g quotient`, (q,) each."""
    low, high = np.full(n, -inf), np.full(n, inf)
    np.maximum.at(low, feature[g < 0], quotient[g < 0])
    np.minimum.at(high, feature[g > 0], quotient[g > 0])
    return low, high


def _divide(h: np.ndarray, g: np.ndarray, dtype: torch.dtype, rounded: Rounding) -> np.ndarray:
    """`h / g` in the numbers of `dtype`; a pair that occurs often is divided once."""
    pairs, numbers = list(zip(h.tolist(), g.tolist(), strict=True)), _Numbers.of(dtype)
    known = {pair: rounded(*pair, numbers) for pair in set(pairs)}
    return np.array([known[pair] for pair in pairs], dtype=np.float64)


def _inward(h: float, g: float, numbers: _Numbers) -> float:
    """The number x nearest to `h / g` with `g x <= h`."""
    return _down(*_ratio(h, g), numbers) if g > 0 else -_down(*_ratio(h, -g), numbers)


def _nearest(h: float, g: float, numbers: _Numbers) -> float:
    """The number nearest to `h / g`; beyond the largest one, infinity."""
    top, bottom = _ratio(h, g) if g > 0 else _ratio(-h, -g)
    below, above = _down(top, bottom, numbers), -_down(-top, bottom, numbers)
    if isinf(below) or isinf(above):
        return below if isinf(below) else above
    return below if 2 * Fraction(top, bottom) <= Fraction(below) + Fraction(above) else above


def _ratio(h: float, g: float) -> tuple[int, int]:
    """`h / g` for g > 0 as a fraction of integers."""
    (a, b), (c, d) = h.as_integer_ratio(), g.as_integer_ratio()
    return a * d, b * c


def _down(top: int, bottom: int, numbers: _Numbers) -> float:
    """The largest number of the dtype that is at most `top / bottom`; -inf if there is none.

    The numbers of a binade are the multiples k 2^s with |k| <= 2^digits, s at least `lowest`: floor is
    exact in integers, and once more where the first guess of s left k with too many digits.
    """
    if abs(top) > numbers.largest * bottom:
        return float(numbers.largest) if top > 0 else -inf
    s = max(top.bit_length() - bottom.bit_length() - numbers.digits, numbers.lowest)
    k = (top << -s) // bottom if s < 0 else top // (bottom << s)
    extra = max(k.bit_length() - numbers.digits, 0)
    return ldexp(k >> extra, s + extra)
