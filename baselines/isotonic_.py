"""The cone of non-decreasing sequences: isotonic regression by pooling adjacent violators.

    x_1 <= ... <= x_n;   neighbours out of order are replaced by their mean until none are

Accuracy: rounding. Cost: O(n) a point, one call of SciPy's routine each; a kernel on CUDA.
Source: Best and Chakravarti, "Active set algorithms for isotonic regression; a unifying framework",
Mathematical Programming 47, 1990; SciPy: Busing, Journal of Statistical Software 102, 2022.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status
from ._rows import Rows
from ._tensors import all_solved, by_kernel


class ClosedIsotonic(AbstractProjection):
    """Projection onto the monotone cone, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection`; every `tol` gives the same points.
    """

    name, requires, citation = "closed_isotonic", ("scipy",), "best1990"
    batched, tensors = True, True
    default_tol = 1e-11

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """The rows `x_i - x_{i+1} <= 0`, in any order, multiple and number; nothing else."""
        rows = Rows.of(polyhedron)
        G, h = rows.one_sided()
        first = G.argmax(1) if len(G) else np.zeros(0, dtype=int)
        others = (first + 1) % polyhedron.n
        expected = (np.eye(polyhedron.n)[first] - np.eye(polyhedron.n)[others]) / np.sqrt(2)
        same = np.allclose(G, expected, rtol=0, atol=1e-15) and set(first) == set(range(polyhedron.n - 1))
        if rows.contradiction or len(rows.C) or h.any() or not same:
            return "expected the rows x_i - x_{i+1} <= 0 for all neighbours and no others"
        return None

    def setup(self, polyhedron: Polyhedron, tol: float) -> None:
        """Nothing to prepare: the cone is known by its number of features."""

    def solve(self, state: None, y: Tensor) -> tuple[Tensor, list[Status]]:
        """One regression a row, in float64."""
        if by_kernel(y):
            from .triton_.isotonic import nearest

            return nearest(y), all_solved(y)
        from scipy.optimize import isotonic_regression

        rows = y.to("cpu", torch.float64).numpy()
        x = np.empty_like(rows)
        for i, row in enumerate(rows):
            x[i] = isotonic_regression(row).x
        return torch.from_numpy(x).to(y), all_solved(y)
