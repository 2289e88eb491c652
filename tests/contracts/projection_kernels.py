"""The contract of projections on a device, CUDA or the CPU under Triton's interpreter; oracle: the CPU.

A subclass gives `device` and `batches`. On the CPU the projections are told that looking costs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import baselines
from baselines import AbstractProjection, DifferentiableProjection, Projection, Status
from baselines._dual import dual_of
from baselines._pivoting import kkt_residual, scale_of
from constrained.errors import InfeasibleError
from constrained.polyhedron import Polyhedron
from tests.baselines.test_batched_active_set import DEGENERATE, SETS, cone, normal, two_sided
from tests.contracts.projection import CASES, points
from tests.round_trips import round_trips

ACTIVE_SETS = {
    **{name: P for name, P in SETS.items() if name != "many rows"},
    **{f"cone with {name}": Polyhedron(A) for name, A in DEGENERATE.items() if name != "a single point"},
    "checkerboard": Polyhedron(np.kron(np.eye(4), np.ones((1, 9)))),
    "equalities": CASES["two-sided rows and a box"].polyhedron,
    "128 rows": Polyhedron(cone(9, 128)),
}
CLOSED = ("closed_box", "closed_simplex", "closed_isotonic", "closed_orthogonal", "closed_knapsack")
DTYPES = (torch.float64, torch.float32, torch.bfloat16)


def thin_slabs(n: int, m: int, thickness: float) -> Polyhedron:
    """Rows near a space of six dimensions: multipliers of far points are 1e6 times as large as the points."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, 6)) @ rng.standard_normal((6, n)) + thickness * rng.standard_normal((m, n))
    return Polyhedron(A, rng.uniform(0, 1, m), lower=-rng.uniform(0, 1, m))


