"""Every method of the suite, as something to be given an input: derived from the suite's own tuples.

Maps and solvers run inside this suite's interpreter, so each is put into a process of its own
(`_isolation.py`); a peer has one already.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from baselines import PROJECTIONS, AbstractProjection, Status
from baselines.peers import PEERS, AbstractPeer, PeerError, PeerProcess, tuning_points
from constrained import constrain
from constrained.errors import UnsupportedSetError
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization

from ._cases import Case
from ._isolation import isolated
from ._reports import Report, shorten

PEER_SECONDS = 20.0
"""For each command of a peer, its start and set-up included."""
SEED = 0


class AbstractMethod(ABC):
    """A method: a name, a role and what it promises.

    Attributes:
        projects: it promises the nearest point, and is judged by its distance from it.
        keeps: it promises to leave a point of the set where it is.
    """

    role: str
    projects: bool = False
    keeps: bool = False

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def reports(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One report a case, in order, whatever happens."""


class AbstractLocal(AbstractMethod):
    """A method that computes in the interpreter of the suite."""

    @abstractmethod
    def answer(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """((q, n) points, (q,) which of them the method itself calls unsolved); may raise anything."""

    @final
    def attempt(self, case: Case) -> Report:
        """The answer, or the report of what was raised."""
        try:
            x, flagged = self.answer(case)
        except Exception as error:
            return Report.of_error(error)
        return Report("answer", x, flagged)

    @final
    def reports(self, cases: Sequence[Case]) -> Iterator[Report]:
        """In a process that may die."""
        return isolated(self.attempt, cases)


class Embedded(AbstractLocal):
    """`constrain(P, name)` or with `strict=`, in float64."""

    role = "embedded"

    def __init__(self, entry: type[AbstractParameterization], strict: bool = False) -> None:
        super().__init__(f"{entry.name}_strict" if strict else entry.name)
        self.entry, self.strict, self.keeps = entry, strict, entry.projection

    def answer(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """On the points, or on latent points of their size where the map takes no points."""
        module = constrain(case.polyhedron, self.entry.name, strict=self.strict).double()
        with torch.no_grad():
            x = module(self._latent(case, module.in_features)).numpy()
        return x, np.zeros(len(x), dtype=bool)

    def _latent(self, case: Case, in_features: int) -> Tensor:
        if self.entry.projection:
            return torch.tensor(case.points)
        normal = np.random.default_rng(SEED).standard_normal((len(case.points), in_features))
        return torch.tensor(np.where(case.spoiled[:, None], np.nan, case.scale * normal))


class Projection(AbstractLocal):
    """A projection of the suite at its own accuracy, in float64."""

    role, projects, keeps = "projection", True, True

    def __init__(self, entry: type[AbstractProjection]) -> None:
        super().__init__(entry.name)
        self.entry = entry

    def answer(self, case: Case) -> tuple[np.ndarray, np.ndarray]:
        """Flagged: every status but SOLVED."""
        result = self.entry(case.polyhedron)(torch.tensor(case.points))
        return result.x.numpy(), np.array([status != Status.SOLVED for status in result.status.ravel()])


class Peer(AbstractMethod):
    """A peer in float64, in its own process, which stays for all the sets; it reports no status."""

    role = "peer"

    def __init__(self, entry: type[AbstractPeer]) -> None:
        super().__init__(entry.name)
        self.entry, self.projects = entry, entry.kind == "projection"

    def reports(self, cases: Sequence[Case]) -> Iterator[Report]:
        """One process after the other: a new one where the last has ended."""
        process: PeerProcess | None = None
        try:
            for case in cases:
                try:
                    process = self._set_up(process, case)
                    yield self._answer(process, case)
                except PeerError as error:
                    if ended(error) or isinstance(error, TimeoutError):
                        process = None
                    crash = Report("crash", reason=shorten(str(error)))
                    yield crash if ended(error) else Report.of_error(error)
                except Exception as error:
                    yield Report.of_error(error)
        finally:
            if process is not None:
                process.close()

    def _set_up(self, process: PeerProcess | None, case: Case) -> PeerProcess:
        self.entry.check_available()
        problem, tuning = case.problem, tuning_points(case.points.shape[1], case.scale)
        if (reason := self.entry.accepts(problem)) is not None:
            raise UnsupportedSetError(reason)
        if process is None:
            return PeerProcess(self.entry, problem, "float64", tuning, limit=PEER_SECONDS)
        process.reset(problem, tuning)
        return process

    def _answer(self, process: PeerProcess, case: Case) -> Report:
        x, _, _ = process.run(case.points)
        # What the adapter's own tuning says is not part of the layer's answer, but it helps to read it.
        note = "" if process.tuned.get("reached", True) else "tuning did not reach its tolerance"
        x = np.asarray(x, dtype=np.float64)
        return Report("answer", x, np.zeros(len(x), dtype=bool), reason=note)


def ended(error: PeerError) -> bool:
    """Whether the peer's process died, as its text says."""
    return str(error).startswith("the process of peer") and " ended in " in str(error)


METHODS: tuple[AbstractMethod, ...] = (
    *(Embedded(entry) for entry in PARAMETERIZATIONS),
    *(Embedded(entry, strict=True) for entry in PARAMETERIZATIONS),
    *(Projection(entry) for entry in PROJECTIONS),
    *(Peer(entry) for entry in PEERS),
)
