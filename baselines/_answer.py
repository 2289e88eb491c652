"""What a projection answers: points, and what became of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Status(StrEnum):
    """What became of one point."""

    SOLVED = "solved"
    INACCURATE = "inaccurate"
    """The solver stopped before its tolerance; the point is returned, flagged."""
    INFEASIBLE = "infeasible"
    """The solver says that the set is empty; the call raises `InfeasibleError`, see `solve`."""
    FAILED = "failed"
    """No point; the row is NaN."""


STATUSES = {status: status for status in Status}


@dataclass(frozen=True, init=False, repr=False)
class Projection:
    """The answer of a projection.

    Attributes:
        x: (*batch, n) nearest points, in the dtype and on the device of the points given.
        info: `solver_seconds` (time inside the solver, without conversions; on a device the time to launch
            it) and what a solver adds.
    """

    x: Tensor
    info: dict[str, Any]

    def __init__(
        self, x: Tensor, status: np.ndarray | Callable[[], np.ndarray], info: dict[str, Any] | None = None
    ) -> None:
        """`status`: the statuses, or what finds them when they are first asked for."""
        values = self.__dict__
        values["x"], values["info"] = x, {} if info is None else info
        values["_find" if callable(status) else "status"] = status

    @cached_property
    def status(self) -> np.ndarray:
        """(*batch,) array of `Status`. On a device the host waits for it, at the first time."""
        return self.__dict__["_find"]()

    def __repr__(self) -> str:
        return f"Projection(x={self.x!r}, status={self.status!r}, info={self.info!r})"


Statuses = Sequence[Status] | np.ndarray | Callable[[], Sequence[Status]]
Answer = tuple[Any, Statuses] | tuple[Any, Statuses, dict[str, Tensor]]
"""What `solve` returns: points, statuses and, if it likes, numbers for each row."""
Found = np.ndarray | Callable[[], np.ndarray]
Points = tuple[Tensor, Found, dict[str, Tensor]]


def array_of(statuses: list[Status]) -> np.ndarray:
    """Filled, not converted: NumPy looks into every string that it converts."""
    array = np.empty(len(statuses), dtype=object)
    array[:] = statuses
    return array


def reshaped(find: Callable[[], np.ndarray], shape: torch.Size) -> np.ndarray:
    return find().reshape(shape)


def failed_where(statuses: np.ndarray, spoilt: Tensor) -> np.ndarray:
    statuses[spoilt.cpu().numpy()] = Status.FAILED
    return statuses
