"""Simplex: subtract one threshold from every feature and cut at 0.

    x = max(y - t, 0),    t = max_k (u_1 + ... + u_k - total) / k,    u = y sorted, the largest first

for {x >= 0, sum x = total}; for {x >= 0, sum x <= total} this applies where max(y, 0) has too large a
sum. The orthogonal projection: onto the set, the identity on it. Differentiable except where a feature
reaches 0 (or the sum reaches total from below): on the support I - 1 1' / (size of the support).
x >= 0 holds exactly. The sum is computed relative to the largest feature, then corrected by itself: it
is off by less than 5 eps * total (measured, up to n = 3000), and by one eps of a narrower dtype more
after rounding to it. In strict mode, where the sum is an upper bound, points that could exceed it when
rounded are scaled, to 1 - 2 eps times the bound; sums are then formed in float64.
Cost: one sort, O(n log n) a point.
Source: Held, Wolfe, Crowder, "Validation of subgradient optimization", Mathematical Programming 6,
1974; Duchi et al., ICML 2008, fig. 1; survey: Condat, Mathematical Programming 158, 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import UnsupportedSetError
from ..polyhedron import Polyhedron
from ._base import AbstractParameterization
from ._guard import only_finite


class Simplex(AbstractParameterization):
    """`y -> max(y - t, 0)` with the threshold t that gives the sum.

    Args:
        polyhedron: rows `x_j >= 0` for every feature, and one row with equal entries: an equality,
            or an upper bound. Any order, any positive scale of a row.
        strict, check_finite: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). In strict mode NaN or infinity makes its whole sample NaN.

    Raises:
        UnsupportedSetError: another set; in strict mode, at the call, a total beyond the dtype.
    """

    name, surjective, projection, citation = "simplex", True, True, "held1974"
    total: Tensor

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        self.prepare_blank(polyhedron)
        self.constant("total", np.array(self.largest))  # ()

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """The size, the largest value of a feature, and whether the sum is an upper bound."""
        self.in_features = polyhedron.n
        self.capped = polyhedron.p == 0
        row, bound = _sum_row(polyhedron)
        self.largest = float(bound[0] / row[0, 0])

    @property
    def pinned(self) -> tuple[str, ...]:
        """The total: strict mode compares sums with it in float64."""
        return ("total",)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """Every feature non-negative, one row besides, the sum, and something to share out."""
        G, h = polyhedron.inequalities()
        single = np.count_nonzero(G, axis=1) == 1
        if (G[single] > 0).any() or h[single].any():
            return "a row bounds a feature by something else than x >= 0"
        if not (G[single] < 0).any(0).all():
            j = int(np.argmin((G[single] < 0).any(0)))
            return f"feature {j} has no row x >= 0"
        row, bound = _sum_row(polyhedron)
        if len(row) != 1:
            return f"it has {len(row)} rows besides x >= 0; a simplex has one, the sum"
        scale = row[0, 0]
        if not scale or (row != scale).any():
            return "its row besides x >= 0 is not a multiple of the sum of the features"
        if scale < 0 and not polyhedron.p:
            return "its sum is bounded from below only"
        return None if bound[0] / scale > 0 else f"the sum must be positive; it is {bound[0] / scale:g}"

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """The nearest point with the sum `total`, or with a smaller one where that is nearer."""
        x = self._share(z)
        if not self.capped:
            return x
        positive = F.relu(z)
        return torch.where(positive.sum(-1, keepdim=True) <= self.total, positive, x)

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """As `map`; an upper bound on the sum holds after rounding to `dtype` as well."""
        if self.largest > torch.finfo(dtype).max:
            raise UnsupportedSetError(
                f"method 'simplex' has no strict mode for this set in {dtype}: its features reach "
                f"{self.largest:g}; use a wider dtype"
            )
        x = self.map(z).to(dtype)
        return only_finite(self._under(x) if self.capped else x, z)

    def _share(self, z: Tensor) -> Tensor:
        """Onto {x >= 0, sum x = total}; what ends above 0 is at most `total` below the largest feature."""
        u = z - z.detach().amax(-1, keepdim=True)
        sums = u.detach().sort(dim=-1, descending=True).values.cumsum(-1, dtype=torch.float64)
        counts = torch.arange(1, self.in_features + 1, device=z.device)
        threshold = ((sums - self.total) / counts).amax(-1, keepdim=True)
        x = F.relu(u - threshold.to(z.dtype))
        # The threshold has no gradient and is rounded: the sum of x corrects both, on the support.
        support = (x > 0).to(z.dtype)
        excess = (x.sum(-1, keepdim=True) - self.total) / support.sum(-1, keepdim=True)
        return F.relu(x - support * excess)

    def _under(self, x: Tensor) -> Tensor:
        """Scale down the points whose sum may be above `total`; exact, as numbers of their dtype.

        A sum in float64 is off by less than n 2^-53 of itself, a product rounded to the dtype by
        eps / 2 of itself or by a subnormal number, and `total` by 2^-53.
        """
        info = torch.finfo(x.dtype)
        room = self.total * (1 - (x.shape[-1] + 8) * 2.0**-52)
        size = x.detach().double().sum(-1, keepdim=True)
        smallest = x.shape[-1] * info.smallest_normal * info.eps
        factor = ((room * (1 - 2 * info.eps) - smallest) / size).clamp_min(0)
        return torch.where(size <= room, x, (x * factor).to(x.dtype))


def _sum_row(polyhedron: Polyhedron) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are not a bound on one feature, (k, n), and their right-hand sides, (k,)."""
    G, h = polyhedron.inequalities()
    several = np.count_nonzero(G, axis=1) != 1
    return np.concatenate([polyhedron.C, G[several]]), np.concatenate([polyhedron.d, h[several]])
