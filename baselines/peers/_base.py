"""What every peer is: another paper's layer, from an activation y to a point x that it promises something of.

Imported by the worker in the peer's own environment as well, so the standard library and numpy are all
it may import; `constrained` is imported inside the functions that the parent alone calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np

Kind = Literal["projection", "feasible", "correction"]


@dataclass(frozen=True, repr=False)
class Problem:
    """`lower <= A x <= b`, `C x = d` as plain float64 arrays: A (m, n), C (p, n), either may be empty."""

    A: np.ndarray
    b: np.ndarray
    lower: np.ndarray
    C: np.ndarray
    d: np.ndarray

    @classmethod
    def of(cls, polyhedron: Any) -> Problem:
        """From anything that has these five attributes."""
        return cls(*(np.asarray(getattr(polyhedron, f.name), dtype=np.float64) for f in fields(cls)))

    @classmethod
    def load(cls, path: str | Path) -> Problem:
        """What `save` wrote."""
        with np.load(path) as arrays:
            return cls(**{f.name: arrays[f.name] for f in fields(cls)})

    def save(self, path: str | Path) -> None:
        """As npz."""
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    def __repr__(self) -> str:
        return f"Problem(n={self.n}, m={len(self.A)}, p={len(self.C)})"

    @property
    def n(self) -> int:
        """Features."""
        return self.A.shape[1]

    def inequalities(self) -> tuple[np.ndarray, np.ndarray]:
        """`(G, h)` with `G x <= h`: both sides of every row of A, the infinite ones left out."""
        above, below = np.isfinite(self.b), np.isfinite(self.lower)
        G = np.concatenate([self.A[above], -self.A[below]])
        return G, np.concatenate([self.b[above], -self.lower[below]])

    def without_bounds(self) -> tuple[Problem, np.ndarray, np.ndarray]:
        """(the rows of A with several entries, low (n,), high (n,)): single entries become bounds."""
        low, high = np.full(self.n, -np.inf), np.full(self.n, np.inf)
        single = np.count_nonzero(self.A, axis=1) == 1
        for row, lower, upper in zip(self.A[single], self.lower[single], self.b[single], strict=True):
            i = int(np.flatnonzero(row)[0])
            ends = sorted((lower / row[i], upper / row[i]))
            low[i], high[i] = max(low[i], ends[0]), min(high[i], ends[1])
        rest = Problem(self.A[~single], self.b[~single], self.lower[~single], self.C, self.d)
        return rest, low, high

    def violation(self, x: np.ndarray) -> np.ndarray:  # (q, n) -> (q,)
        """The largest amount by which a row is broken; for tuning, never for a result."""
        G, h = self.inequalities()
        residuals = np.concatenate([x @ G.T - h, np.abs(x @ self.C.T - self.d)], axis=1)
        return np.maximum(residuals, 0).max(axis=1, initial=0)


class AbstractPeer(ABC):
    """One layer of another paper; a new one is a file beside this one and a line in `PEERS`.

    Args:
        dtype: "float32" or "float64", of the points given and returned.
        threads: how many threads the parent computes with.
        device: "cpu" or "cuda", where the points are and the layer computes.

    It lives in the worker. Only the class, its attributes and `accepts`, is used by the parent.
    """

    name: ClassVar[str]
    citation: ClassVar[str]
    environment: ClassVar[str]
    """Its virtual environment; empty: the interpreter of the parent."""
    requires: ClassVar[tuple[str, ...]]
    """Importable modules that it needs there."""
    reads: ClassVar[tuple[str, ...]]
    """Distributions whose versions are reported."""
    kind: ClassVar[Kind]
    """What it promises: the nearest point, a feasible point, or a point closer to feasible."""
    differentiable: ClassVar[bool] = True
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    """Where points may be given to it."""

    def __init__(self, dtype: str, threads: int, device: str = "cpu") -> None:
        self.dtype, self.threads, self.device = dtype, threads, device
        self.tuned: dict[str, Any] = {}
        """What `setup` chose, for the report."""

    @classmethod
    @final
    def check_available(cls) -> None:
        """Raise `MissingDependencyError` unless its environment was built."""
        from ._environments import check

        check(cls)

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """`None` if the layer is made for this set, otherwise the reason why it is not."""
        return None

    def start_device(self) -> str | None:
        """Use `device` for a first time, which counts as no set-up; what is missing if it cannot be."""
        return None

    @abstractmethod
    def setup(self, problem: Problem, tuning: np.ndarray) -> Any:
        """All that depends on the set, and tuning on points (t, n) that are not those of the evaluation."""

    @abstractmethod
    def load(self, y: np.ndarray) -> Any:
        """The array of the framework, in the dtype of the peer and on its device; untimed."""

    @abstractmethod
    def unload(self, x: Any) -> np.ndarray:
        """Back to numpy; untimed."""

    @abstractmethod
    def solve(self, state: Any, y: Any, backward: bool) -> tuple[Any, Any]:
        """(x (q, n), gradient (q, n) or None) of the framework; timed.

        The gradient is that of `sum_ij x_ij w_j` in y, with `w = cotangent(n)`. Work may still be on its
        way when this returns; then `wait` is to be defined.
        """

    def wait(self, result: Any) -> Any:
        """The result of `solve`, computed to the end: timed, and before anything that is."""
        return result


def cotangent(n: int) -> np.ndarray:
    """(n,) weights that no set of the suite is symmetric under, so that no gradient vanishes by chance."""
    return np.cos(np.arange(n, dtype=np.float64))


def independent(rows: np.ndarray) -> bool:
    """Whether the rows are linearly independent, whatever their scales."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(norms > 0, norms, 1)
    return len(rows) <= rows.shape[1] and (len(rows) == 0 or np.linalg.matrix_rank(rows) == len(rows))
