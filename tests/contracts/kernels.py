"""The contract of the fused kernels, on a CUDA device or under Triton's interpreter; oracle: the plain path.

A subclass gives `device`, `batch` and `sizes`, the (n, m) of the sets.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.problems.random_cone import random_cone
from constrained import Polyhedron, kernels
from constrained.kernels.half_spaces import plain as half_spaces_plain
from constrained.kernels.refined import gradient_of_pull
from constrained.kernels.refined import plain_backward as pull_plain_backward
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
def built(
    kind: str, size: tuple[int, int], strict: bool, gradient: str, steps: int = 4
) -> AbstractParameterization:
    entry, family = KINDS[kind]
    n, m = size
    options = {"steps": steps} if entry is Refined else {"gradient": gradient}
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


def close(x: Tensor, expected: Tensor, size: Tensor, roundings: float, but: float = 0.0) -> bool:
    """Each sample within some roundings of its own dtype and of float32 sums, relative to its largest.

    But a share may be off: a gradient is another one where two levels, or a level and its bound, are the same
    up to rounding.
    """
    assert x.shape == expected.shape and x.dtype == expected.dtype
    scale = torch.maximum(expected.float().abs().amax(-1), size.float().abs().amax(-1))
    roundings *= max(1.0, x.shape[-1] / 100)  # of sums in another order
    eps = 2.0**-23 * roundings + (0 if x.dtype == torch.float32 else 2 * torch.finfo(x.dtype).eps)
    off = (x.float() - expected.float()).abs().amax(-1)
    wrong = ~(off <= eps * scale + torch.finfo(x.dtype).tiny)
    return int(wrong.sum()) <= int(but * len(x))


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
            inward = size in self.sizes[:2] and not kind.startswith("refined") and dtype != torch.float16
            for gradient in ("exact", "inward") if inward else ("exact",):
                module = built(kind, size, strict, gradient).to(self.device)
                z = self.points(module, dtype).requires_grad_()
                again = z.detach().clone().requires_grad_()
                x, expected = fused(module, z), plain(module, again)
                assert close(x, expected, z, 64)
                v = self.points(module, dtype, seed=1)
                x.backward(v), expected.backward(v)
                assert z.grad is not None and again.grad is not None
                assert close(z.grad, again.grad, v, 256, 0.005), gradient

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
    @pytest.mark.parametrize("kind", ["refined on a cone", "refined on a polytope"])
    def test_refined_in_inference_is_the_plain_path(self, kind, strict, dtype):
        for size in self.sizes[:2]:
            module = built(kind, size, strict, "exact").to(self.device)
            z = self.points(module, dtype)
            assert close(fused(module, z), plain(module, z), z, 64)

    @pytest.mark.parametrize("kind", KINDS)
    def test_samples_that_are_not_finite_or_huge(self, kind):
        for strict, size in product((False, True), self.sizes[:2]):
            module = built(kind, size, strict, "exact").to(self.device)
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
        for k, size in enumerate(self.sizes):
            scales = (1e-3, 1e3) if k == 1 else (1.0,)
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

    def test_strict_half_spaces_moves_within_the_affine_hull(self):
        """Samples that are moved instead, beside others, where the set has equalities."""
        A, C = [[1.0, 0.5, 0.0, 1.0], [0.0, 1.0, 1.0, -1.0]], [[1.0, 1.0, 1.0, 1.0], [0.5, -1.0, 0.0, 1.0]]
        P = Polyhedron(A, b=[1e-3, 1.0], lower=[0.0, -1.0], C=C, d=[0.5, 0.1])
        module = HalfSpaces(P, strict=True).to(self.device)
        z = self.points(module, torch.float32, batch=self.batch)
        z[1::3] *= 1e4
        v = self.points(module, torch.float32, batch=self.batch, seed=1)
        z[4], z[7] = 3e38, float("nan")
        again = z.clone().requires_grad_()
        x, expected = fused(module, z.requires_grad_()), plain(module, again)
        moved = torch.arange(1, len(z), 3, device=z.device)
        ends = plain(module.finish, again[moved[3:]])
        assert close(expected[moved[3:]], ends, ends, 8), "moved instead"
        assert x[7].isnan().all() and torch.equal(x[4], expected[4]), "NaN, and the anchor"
        assert close(x[:4], expected[:4], z[:4], 64) and close(x[8:], expected[8:], z[8:], 64)
        finite = torch.arange(len(x), device=x.device) != 7
        assert exactly_feasible(P.A, P.b, P.lower, x[finite]).all()
        x.backward(v), expected.backward(v)
        assert z.grad is not None and again.grad is not None
        assert close(z.grad[:4], again.grad[:4], v[:4], 256)
        assert close(z.grad[8:], again.grad[8:], v[8:], 256, 0.005)
        # Those of moved samples are small, since a large step is taken along the way to the centre.
        off, size = (t[moved[3:]].abs().amax(-1) for t in (z.grad - again.grad, again.grad))
        assert (off > 1e-2 * size).float().mean() <= 0.005 and (size > 0).all()

    @pytest.mark.parametrize("strict, dtype", [(False, torch.float32), (True, torch.bfloat16)], ids=str)
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("refined")])
    def test_many_rows(self, kind, strict, dtype):
        n, m = 140, 200
        module = built(kind, (n, m), strict, "inward").to(self.device)
        rows = module.rows.shape[1]
        assert rows > kernels.MOST_REGISTERS and kernels.usable(
            self.points(module, dtype).as_subclass(OnCuda), n, rows
        )
        z = self.points(module, dtype).requires_grad_()
        again = z.detach().clone().requires_grad_()
        x, expected = fused(module, z), plain(module, again)
        # The square matrix of half-spaces is badly conditioned: its inverse has entries near 100.
        roundings = 64 if kind in ("shift", "gauge") else 64 * float(module.inverse.abs().max())
        assert close(x, expected, z, roundings)
        if strict:
            entry, family = KINDS[kind]
            P = family(n, min(m, n) if entry is HalfSpaces else m)
            assert exactly_feasible(P.A, P.b, P.lower, x).all()
        v = self.points(module, dtype, seed=1)
        x.backward(v), expected.backward(v)
        assert z.grad is not None and again.grad is not None
        assert close(z.grad, again.grad, v, 4 * roundings, 0.005)

    @pytest.mark.parametrize("steps", [1, 2, 17, 18, 40])
    @pytest.mark.parametrize("kind", ["refined on a cone", "refined on a polytope"])
    def test_backward_of_the_pull_keeps_the_signs_of_every_step(self, kind, steps):
        module = built(kind, self.sizes[0], False, "exact", steps).to(self.device)
        z = self.points(module, torch.float32)
        # At 0, where a cone has v = 0 in every step; its sign is neither 1 nor -1.
        z[3] = 0
        z.requires_grad_()
        again = z.detach().clone().requires_grad_()
        v = self.points(module, torch.float32, seed=1)
        pulled = undressed(module.pull(z if z.is_cuda else z.as_subclass(OnCuda)))
        with kernels.fused(False):
            expected = module.pull(again)
        assert close(pulled, expected, z, 64)
        pulled.backward(v), expected.backward(v)
        assert z.grad is not None and again.grad is not None
        assert close(z.grad, again.grad, v, 256, 0.005)

    @pytest.mark.parametrize("kind", KINDS)
    def test_layouts_in_memory(self, kind):
        """Transposed, misaligned, strided, one sample: the same values as those of a contiguous batch."""
        for size in self.sizes[: 1 if kind.startswith("refined") else 2]:
            module = built(kind, size, False, "exact").to(self.device)
            z = self.points(module, torch.float32)
            wide = torch.cat([z[:, :1], z], 1)
            expected, v = fused(module, z), self.points(module, torch.float32, seed=1)
            (g,) = torch.autograd.grad(fused(module, z.requires_grad_()), z, v)
            layouts = {
                "transposed": z.detach().mT.contiguous().mT,
                "misaligned": wide[:, 1:],
                "strided": torch.stack([z.detach(), z.detach()], 1)[:, 0],
            }
            for name, other in layouts.items():
                assert torch.equal(fused(module, other), expected), name
                other = other.requires_grad_()
                (again,) = torch.autograd.grad(fused(module, other), other, v.mT.contiguous().mT)
                assert torch.equal(again, g), name
            one = z.detach()[:1]
            assert close(fused(module, one), expected[:1], one, 64)

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

    @pytest.mark.parametrize("n, q", [(20, 5), (150, 5), (40, 40)])
    def test_half_spaces_by_themselves(self, n, q):
        """With margins that are large, for some rows only, and for every sign of the excess."""
        generator = torch.Generator().manual_seed(5)
        rows, inverse = torch.randn(n, q, generator=generator), torch.randn(q, n, generator=generator) / n
        upper, x = torch.rand(q, generator=generator), torch.randn(self.batch, n, generator=generator)
        move = (rows, -upper, torch.zeros(n), torch.zeros(n))
        margin, moving = [0.1, 0.01, 0.2, 10.0, 1e30], [0.0, 0.0, 1.0, 1e30, 1e30]
        for tightened in (0, q - 2, q):
            arguments = (x, rows, inverse, upper, upper - 0.5, move, margin, moving, tightened)
            here = [[v.to(self.device) for v in a] if isinstance(a, tuple) else a for a in arguments]
            here = [a.to(self.device) if isinstance(a, Tensor) else a for a in here]
            found = kernels.half_spaces(*here, False, False, False, torch.float32)
            expected = half_spaces_plain(*here, False, False, False, torch.float32)
            assert close(found[0], expected[0], expected[0], 64) and not found[2].any()
            assert (found[1] == expected[1]).float().mean() > 0.999, "signs"

    def test_pull_by_itself_where_v_is_zero(self):
        """Exact zeros before steps that make something of them."""
        n, generator = 3, torch.Generator().manual_seed(6)
        factor, gram = torch.randn(2, n, n, generator=generator).unbind()
        one, x = torch.eye(n), torch.randint(-1, 2, (self.batch, n), generator=generator).float()
        constants = (one, torch.zeros(n), one, 0.3 * factor, gram @ gram.mT, torch.ones(n), torch.zeros(n))
        here = [v.to(self.device) for v in (torch.randn(self.batch, n, generator=generator), x, *constants)]
        found = gradient_of_pull(*here, 3, 0.1, False)
        expected = pull_plain_backward(*here, 3, 0.1, False)
        assert close(found, expected, expected, 64)

    @pytest.mark.parametrize("n", [3, 150, 1500])
    def test_of_rows_that_tie_the_first_is_the_worst(self, n):
        rows = torch.zeros(n, 4)
        rows[:, 1:] = 1.0
        x, zero = torch.ones(self.batch, n), torch.zeros(n)
        bias = torch.tensor([0.0, -1.0, -1.0, -1.0])
        here = [v.to(self.device) for v in (x, rows, bias, zero)]
        _, worst, h = kernels.move(*here, None, None, [], False, False, False, torch.float32)
        assert (worst == 1).all() and (h == n - 1).all()

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
