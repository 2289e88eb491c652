"""Monotone: isotonic regression, every block of features at its mean.

    x_i = max_{j <= i} min_{k >= i} (y_j + ... + y_k) / (k - j + 1)

for x_1 <= ... <= x_n (or the reverse order). The orthogonal projection: onto the cone, the identity on
it, exactly. Blocks are not found one by one but by merging sorted halves L, R of all samples at once,
log2 n times:

    (L, R) -> (min(L, v), max(R, v)),    sum (L - v)^+ = sum (v - R)^+

where v is between the end of L and the start of R, and the mean of what it replaces if those are in the
wrong order. Whatever v is, the result is sorted, so rounding cannot break a row: they hold exactly in
every dtype. L is cut where the balance changes its sign, found by bisection; that gives v as the
smallest mean of what is cut off and the first q features of R.
Differentiable except where two blocks have one mean: there they count as one block.
Means are off by a few eps * max |y| (measured: below 5 in float32, 32 in float64, up to n = 784).
Cost: O(n log^2 n) a point, some 15 log2 n + 1.5 log2(n)^2 passes over the batch; memory: a few copies of it.
Source: min-max formula: Robertson, Wright, Dykstra, "Order Restricted Statistical Inference", 1988,
sec. 1.4; halves: Kearsley, Tapia, Trosset, "An approach to parallelizing isotonic regression", 1996.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..polyhedron import Polyhedron
from ._base import AbstractParameterization
from ._guard import largest, only_finite


class Monotone(AbstractParameterization):
    """`y -> x`, the sorted sequence nearest to y.

    Args:
        polyhedron: rows `x_i <= x_{i+1}` for all i, or `x_i >= x_{i+1}` for all i. Any order, any
            positive scale of a row.
        strict, check_finite: see `AbstractParameterization`.

    Shapes: (*batch, n) -> (*batch, n). There are no constants. In strict mode NaN or infinity makes
    its whole sample NaN.

    Raises:
        UnsupportedSetError: another set.
    """

    name, surjective, projection, citation = "monotone", True, True, "robertson1988"

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        super().__init__(polyhedron, **options)
        self.prepare_blank(polyhedron)

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """Everything: the size and the direction. So there is nothing to load."""
        self.in_features = polyhedron.n
        G, _ = polyhedron.inequalities()
        self.decreasing = bool(len(G) and G[0][G[0] != 0][0] < 0)
        self.blank = False

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """All pairs of neighbours, in one direction, with right-hand sides of 0."""
        if polyhedron.p:
            return "it has equalities; a monotone cone has none"
        G, h = polyhedron.inequalities()
        if h.any():
            return "a right-hand side is not 0"
        n, first = polyhedron.n, (G != 0).argmax(1)
        left, right = (G[np.arange(len(G)), np.minimum(first + k, n - 1)] for k in (0, 1))
        if (wrong := np.flatnonzero((np.count_nonzero(G, axis=1) != 2) | (left + right != 0))).size:
            return f"a row is not a difference of two neighbours: {G[wrong[0]]}"
        if (left > 0).any() and (left < 0).any():
            return "its rows have both directions"
        if (missing := np.setdiff1d(np.arange(n - 1), first)).size:
            return f"features {missing[0]} and {missing[0] + 1} have no row"
        return None

    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
        """Values by merging, without gradient; the gradient is that of the means of their blocks."""
        y = z.flip(-1) if self.decreasing else z
        x = _sorted(y.detach())
        means = _block_means(y, x)
        x = x - (means.detach() - means)  # the value is that of x
        return x.flip(-1) if self.decreasing else x

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """As `map`: rounding keeps the order."""
        near_overflow = largest(z) > torch.finfo(z.dtype).max / 1024
        down = torch.where(near_overflow, 2.0**-20, 1.0).to(z.dtype)
        return only_finite((self.map(z * down) / down).to(dtype), z)


def _sorted(y: Tensor) -> Tensor:  # (*batch, n) -> (*batch, n)
    """The values. The features go first, so that each step runs along the batch."""
    n, width = y.shape[-1], 1
    size = 1 << (n - 1).bit_length()
    x = y.reshape(-1, n).mT
    x = torch.cat([x, x.amax(0, keepdim=True).expand(size - n, -1)])  # these stay where they are
    while width < n:
        x = _merge(x.reshape(size // (2 * width), 2, width, -1)).reshape(size, -1)
        width *= 2
    return x[:n].mT.contiguous().reshape(y.shape)


def _merge(x: Tensor) -> Tensor:  # (pairs, 2, width, batch), sorted along width -> along both
    left, right = x.unbind(1)
    width = left.shape[1]
    scale = 0.25 / width  # a power of 2: no sum of the features overflows
    v = _level(left * scale, right * scale) / scale
    last, first = left[:, -1:], right[:, :1]
    # Between the two in either order: the identity where nothing is to be done.
    v = v.clamp(torch.minimum(last, first), torch.maximum(last, first))
    return torch.stack([torch.minimum(left, v), torch.maximum(right, v)], 1)


def _level(left: Tensor, right: Tensor) -> Tensor:  # (pairs, width, batch) twice -> (pairs, 1, batch)
    """The v of the module's docstring, where the last of `left` is above the first of `right`."""
    width = left.shape[1]
    start = torch.zeros_like(left[:, :1], dtype=torch.int64)  # the first feature of left above v
    step = width // 2
    while step:
        level = left.gather(1, start + (step - 1))
        balance = F.relu(left - level).sum(1, keepdim=True) - F.relu(level - right).sum(1, keepdim=True)
        start = start + step * (balance >= 0)
        step //= 2
    level = left.gather(1, start)
    excess = F.relu(left - level).sum(1, keepdim=True)
    sums = (right - level).cumsum(1) + excess
    counts = torch.arange(1, width + 1, device=left.device)[:, None] + (width - start).to(left.dtype)
    return level + (sums / counts).amin(1, keepdim=True)


def _block_means(y: Tensor, x: Tensor) -> Tensor:  # (*batch, n) twice -> (*batch, n)
    """Means of `y` over the blocks of equal values of `x`, each feature divided first: no overflow."""
    block = F.pad(x[..., 1:] != x[..., :-1], (1, 0)).cumsum(-1)
    size = torch.zeros_like(x).scatter_add(-1, block, torch.ones_like(x))
    parts = y / size.gather(-1, block)
    return torch.zeros_like(x).scatter_add(-1, block, parts).gather(-1, block)
