"""One method on one set: what the checks share, the tolerances first of all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..exact_projection import nearest_points
from ..methods import AbstractMethod, ModuleMethod, Peer, Projected
from ..problems import Instance
from ._subject import Subject, set_up

ROUNDINGS = 64.0
"""A map in closed form may exceed a row by this many roundings of the largest sum that it can have formed."""
ACCURACY, PEER_ACCURACY = 1e-5, 1e-3
"""Relative errors allowed to a solver or a layer of another package, which are asked for 1e-6, and to a peer,
beside roundings."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Verdict:
    """What a check found on one set: "pass", "fail" or "n/a", a figure if it measures one, and why."""

    verdict: str
    figure: float | None = None
    note: str = ""


def judged(good: bool, figure: float | None = None, note: str = "") -> Verdict:
    """Pass or fail."""
    return Verdict("pass" if good else "fail", figure, note)


def not_applicable(note: str) -> Verdict:
    """Nothing to check, and why."""
    return Verdict("n/a", note=note)


class Trial:
    """A method on a set, set up for each dtype and device when it is first asked for."""

    def __init__(self, method: AbstractMethod, instance: Instance) -> None:
        self.method, self.instance, self.polyhedron = method, instance, instance.polyhedron
        self._subjects: dict[tuple[torch.dtype, torch.device], Subject] = {}

    def subject(self, dtype: torch.dtype = torch.float64, device: torch.device = CPU) -> Subject:
        """The method, set up once for this dtype and device."""
        key = dtype, device
        if key not in self._subjects:
            self._subjects[key] = self.again(dtype, device)
        return self._subjects[key]

    def again(self, dtype: torch.dtype = torch.float64, device: torch.device = CPU) -> Subject:
        """The method, set up anew; the caller closes it."""
        return set_up(self.method, self.instance, dtype, device)

    def close(self) -> None:
        """End what runs in other processes."""
        for subject in self._subjects.values():
            subject.close()

    def inputs(self, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> Tensor:  # (q, in_features)
        """The points of the instance, or normal latent points where the width differs, times `scale`."""
        points, width = torch.tensor(self.instance.points), self.subject().in_features
        if width != points.shape[1]:
            points = torch.randn(
                len(points), width, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
            )
        return (scale * points).to(dtype)

    @property
    def strict(self) -> bool:
        """Whether the promise is exact."""
        return bool(self.method.plain)

    @property
    def promises_nothing(self) -> bool:
        """Whether the output need not be a point of the set."""
        correction = isinstance(self.method, Peer) and self.method.entry.kind == "correction"
        return correction or not self.method.feasible

    @property
    def nearest_promised(self) -> bool:
        """Whether the promise is the nearest point."""
        return self.method.role in ("projection", "peer") and self.subject().projects

    @property
    def accuracy(self) -> float:
        """The relative error allowed beside roundings."""
        if isinstance(self.method, Peer):
            return PEER_ACCURACY
        return ACCURACY if isinstance(self.method, Projected | ModuleMethod) else 0.0

    def allowed(self, dtype: torch.dtype) -> float:
        """How much a row may be exceeded, relative to `size`."""
        return self.accuracy + ROUNDINGS * torch.finfo(dtype).eps

    def size(self, z: Tensor, x: Tensor) -> np.ndarray:  # (q, in_features), (q, n) -> (q,)
        """The largest sum that can have been formed for each output.

        A map may cancel a large input against a correction, so the size of the input counts too.
        """
        P = self.polyhedron
        size = torch.maximum(x.double().abs().sum(-1), z.double().abs().sum(-1)).numpy()
        entries = np.concatenate([P.A, P.C])
        bounds = np.concatenate([P.b, P.lower, P.d])
        largest = np.abs(bounds[np.isfinite(bounds)]).max(initial=0.0)
        return size * np.abs(entries).max(initial=1.0) + largest + np.finfo(np.float64).tiny

    @cached_property
    def nearest(self) -> np.ndarray:  # (q, n)
        """The certified nearest points of the instance's points; they lie on the boundary of the set."""
        return nearest_points(self.instance, self.instance.points)

    @cached_property
    def feasible(self) -> np.ndarray:  # (2 q, n)
        """Points of the set: on its boundary, and halfway between two of those."""
        return np.concatenate([self.nearest, (self.nearest + self.nearest[::-1]) / 2])
