"""The compiled methods for a batch: its points shared out to as many threads as torch uses."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

FEWEST = 16
"""Points worth another thread."""


class Compiled:
    """Multipliers and KKT residuals by `_goldfarb_idnani.py`.

    Args:
        gram: (m, m), rows of unit norm.
        width, bounds: (m,), see `Dual`.
        features: of a point.
    """

    def __init__(self, gram: Tensor, width: Tensor, bounds: Tensor, features: int) -> None:
        from ._goldfarb_idnani import MOST_START, multipliers

        arrays = [np.ascontiguousarray(v.numpy()) for v in (gram, width, bounds)]
        two_sided = bool(torch.isfinite(width).any())
        start = len(gram) <= min(MOST_START, features)
        self._multipliers = partial(multipliers, *arrays, two_sided, start)
        self(torch.zeros(1, len(gram), dtype=torch.float64), torch.ones(1, dtype=torch.float64))

    def __call__(self, e: Tensor, norm: Tensor) -> tuple[Tensor, Tensor]:
        """(q, m) `A x - h` and (q,) the norms of the points: multipliers (q, m), KKT residuals (q,)."""
        u, kkt = torch.empty_like(e), torch.empty_like(norm)
        in_parts(self._multipliers, (), (e, norm, u, kkt))
        return u, kkt


def in_parts(kernel: Callable[..., None], constants: tuple, batch: tuple[Tensor, ...]) -> None:
    """`kernel(*constants, *batch)`, the points of the tensors in `batch` shared out to threads."""
    arrays, count = [v.numpy() for v in batch], len(batch[0])
    parts = max(1, min(torch.get_num_threads(), count // FEWEST))
    ends = [count * part // parts for part in range(parts + 1)]
    pieces = [[v[i:j] for v in arrays] for i, j in zip(ends[:-1], ends[1:], strict=True)]
    others = [_pool().submit(kernel, *constants, *piece) for piece in pieces[1:]]
    kernel(*constants, *pieces[0])
    for other in others:
        other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that are kept, since starting them takes longer than a part of a small batch."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="compiled_projection")
