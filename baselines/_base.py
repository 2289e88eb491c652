"""What every projection is: the nearest point of a polyhedron for each row of a batch.

proj(y) = argmin_x 1/2 ||x - y||^2   subject to   lower <= A x <= b,  C x = d
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from constrained.errors import (
    ConstraintError,
    EngineError,
    InfeasibleError,
    InvalidInputError,
    UnsupportedSetError,
    require,
)
from constrained.polyhedron import Polyhedron, check_points

from ._answer import STATUSES, Answer, Points, Projection, Status, array_of, failed_where, reshaped


def unseen(y: Tensor) -> bool:
    """Whether the host would have to wait to look at a value."""
    return not y.is_cpu


def accuracies(default: float) -> Mapping[str, float]:
    """The three accuracies that every solver can be asked for by name, as in qpbenchmark.

    `default` is the tolerance that the solver itself starts with, in the adapter's meaning of `tol`.
    """
    return MappingProxyType({"default": default, "mid": 1e-6, "high": 1e-9})


class AbstractProjection(ABC):
    """`projection = Osqp(P); result = projection(y)`.

    Args:
        polyhedron: the set.
        tol: the accuracy asked of the solver, translated inside each adapter: a number, or "default"
            (the solver's own), "mid" (1e-6) or "high" (1e-9), see `settings`. If none is given,
            `default_tol`: what takes this solver within 1e-6 of the projection, relative, where it can.

    An adapter states its name and capabilities and defines `setup` (once a set, timed as set-up)
    and `solve` (once a batch). A new one is a file beside this one and a line in the tuple of
    `__init__.py`.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[str, ...]] = ()
    """Importable modules that the adapter needs."""
    extra: ClassVar[str] = "baselines"
    """The extra of the distribution that installs them."""
    citation: ClassVar[str]
    batched: ClassVar[bool] = False
    """Whether `solve` handles the batch as a whole rather than point after point."""
    tensors: ClassVar[bool] = False
    """Whether `solve` takes a tensor, in the dtype and on the device of the call, and returns one."""
    default_tol: ClassVar[float]
    settings: ClassVar[Mapping[str, float]] = accuracies(default=1e-9)
    """Accuracies by name; an adapter states the solver's own, 1e-9 stands for one that has none."""
    wraps: ClassVar[str] = ""
    """Name of the solver of the suite that this one only models for; measured in fewer cells."""

    @final
    def __init__(self, polyhedron: Polyhedron, tol: float | str | None = None, **options: Any) -> None:
        if not isinstance(polyhedron, Polyhedron):
            raise InvalidInputError(
                f"expected a constrained.Polyhedron, found {type(polyhedron).__name__}; try Polyhedron(A)"
            )
        self.check_available()
        self.polyhedron = polyhedron
        self.tol = self._number(self.default_tol if tol is None else tol)
        if (reason := self.accepts(polyhedron)) is not None:
            raise UnsupportedSetError(f"projection {self.name!r} cannot serve {polyhedron}: {reason}")
        self._state = self.setup(polyhedron, self.tol, **options)

    @classmethod
    def _number(cls, tol: float | str) -> float:
        if isinstance(tol, str) and tol not in cls.settings:
            names = ", ".join(repr(name) for name in cls.settings)
            raise InvalidInputError(f"tol must be a number or one of {names}; found {tol!r}")
        number = cls.settings[tol] if isinstance(tol, str) else float(tol)
        if not 0 < number < 1:
            raise InvalidInputError(f"tol must lie between 0 and 1; found {tol}")
        return number

    @classmethod
    @final
    def check_available(cls) -> None:
        """Raise `MissingDependencyError` unless every module in `requires` is installed."""
        for module in cls.requires:
            require(module, cls.extra)

    @classmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """`None` if the adapter serves this set, otherwise the reason why it does not."""
        return None

    @abstractmethod
    def setup(self, polyhedron: Polyhedron, tol: float) -> Any:
        """Everything that depends on the set alone; what it returns is handed to `solve`.

        An adapter adds its own options as named arguments with defaults; unknown ones raise.
        """

    @abstractmethod
    def solve(self, state: Any, y: Any) -> Answer:
        """Nearest points for the rows of `y` (q, n), float64 and finite: (q, n) and q statuses.

        `y` is an array, or a tensor as it was given where `tensors` is set. A third value, if any, is
        a dictionary for `Projection.info` of one number a row each. Rows without a point are NaN.
        INFEASIBLE on some rows beside SOLVED on others, which no set allows, becomes FAILED.

        Where the host would have to wait for a look at them, see `unseen`, the rows of a tensor may hold
        anything: those that are not finite are made NaN and FAILED afterwards. The statuses may then be a
        function, which is called when they are asked for; such an adapter sees to these rows by itself.
        """

    @final
    def __call__(self, y: Tensor) -> Projection:
        """Project each row of `y` (*batch, n).

        A row that is not finite is returned as NaN with status FAILED; the others are unaffected.
        Points on a device that the adapter serves there are not looked at, and neither are the answers until
        `status` is read; that a set is empty is known without.

        Raises:
            InvalidInputError: wrong last dimension, or a dtype that is not floating.
            InfeasibleError: the set is empty.
            EngineError: the solver raised an error of its own.
        """
        if not isinstance(y, Tensor):
            raise InvalidInputError(
                f"y must be a torch.Tensor, found {type(y).__name__}; try torch.as_tensor"
            )
        check_points(self.polyhedron, y, "y")
        rows = y.detach().reshape(-1, y.shape[-1])
        if not self.tensors:
            rows = rows.to("cpu", torch.float64)
        answer = self._finite_rows
        if unseen(rows):
            answer = self._any_rows
        elif len(rows) and torch.isfinite(rows.sum()):
            answer = self._guarded
        start = perf_counter()
        x, status, info = answer(rows)
        seconds = perf_counter() - start
        shape = y.shape[:-1]
        info = {name: value.reshape(shape) for name, value in info.items()}
        points = x.reshape(y.shape).to(y.device, y.dtype)
        later = partial(reshaped, status, shape) if callable(status) else status.reshape(shape)
        return Projection(points, later, {"solver_seconds": seconds} | info)

    def _any_rows(self, rows: Tensor) -> Points:
        with torch.cuda.device_of(rows):  # Triton launches on the current device
            x, status, info = self._guarded(rows)
        if callable(status):
            return x, status, info
        spoilt = ~torch.isfinite(torch.linalg.vector_norm(rows, torch.inf, dim=-1))
        info = {name: value.masked_fill(spoilt, torch.nan) for name, value in info.items()}
        return x.masked_fill(spoilt[:, None], torch.nan), partial(failed_where, status, spoilt), info

    def _finite_rows(self, rows: Tensor) -> Points:
        finite = torch.isfinite(rows).all(-1)
        x, status = torch.full_like(rows, torch.nan), array_of([Status.FAILED] * len(rows))
        if not finite.any():
            return x, status, {}
        found, status[finite.cpu().numpy()], info = self._guarded(rows[finite])
        x = x.to(found.dtype)
        x[finite] = found
        whole = {name: value.new_full((len(rows),), torch.nan) for name, value in info.items()}
        for name, value in info.items():
            whole[name][finite] = value
        return x, status, whole

    def _guarded(self, rows: Tensor) -> Points:
        try:
            x, status, *rest = self.solve(self._state, rows if self.tensors else rows.numpy())
        except ConstraintError:
            raise
        except Exception as error:
            raise EngineError(f"{self.name} failed: {type(error).__name__}: {error}") from error
        if callable(status):
            return x, lambda: array_of(list(status())), dict(*rest)
        status = list(status)
        if status.count(Status.SOLVED) == len(status):  # by identity, far cheaper than what follows
            return torch.as_tensor(x), array_of(status), dict(*rest)
        if Status.INFEASIBLE in status and Status.SOLVED not in status:
            raise InfeasibleError(
                f"{self.name} reports that {self.polyhedron} is empty: no point satisfies all rows; "
                "relax b, lower or d"
            )
        # A set is empty for every point or for none: one point found refutes the claim for another.
        # NumPy's `full` turns a status into the plain string that it equals; it is one again here.
        statuses = array_of([STATUSES[entry] for entry in status])
        statuses[statuses == Status.INFEASIBLE] = Status.FAILED
        return torch.as_tensor(x), statuses, dict(*rest)
