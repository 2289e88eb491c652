"""ProxQP in parallel: the problems of `proxqp`, as many at a time as there are threads and more.

A pool of `POOL` problems of one set, each scaled and factorised once; the batch goes through it in
chunks of that size, `g` updated one after the other, then solved by `solve_in_parallel` in as many
threads as torch uses. Unless told how many, that function halves OpenMP's number, which is torch's as
well, for all that the process computes afterwards. A larger pool gains nothing and costs memory,
(n + m + p)^2 numbers a problem several times over.
Accuracy and source: those of `proxqp_`. Cost: that of `proxqp` over the number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from constrained.polyhedron import Polyhedron

from ._base import AbstractProjection, Status, accuracies
from ._pointwise import SLACK
from ._rows import Rows
from .proxqp_ import initialise, status_of

POOL = 16


@dataclass(frozen=True)
class _State:
    rows: Rows
    problems: list[Any]
    whole: Any


class ProxqpBatch(AbstractProjection):
    """Projection by ProxQP's parallel solver, see `AbstractProjection`.

    Args:
        polyhedron, tol: see `AbstractProjection` and `Proxqp`. "default" is 1e-5, ProxQP's own
            residual; 1e-6 by default.
    """

    name, requires, citation = "proxqp_batch", ("proxsuite",), "bambade2022"
    batched = True
    default_tol = 1e-6
    settings = accuracies(default=1e-5)

    def setup(self, polyhedron: Polyhedron, tol: float) -> _State:
        """The pool: `POOL` scaled and factorised problems."""
        from proxsuite import proxqp

        rows, whole, problems = Rows.of(polyhedron), proxqp.dense.BatchQP(), []
        if not rows.trivial:
            for _ in range(POOL):
                problem = whole.init_qp_in_place(polyhedron.n, len(rows.C), len(rows.A))
                initialise(problem, rows, tol)
                problems.append(problem)
        return _State(rows, [whole.get(i) for i in range(len(problems))], whole)

    def solve(self, state: _State, y: np.ndarray) -> tuple[np.ndarray, list[Status]]:
        """Chunks of `POOL` points; the last one is filled up with its last point."""
        from proxsuite import proxqp

        if (answer := state.rows.answer_if_trivial(y)) is not None:
            return answer
        x, statuses = np.full_like(y, np.nan), []
        for start in range(0, len(y), POOL):
            chunk = y[start : start + POOL]
            for i, problem in enumerate(state.problems):
                problem.update(g=-chunk[min(i, len(chunk) - 1)])
            proxqp.dense.solve_in_parallel(state.whole, torch.get_num_threads())
            for i, problem in enumerate(state.problems[: len(chunk)]):
                statuses.append(status_of(problem))
                if statuses[-1] in (Status.SOLVED, Status.INACCURATE):
                    x[start + i] = problem.results.x
        return x, state.rows.verdicts(x, y, statuses, max(SLACK * self.tol, 1e-9))
