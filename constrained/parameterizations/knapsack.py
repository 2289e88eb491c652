"""Knapsack: clip to the bounds of the features, after a step along each row that is not within its own.

    x = clip(z - lam_r a_r, low, high),    lam_r such that  lower_r <= a_r x <= upper_r

for a box, bounds may be infinite, cut by rows with disjoint supports: lam_r is 0 where clip(z) is within
the bounds of row r, otherwise the root of a monotone, piecewise linear function, the sum of the row, see
`_slots.py`.
The orthogonal projection: onto the set, the identity on it. The clip comes last, so that bounds of features
hold exactly, as in box.py; rows hold up to the rounding of their sums.

The gradient is one of two.
  "exact": the Jacobian: free features, those strictly between their bounds, without their component along
      rows that hold with equality. It is 0 for the others, whatever the loss: they never move again.
  "inward": v -> -P_T(-v), with T the tangent cone at x: a feature on its upper bound may only fall, one on
      its lower bound only rise, a row at its bound only go back. -v, the step of gradient descent in x, is
      brought to the nearest direction that stays in the set. The same as the exact one where no feature is
      on a bound and no inequality at its own; not blocked where -v leads into the set; 0 at a minimum of the
      loss over the set. P_T(d) is the directional derivative of the projection at a point of the set.
      Of backward mode; forward mode, and an exported program, have the exact one.

In strict mode bounds of rows are tightened by a few roundings of the sum, sums are then checked in float64,
and samples that fail move towards the interior, see `_finish.py`.
Cost: some 40 passes over the point; backward 10, with "inward" twice the forward ones. No products with rows.
Source: Brucker, Operations Research Letters 3, 1984; Kiwiel, Mathematical Programming 112, 2008; derivative:
Zarantonello, Projections on convex sets in Hilbert space and spectral theory, 1971; Hiriart-Urruty and
Lemarechal, Convex Analysis and Minimization Algorithms I, 1993, III.5.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..analysis import analyse
from ..errors import UnsupportedSetError
from ..polyhedron import Polyhedron
from ..rounding import DOUBLE
from ._base import AbstractParameterization
from ._disjoint import Rows, inside_of, layout, single_rows
from ._finish import strict_finish
from ._guard import flatten, like, may_look, only_finite
from ._interior import AbstractInterior
from ._nearest import project
from ._slots import Slots, seen
from .box import DTYPES
from .box import _tables as tables_of_bounds

CHUNK = 256
"""Samples at a time on the CPU: what steps go over again and again should stay in its caches."""
MARGIN = 4.0
"""Roundings by which strict mode tightens a sum, and per root of its number of terms."""


class Knapsack(AbstractParameterization):
    """`z -> clip(z - lam_r a_r, low, high)`.

    Args:
        polyhedron: rows with several entries, inequalities of one or two sides or equalities, that share
            no feature unless they are multiples of each other; any rows with one entry, as bounds.
        strict, check_finite: see `AbstractParameterization`.
        gradient: "exact" or "inward", see the module.

    Shapes: (*batch, n) -> (*batch, n). NaN or infinity makes its whole row NaN, in strict mode its sample.

    Raises:
        UnsupportedSetError: two rows share a feature, or there is none; with `strict`, an inequality that
            holds with equality on the whole set, a dtype without a number between two bounds.
        InfeasibleError: an empty set.
        InvalidInputError: another `gradient`.
    """

    name, surjective, projection, citation = "knapsack", True, True, "kiwiel2008"
    inward = True
    index: Tensor
    order: Tensor
    sign: Tensor
    weight: Tensor
    low: Tensor
    high: Tensor
    lower: Tensor
    upper: Tensor
    inside: Tensor
    terms: Tensor
    ends: Tensor
    room: Tensor
    fall: Tensor
    finish: AbstractInterior

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        self.prepare_blank(polyhedron)
        rows = Rows.of(polyhedron)
        if rows.empty(polyhedron):
            analyse(polyhedron).check_not_empty()
        self._register_slots(polyhedron, rows)
        if self.strict:
            self.finish = strict_finish(polyhedron, self.strict)
        self.refresh()
        if self.strict:
            self._check_dtype(DTYPES[0])

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """What the set alone tells."""
        self.in_features = polyhedron.n
        if self.blank and self.strict:
            self.finish = strict_finish(polyhedron, self.strict, blank=True)

    @property
    def pinned(self) -> tuple[str, ...]:
        """What strict mode checks sums with."""
        return ("terms", "ends")

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """At least one row with several entries, and no feature in two of them."""
        rows = Rows.of(polyhedron)
        if not len(rows.a):
            return "none of its rows has several non-zero entries, so that it is a box"
        shared = np.count_nonzero(rows.a, axis=0)
        if shared.max() > 1:
            j = int(np.argmax(shared))
            one, two = (
                rows.names[(rows.a[:, j] != 0).argmax()],
                rows.names[len(rows.a) - 1 - (rows.a[::-1, j] != 0).argmax()],
            )
            return f"{one} and {two} share feature {j}; rows with several entries must have disjoint supports"
        return None

    def _register_slots(self, polyhedron: Polyhedron, rows: Rows) -> None:
        """Where each feature goes, and the constants there."""
        index, order = layout(rows.a)  # (S, R), (n,)
        used, row = index >= 0, np.arange(index.shape[1])
        own = np.zeros(index.shape)
        own[:, : len(rows.a)] = rows.a[row[: len(rows.a)], index[:, : len(rows.a)]]
        own[:, len(rows.a) :] = 1.0  # features in no row
        own = np.where(used, own, 0.0)
        sign, weight = np.sign(own)[..., None], np.abs(own)[..., None]
        low, high = (
            np.where(used, table[:, index], 0.0)[..., None]
            for table in tables_of_bounds(single_rows(polyhedron))
        )
        low, high = np.where(sign < 0, -high, low) + 0.0, np.where(sign < 0, -low, high) + 0.0  # no -0.0
        pad = len(row) - len(rows.a)
        lower, upper = np.append(rows.lower, [-np.inf] * pad), np.append(rows.upper, [np.inf] * pad)
        inside, room = inside_of(weight[..., 0], low[0, ..., 0], high[0, ..., 0], lower, upper)
        self.register_buffer("index", torch.tensor(np.maximum(index, 0)))
        self.register_buffer("order", torch.tensor(order))
        self.constant("sign", sign)  # (S, R, 1)
        self.constant("weight", weight)  # (S, R, 1)
        self.constant("low", low)  # (4, S, R, 1): one for each of DTYPES
        self.constant("high", high)
        self.constant("inside", inside[..., None])  # (S, R, 1)
        self.constant("lower", lower[:, None])  # (R, 1)
        self.constant("upper", upper[:, None])
        if self.strict:
            # Below `inside` the sum of a row goes on falling with a feature that has no bound there.
            open_ = (weight * np.isneginf(low[0])).max(0)
            alone = (open_ > 0) & np.isneginf(lower[:, None])
            self.constant("terms", np.abs(own)[..., None])
            self.constant("ends", np.array([lower, upper])[..., None])  # (2, R, 1)
            self.constant("room", np.where(alone, np.inf, room[:, None]))
            self.constant("fall", np.where(alone, 1 / np.where(alone, open_, 1.0) ** 2, 0.0))

    def refresh(self) -> None:
        """What the constants have in common, so that it costs nothing."""
        low, high, weight = self.value("low"), self.value("high"), self.value("weight")
        self._same = {dtype: (_same(low[i]), _same(high[i])) for i, dtype in enumerate(DTYPES)}
        self._uniform, self._signed = bool((weight == 1).all()), bool((self.value("sign") != 1).any())
        self._centre = _same(self.value("inside"))
        self._two_sided = bool(np.isfinite(self.value("lower")).any())
        bad = ((low > high) | np.isposinf(low) | np.isneginf(high)).reshape(len(DTYPES), -1)
        index = self.index.flatten().tolist()
        self._refused = {DTYPES[i]: index[int(bad[i].argmax())] for i in np.flatnonzero(bad.any(1))}

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """Into the slots, to the nearest points, and back."""
        return like(z, self._nearest(flatten(z), z.dtype, False))

    def _nearest(self, z: Tensor, dtype: torch.dtype, tightened: bool) -> Tensor:
        if may_look(z) and len(z) > CHUNK:
            return torch.cat([self._nearest(part, dtype, tightened) for part in z.split(CHUNK)])
        slots, y = self._slots(dtype), self._into_slots(z)
        if self._signed:
            y = y * self.sign
        if tightened:
            most = torch.finfo(y.dtype).max / (16 * len(y))  # no sum of the steps overflows
            y = y.clamp(-most, most)
            slots = self._tightened(slots, y.detach(), dtype)
        x = project(y, slots, self.gradient == "inward")
        if self._signed:
            x = x * self.sign
        return x.flatten(0, 1).index_select(0, self.order).mT.contiguous()

    def _into_slots(self, z: Tensor) -> Tensor:  # (batch, n) -> (S, R, batch)
        return z.mT.index_select(0, self.index.flatten()).unflatten(0, self.index.shape)

    def _slots(self, dtype: torch.dtype) -> Slots:
        """The constants, with bounds that are numbers of `dtype`."""
        low, high = self._same[dtype]
        i = DTYPES.index(dtype)
        return Slots(
            self.low[i] if low is None else low,
            self.high[i] if high is None else high,
            None if self._uniform else self.weight,
            self.lower,
            self.upper,
            self.inside if self._centre is None else self._centre,
            None,
            self._two_sided,
        )

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """Bounds of features are numbers of `dtype`; sums are tightened, checked and, where needed, moved."""
        self._check_dtype(dtype)
        flat = flatten(z)
        x = self._nearest(flat, dtype, True).to(dtype)
        good = self._holds(x.detach())
        if seen(~good) is not False:
            start = torch.where(torch.isfinite(x.detach()), x.to(z.dtype), flat)
            x = torch.where(good, x, self.finish.strict_map(start, dtype))
        return like(z, only_finite(x, flat))

    def _tightened(self, slots: Slots, y: Tensor, dtype: torch.dtype) -> Slots:
        """Sums by what rounding can do to them; half of the room between two bounds is left."""
        x = slots.clip(y)
        total, size = slots.total(x), slots.total(x.abs())
        target = torch.minimum(torch.maximum(total, slots.lower), slots.upper)
        # All features of a row move in one direction, so that the sum of |x| grows by no more than this.
        size = size + (total - target).abs() + target.abs()
        eps = torch.finfo(dtype).eps + torch.finfo(y.dtype).eps * len(y) ** 0.5
        margin = torch.minimum(MARGIN * eps * size, self.room)
        lower, upper, beyond = slots.lower + margin, slots.upper - margin, margin * self.fall
        return replace(slots, lower=lower, upper=upper, beyond=beyond)

    def _holds(self, x: Tensor) -> Tensor:  # (batch, n) -> (batch, 1) bool
        """Whether every inequality surely holds; sums in float64, less what rounding does to them there."""
        parts = self._into_slots(x.double()) * self.terms * self.sign.double()
        total, size = parts.sum(0), parts.abs().sum(0)
        lower, upper = self.ends
        error, info = (len(parts) + 16) * DOUBLE, torch.finfo(torch.float64)
        least = len(parts) * info.smallest_normal * info.eps  # products below the smallest number
        inside = total + (error * (size + upper.abs()) + least) <= upper
        inside &= total - (error * (size + lower.abs()) + least) >= lower
        inside = inside | (torch.isinf(upper) & torch.isinf(lower)) | (lower == upper)
        return inside.all(0)[:, None]

    def _check_dtype(self, dtype: torch.dtype) -> None:
        if dtype in self._refused:
            raise UnsupportedSetError(
                f"method 'knapsack' has no strict mode for this set in {dtype}: no number of this dtype lies "
                f"between the bounds of feature {self._refused[dtype]}; widen them or use a wider dtype"
            )


def _same(bounds: np.ndarray) -> float | None:
    """The number that all of them are, if so."""
    first = float(bounds.flat[0])
    return first if (bounds == first).all() else None
