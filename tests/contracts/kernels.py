"""The contract of the fused kernels, on a CUDA device or under Triton's interpreter; oracle: the plain path.

A subclass gives `device`, `batch` and `sizes`, the (n, m) of the sets.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.problems.random_cone import random_cone
from constrained import Polyhedron, kernels
from constrained.parameterizations import AbstractParameterization, Gauge, HalfSpaces, Refined, Shift
from tests.contracts.strict import cone_with_equalities, nearly_opposite
from tests.exactness import exactly_feasible

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def polytope(n: int, m: int, lower: bool = False) -> Polyhedron:
    """Unit rows around a point near 0, thick enough for bfloat16."""
    rng = np.random.default_rng(11)
    A = rng.standard_normal((m, n))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    middle = A @ (0.1 * rng.standard_normal(n))
    b = middle + rng.uniform(0.5, 1, m)
    return Polyhedron(A, b, lower=middle - rng.uniform(0.5, 1, m) if lower else None)


def slabs(n: int, m: int) -> Polyhedron:
    return polytope(n, m, lower=True)


KINDS = {
    "shift": (Shift, random_cone),
    "gauge": (Gauge, polytope),
    "half_spaces of a cone": (HalfSpaces, random_cone),
    "half_spaces of slabs": (HalfSpaces, slabs),
    "refined on a cone": (Refined, random_cone),
    "refined on a polytope": (Refined, polytope),
}


@cache
def built(kind: str, size: tuple[int, int], strict: bool, gradient: str) -> AbstractParameterization:
    entry, family = KINDS[kind]
    n, m = size
    options = {"steps": 4} if entry is Refined else {"gradient": gradient}
    return entry(family(n, min(m, n) if entry is HalfSpaces else m), strict=strict, **options)


class OnCuda(torch.Tensor):
    """A CPU tensor that says it is on CUDA, so that the maps call their kernels on it."""

    is_cuda = property(lambda self: True)


def fused(module: AbstractParameterization, z: Tensor) -> Tensor:
    """The value by the kernels, on any device."""
    return undressed(module(z if z.device.type == "cuda" else z.as_subclass(OnCuda)))


def undressed(x: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        return x.as_subclass(Tensor)


def plain(module: AbstractParameterization, z: Tensor) -> Tensor:
    with kernels.fused(False):
        return module(z)


def close(x: Tensor, expected: Tensor, size: Tensor, roundings: float) -> bool:
    """Each sample within some roundings of its own dtype and of float32 sums, relative to its largest."""
    assert x.shape == expected.shape and x.dtype == expected.dtype
    scale = torch.maximum(expected.float().abs().amax(-1), size.float().abs().amax(-1))
    roundings *= max(1.0, x.shape[-1] / 100)  # of sums in another order
    eps = 2.0**-23 * roundings + (0 if x.dtype == torch.float32 else 2 * torch.finfo(x.dtype).eps)
    off = (x.float() - expected.float()).abs().amax(-1)
    return bool((off <= eps * scale + torch.finfo(x.dtype).tiny).all())


class KernelContract:
    device: str
    batch: int
    sizes: tuple[tuple[int, int], ...]

    @pytest.fixture(autouse=True)
    def always_fused(self, monkeypatch):
        """Whatever the model expects to be faster."""
        monkeypatch.setattr(kernels._choice, "wins", lambda *_: True)

    def points(self, module, dtype, batch=None, seed=0, scale=3.0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        z = scale * torch.randn(batch or self.batch, module.in_features, generator=generator)
        z[::4] *= 0.01  # near the centre, some of them inside
        return z.to(dtype).to(self.device)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_value_and_gradient_are_those_of_the_plain_path(self, kind, strict, dtype):
        for size in self.sizes:
            inward = size == self.sizes[0] and not kind.startswith("refined") and dtype != torch.float16
            for gradient in ("exact", "inward") if inward else ("exact",):
                module = built(kind, size, strict, gradient).to(self.device)
                z = self.points(module, dtype).requires_grad_()
                again = z.detach().clone().requires_grad_()
                x, expected = fused(module, z), plain(module, again)
                assert close(x, expected, z, 64)
                v = self.points(module, dtype, seed=1)
                x.backward(v), expected.backward(v)
                assert z.grad is not None and again.grad is not None
                assert close(z.grad, again.grad, v, 256), gradient

    @pytest.mark.parametrize("kind", KINDS)
    def test_samples_that_are_not_finite_or_huge(self, kind):
        for strict in (False, True):
            module = built(kind, self.sizes[0], strict, "exact").to(self.device)
            z = self.points(module, torch.float32, batch=9)
            expected = fused(module, z)
            broken = z.clone()
            for sample, value in enumerate((float("nan"), float("inf"), -float("inf"), 3e38, -1e30)):
                broken[sample, sample % 3] = value
            broken[5] = 0
            x = fused(module, broken)
            assert torch.equal(x[6:], expected[6:]), "other samples are left alone"
            other = plain(module, broken)
            assert torch.equal(x.isnan()[[0, 3, 4, 5]], other.isnan()[[0, 3, 4, 5]])
            if strict:
                assert x[:3].isnan().all() and x[3:].isfinite().all()
                assert torch.equal(x[3], other[3]), "the anchor"
            assert not x[5].isnan().any()

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("kind", KINDS)
    def test_strict_values_satisfy_every_row_exactly(self, kind, dtype):
        for size, scales in zip(self.sizes, ((1.0,), (1e-3, 1e3), (1.0,)), strict=False):
            module = built(kind, size, True, "exact").to(self.device)
            entry, family = KINDS[kind]
            n, m = size
            P = family(n, min(m, n) if entry is HalfSpaces else m)
            for scale in scales:
                x = fused(module, self.points(module, dtype, scale=scale))
                assert exactly_feasible(P.A, P.b, P.lower, x).all()
                steps = torch.randint(-2, 3, x.shape, generator=torch.Generator().manual_seed(0)).to(x.device)
                near = (x.double() * (1 + steps * torch.finfo(x.dtype).eps)).to(dtype)
                assert exactly_feasible(P.A, P.b, P.lower, fused(module, near)).all()

    def test_strict_half_spaces_moves_where_bounds_are_too_near(self):
        P = Polyhedron([[1.0, 0.5, 0.0], [0.0, 1.0, 1.0]], b=[1e-3, 1.0], lower=[0.0, -1.0])
        module = HalfSpaces(P, strict=True).to(self.device)
        z = torch.tensor([[1e4, -1e4, 3.0], [0.1, 0.2, 0.3]], device=self.device).requires_grad_()
        again = z.detach().clone().requires_grad_()
        x, expected = fused(module, z), plain(module, again)
        assert close(x, expected, z, 64) and exactly_feasible(P.A, P.b, P.lower, x).all()
        x.sum().backward(), expected.sum().backward()
        assert close(z.grad, again.grad, torch.ones_like(z), 256)

    @pytest.mark.parametrize(
        "P", [cone_with_equalities(9, 5, 2), nearly_opposite(7, 1e-3)], ids=["p", "thin"]
    )
    def test_equalities_and_thin_sets(self, P):
        for entry in (Gauge, Refined, HalfSpaces):
            if entry.accepts(P) is not None:
                continue
            module = entry(P, strict=True).to(self.device)
            z = self.points(module, torch.float32, batch=6)
            x = fused(module, z)
            # A thin set makes much of roundings, so nearness is for the other one.
            assert not P.p or close(x, plain(module, z), z, 256)
            assert exactly_feasible(P.A, P.b, P.lower, x).all()

    def test_batches_of_no_sample_and_of_several_dimensions(self):
        for kind in KINDS:
            module = built(kind, self.sizes[0], False, "exact").to(self.device)
            z = torch.zeros(0, module.in_features, device=self.device, requires_grad=True)
            fused(module, z).sum().backward()
            assert z.grad is not None and z.grad.shape == z.shape
            z = self.points(module, torch.float32, batch=6)
            nested = z.view(2, 3, -1)
            assert torch.equal(fused(module, nested), fused(module, z).view(2, 3, -1))
            assert torch.equal(fused(module, nested.transpose(0, 1)).transpose(0, 1), fused(module, nested))

    def test_of_rows_that_tie_the_first_has_the_gradient(self):
        P = Polyhedron([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], b=[1.0, 1.0, 1.0])
        module = Gauge(P).to(self.device)
        z = torch.tensor([[3.0, 1.0, 0.0]], device=self.device).requires_grad_()
        again = z.detach().clone().requires_grad_()
        fused(module, z).sum().backward()
        plain(module, again).sum().backward()
        assert close(z.grad, again.grad, again.grad, 64)  # the rows are equal, so is the mean of both

    def test_narrow_points_are_read_as_they_are(self, monkeypatch):
        seen = []
        for name, kind in (("move", "gauge"), ("half_spaces", "half_spaces of slabs")):
            op = getattr(kernels, name)
            monkeypatch.setattr(kernels, name, lambda x, *rest, op=op: seen.append(x.dtype) or op(x, *rest))
            fused_value = fused(
                built(kind, self.sizes[0], True, "exact").to(self.device), self.points_for(kind)
            )
            assert fused_value.dtype == torch.bfloat16
        assert seen == [torch.bfloat16, torch.bfloat16]

    def points_for(self, kind: str) -> Tensor:
        return self.points(built(kind, self.sizes[0], True, "exact"), torch.bfloat16)