def pretend(monkeypatch: pytest.MonkeyPatch, value: bool) -> None:
    """Whether the host would have to wait for a look, as all modules see it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("baselines.") and hasattr(module, "unseen"):
            monkeypatch.setattr(module, "unseen", lambda y: value or y.device.type != "cpu")


class ProjectionKernelContract:
    device: ClassVar[str]
    batches: ClassVar[tuple[int, ...]]

    def on_device(self, project: AbstractProjection, y: Tensor) -> Projection:
        """The answer there; the statuses are not asked for."""
        with pytest.MonkeyPatch.context() as patch:
            pretend(patch, True)
            return project(y if y.device.type == self.device else y.to(self.device))

    def compare(self, project: AbstractProjection, y: Tensor, accuracy: float = 1e-10) -> Projection:
        found, expected = self.on_device(project, y), project(y)
        assert found.x.device.type == self.device and found.x.dtype == y.dtype
        scale = float(y.double().nan_to_num(0.0, 0.0, 0.0).abs().max()) if y.numel() else 0.0
        close = accuracy if y.dtype == torch.float64 else 8 * torch.finfo(y.dtype).eps
        torch.testing.assert_close(found.x.cpu(), expected.x, rtol=0, atol=close * scale, equal_nan=True)
        assert found.status.tolist() == expected.status.tolist()
        return found

    @contextmanager
    def trips(self) -> Iterator[list[str]]:
        """What the host waits for in the block."""
        if self.device == "cpu":
            with round_trips() as found:
                yield found
            return
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield []
        finally:
            torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.parametrize("name", ACTIVE_SETS)
    def test_active_set(self, name):
        P = ACTIVE_SETS[name]
        project = baselines.projection("batched_active_set")(P)
        for batch in self.batches:
            for scale in (1.0, 1e6) if batch == self.batches[0] else (1.0,):
                found = self.compare(project, scale * normal(batch, P.n))
                assert (found.info["kkt"] <= 1e-11).all()

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("method", ["batched_active_set", *CLOSED])
    def test_every_case(self, method, dtype):
        """Points that are not finite among them, in batches of several dimensions and of none."""
        entry = baselines.projection(method)
        served = [case for case in CASES.values() if entry.accepts(case.polyhedron) is None]
        assert served
        for case in served:
            y = points(case, count=6).to(dtype)
            y[1, 0], y[3, -1] = torch.nan, -torch.inf
            project = entry(case.polyhedron)
            self.compare(project, y.reshape(2, 3, -1), 1e-12)
            self.compare(project, y[:0]), self.compare(project, y[0])

    def test_hard_knapsacks_and_sequences(self):
        rng, case = np.random.default_rng(7), CASES["knapsack"]
        y = 30 * rng.standard_normal((12, 10))
        y[1::4], y[2::4] = np.round(2 * y[1::4]) / 2, 30 * np.sign(y[2::4])
        y[3::4] *= 10 ** rng.uniform(-8, 0, (3, 10))
        self.compare(baselines.projection("closed_knapsack")(case.polyhedron), torch.from_numpy(y), 1e-13)
        project = baselines.projection("closed_isotonic")(Polyhedron.monotone(23))
        rows = [np.arange(23.0), -np.arange(23.0), np.zeros(23), np.round(rng.standard_normal(23))]
        y = np.concatenate([rows, rng.standard_normal((40, 23))])
        self.compare(project, torch.from_numpy(y), 1e-13)

    @pytest.mark.parametrize("method", ["batched_active_set", *CLOSED])
    def test_the_host_looks_at_nothing(self, method):
        entry = baselines.projection(method)
        for case in CASES.values():
            if entry.accepts(case.polyhedron) is None:
                project, y = entry(case.polyhedron), points(case, count=3).float().to(self.device)
                self.on_device(project, y)  # constants go to the device, kernels are compiled
                with self.trips() as found:
                    result = self.on_device(project, y)
                assert not found, found
                with self.trips() as found:
                    if self.device == "cpu":
                        _ = result.status
                assert self.device == "cuda" or found, "the statuses are known without a look"

    def test_repair_looks_once(self):
        P = ACTIVE_SETS["more rows than features"]
        project = baselines.projection("batched_active_set")(P, repair=True)
        y = normal(3, P.n).to(self.device)
        self.on_device(project, y)
        if self.device == "cpu":
            with self.trips() as found:
                self.on_device(project, y)
            assert len(found) == 1 and "nonzero" in found[0], found

    def test_repair_takes_what_the_kernel_could_not_certify(self, monkeypatch):
        from baselines.triton_ import active_set

        original = active_set.multipliers

        def spoilt(*arguments):
            u, kkt = original(*arguments)
            u[::2], kkt[::2] = 0.0, 1.0
            return u, kkt

        monkeypatch.setattr(active_set, "multipliers", spoilt)
        P = ACTIVE_SETS["more rows than features"]
        y = normal(4, P.n)
        left = self.on_device(baselines.projection("batched_active_set")(P), y)
        assert left.status.tolist() == [Status.INACCURATE, Status.SOLVED] * 2
        self.compare(baselines.projection("batched_active_set")(P, repair=True), y)

    @pytest.mark.parametrize("P", [two_sided(12, 30), Polyhedron(cone(10, 40))], ids=["two-sided", "cone"])
    def test_certificate_is_that_of_the_batch(self, P):
        """Of answers, and of multipliers that are none."""
        from tests.contracts.kkt_kernel import residuals

        dual, y = dual_of(P).to(torch.device(self.device)), normal(5, P.n).to(self.device)
        e, norm = y @ dual.A.mT - dual.h, y.norm(dim=-1)
        size = scale_of(dual, e, norm[:, None])
        for wrong in (normal(5, len(dual.h), seed=5), normal(5, len(dual.h), seed=6).relu(), 0 * e.cpu()):
            u = wrong.to(self.device)
            found, expected = residuals(dual, e, u, size), kkt_residual(dual, e, u, size)
            assert (expected > 1e-3).any()
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)

    def test_rows_that_nearly_depend_on_each_other(self):
        P = thin_slabs(25, 30, 1e-2)
        y = 1e3 * normal(4, 25, seed=5)
        found = self.on_device(baselines.projection("batched_active_set")(P), y)
        assert set(found.status) == {Status.SOLVED} and (found.info["kkt"] <= 5e-11).all()

    def test_norms_that_overflow_are_failures(self):
        P = SETS["few rows"]
        y = normal(2, P.n)
        y[0] *= 1e200
        found = self.on_device(baselines.projection("batched_active_set")(P), y)
        assert found.status.tolist() == [Status.FAILED, Status.SOLVED], found.status
        assert found.x[0].isnan().all()

    def test_an_empty_set_is_known_without_a_look(self):
        P = Polyhedron([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], [1.0, -2.0])
        project = baselines.projection("batched_active_set")(P)
        y = torch.zeros(2, 3, device=self.device)
        with self.trips() as found, pytest.raises(InfeasibleError):
            self.on_device(project, y)
        assert not found, found

    def test_more_rows_than_a_tableau_holds(self):
        P = Polyhedron(cone(40, 150))
        y = normal(5, 40)
        y[2, 3] = torch.nan
        self.compare(baselines.projection("batched_active_set")(P), y)

    def test_training_step(self):
        case = CASES["two-sided rows and a box"]
        layer = DifferentiableProjection(baselines.projection("batched_active_set")(case.polyhedron))
        y, weights = points(case, count=5), normal(5, case.polyhedron.n)
        y[2, 0] = torch.nan
        leaf = y.to(self.device, copy=True).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            pretend(patch, True)
            (layer(leaf) * weights.to(self.device)).sum().backward()
            leaf.grad = None
            there = weights.to(self.device)
            with self.trips() as found:
                (layer(leaf) * there).sum().backward()
        assert not found, found
        assert leaf.grad[2].isnan().all(), "no point, no gradient"
        kept = [0, 1, 3, 4]
        clean = y[kept].requires_grad_()
        (layer(clean) * weights[kept]).sum().backward()
        torch.testing.assert_close(leaf.grad[kept].cpu(), clean.grad, rtol=0, atol=1e-9)
