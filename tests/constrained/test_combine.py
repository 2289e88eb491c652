"""Generators that are mostly zeros: the operator for CUDA, its kernel, and no product with the zeros."""

import os
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import constrained as cn
from bench.problems.checkerboard import checkerboard
from bench.problems.random_cone import random_cone
from constrained import kernels
from constrained.kernels.combine import LANES, arrange, combine, gradient_of_combine
from constrained.parameterizations import rays
from tests.contracts.deployment import OLD_JIT
from tests.contracts.kernels import OnCuda, undressed
from tests.contracts.parameterization import latent
from tests.interpreter import run_under_triton_interpreter

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")
needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="the extra 'cuda' is not installed: triton"
)
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

SETS = {
    "checkerboard": checkerboard(8, 8, 4),
    "orthant": cn.Polyhedron.nonnegative(37),
    "one vertex": cn.Polyhedron(np.eye(3, 5), b=[1.0, 2.0, 3.0]),
    "an empty feature": cn.Polyhedron(-np.eye(3, 4), C=[[0.0, 0.0, 0.0, 1.0]]),
    "small cone": random_cone(3, 4),
}
OPTIONS = [{}, {"lines": "free"}, {"coefficients": "relu"}, {"lines": "free", "coefficients": "softplus"}]


@pytest.fixture(autouse=True)
def as_on_cuda(monkeypatch):
    monkeypatch.setattr(rays, "runs_kernels", lambda x: True)
    monkeypatch.setattr(kernels._choice, "_found", lambda: True)


def layer_of(name: str, **options) -> rays.Rays:
    layer = cn.constrain(SETS[name], "rays", **options)
    assert isinstance(layer, rays.Rays) and "entries_index" in layer._buffers
    return layer


def both(layer, z, v, as_on_cuda=lambda z: z.as_subclass(OnCuda)):
    """Value and gradient with the operator, and without."""
    for fused in (True, False):
        with kernels.fused(fused):
            given = z.clone().requires_grad_()
            x = undressed(layer(as_on_cuda(given)))
            x.backward(v)
            yield x.detach(), given.grad


class TestContract:
    """Of the operator on the CPU, in the interpreter, on a device."""

    device = "cpu"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    @pytest.mark.parametrize("name", SETS)
    def test_value_and_gradient_are_those_of_the_plain_path(self, name, options, dtype):
        layer = layer_of(name, **options).to(self.device)
        for batch in (19, 1, 0):
            z, v = latent(layer, dtype, batch), torch.ones(batch, layer.out_features).cumsum(1) / 10
            (x, back), (expected, expected_back) = both(layer, z.to(self.device), v.to(self.device, dtype))
            assert x.dtype == back.dtype == dtype and x.shape == expected.shape
            for value, wanted in ((x, expected), (back, expected_back)):
                eps = torch.finfo(dtype).eps * (1 if dtype == torch.float32 else 4)
                size = float(wanted.abs().max()) + 1 if batch else 1.0
                assert torch.allclose(value.float(), wanted.float(), rtol=0, atol=32 * eps * size)

    def test_several_dimensions_and_strides(self):
        layer = layer_of("checkerboard").to(self.device)
        z = latent(layer, torch.float32, 2, 3).to(self.device)
        x = undressed(layer(z.as_subclass(OnCuda)))
        assert torch.equal(undressed(layer(z[1, 2].as_subclass(OnCuda))), x[1, 2])
        other = z.transpose(0, 1)
        assert torch.equal(undressed(layer(other.as_subclass(OnCuda))), x.transpose(0, 1))
        z = z.requires_grad_()
        layer(z.as_subclass(OnCuda)).sum().backward()  # a gradient that is expanded
        assert z.grad is not None and z.grad.abs().sum() > 0

    def test_kinks_have_the_gradient_0_and_nan_stays_in_its_sample(self):
        for options in ({}, {"coefficients": "relu"}):
            layer = layer_of("checkerboard", **options).to(self.device)
            z = torch.zeros(3, layer.in_features, device=self.device)
            z[1] = float("nan")
            z.requires_grad_()
            x = undressed(layer(z.as_subclass(OnCuda)))
            assert torch.equal(x[[0, 2]], torch.zeros_like(x[[0, 2]])) and x[1].isnan().all()
            x[0].sum().backward()
            assert torch.equal(z.grad[[0, 2]], torch.zeros_like(z.grad[[0, 2]]))

    def test_strict_values_satisfy_every_row(self):
        layer = cn.constrain(SETS["checkerboard"], "rays", strict=True).to(self.device)
        for dtype in (torch.float32, torch.bfloat16):
            x = undressed(layer(latent(layer, dtype, 50).to(self.device).as_subclass(OnCuda)))
            assert x.dtype == dtype and SETS["checkerboard"].contains(x.double().cpu()).all()


@pytest.mark.cuda
class TestOnCuda(TestContract):
    device = "cuda"


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="this is the interpreter")
def test_the_kernel_under_the_interpreter():
    run_under_triton_interpreter("-W", "ignore::RuntimeWarning", __file__, "-k", "TestContract")


@needs_triton
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_the_kernel_compiles_for_a_device_that_is_not_here(back, relu):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from constrained.kernels.triton_.combine import SAMPLES, UNROLLED, _combine

    options = {"SAMPLES": SAMPLES, "LANES": LANES, "UNROLLED": UNROLLED, "RELU": relu, "BACK": back}
    pointers = {"index": "*i32", "feature": "*i32", "starts": "*i32", "counts": "*i32", "value": "*fp32"}
    pointers |= dict.fromkeys("xzy", "*bf16") | dict.fromkeys(options, "constexpr")
    signature = {name: pointers.get(name, "i32") for name in _combine.arg_names}
    source = ASTSource(fn=_combine, signature=signature, constexprs=options)
    text = triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]
    assert ".target sm_80" in text and "fma.rn.f32" in text


def test_the_operator_as_torch_sees_it():
    layer = layer_of("checkerboard")
    entries, back = (
        [getattr(layer, f"{kind}_{key}") for key in rays.ENTRIES] for kind in ("entries", "back")
    )
    z = latent(layer, torch.float32, 5).requires_grad_()
    rest = (entries, back, layer.out_features, layer.in_features, False, torch.float32)
    torch.library.opcheck(combine, (z, *rest))
    torch.library.opcheck(gradient_of_combine, (torch.ones(5, 64), z.detach(), back, 3, True))
    nested = latent(layer, torch.float32, 2, 3)
    run = lambda z: combine(z, *rest)  # noqa: E731
    expected = run(nested.flatten(0, 1)).view(2, 3, -1)
    assert torch.equal(torch.func.vmap(run)(nested), expected)


@OLD_JIT
def test_first_and_second_derivatives(monkeypatch):
    monkeypatch.setattr(kernels._choice, "DTYPES", (torch.float64,))
    for options in OPTIONS[:3]:
        layer = layer_of("one vertex", **options).double()
        z = latent(layer, torch.float64, 3).requires_grad_()
        run = lambda z, layer=layer: undressed(layer(z.as_subclass(OnCuda)))  # noqa: E731
        assert torch.autograd.gradcheck(run, (z,)) and torch.autograd.gradgradcheck(run, (z,))


@pytest.mark.parametrize("features", [1, 31, 32, 33, 100])
def test_entries_are_arranged_in_blocks(features):
    rng = np.random.default_rng(features)
    M = rng.standard_normal((50, features)) * (rng.random((50, features)) < 0.1)
    i, j = M.nonzero()
    table = arrange(i, j, M[i, j], features)
    assert len(table["start"]) == -(-features // LANES)
    again = np.zeros_like(M)
    real = table["index"] >= 0
    np.add.at(again, (table["index"][real], table["feature"][real]), table["value"][real])
    assert np.array_equal(again, M)
    firsts = np.concatenate([table["feature"][s : s + LANES] for s in table["start"]])
    assert sorted(firsts[firsts >= 0]) == list(range(features)), "each feature is written once"
    assert (np.diff(table["count"]) <= 0).all() and (table["count"] >= 1).all()


def test_after_loading_and_conversion_the_entries_are_those_of_the_generators():
    layer, other = layer_of("checkerboard"), layer_of("checkerboard")
    assert not any(key.startswith(("entries", "back", "own")) for key in layer.state_dict())
    other.load_state_dict({k: 2 * v if k == "directions" else v for k, v in layer.state_dict().items()})
    z, v = latent(layer, torch.float32, 5), torch.ones(5, 64)
    (x, _), (expected, _) = both(other, z, v)
    assert torch.allclose(x, expected, atol=1e-5) and not torch.allclose(x, layer(z), atol=1e-2)
    other.load_state_dict({k: v + 0.5 if k == "directions" else v for k, v in layer.state_dict().items()})
    (x, _), (expected, _) = both(other, z, v)
    assert torch.allclose(x, expected, atol=1e-4), "no longer mostly zeros"
    doubled = layer.double()
    assert doubled.entries_value.dtype == torch.float64
    assert set(doubled.entries_value.unique().tolist()) > set(doubled.directions.unique().tolist()) - {0.0}


# -- no product with zeros ----------------------------------------------------------------------------------


def flops(layer: cn.ConstrainedLinear, as_on_cuda) -> int:
    """Of the map in a forward and a backward pass, a multiply-add being two."""
    per_entry = lambda z, entries, *_, **__: 2 * z[0] * entries[2][0]  # noqa: E731
    mapping = {
        torch.ops.constrained.combine: per_entry,
        torch.ops.constrained.combine_backward: lambda v, z, back, *_, **__: 2 * z[0] * back[2][0],
    }
    z = layer.linear(torch.randn(10, layer.in_features)).detach().requires_grad_()
    with FlopCounterMode(display=False, custom_mapping=mapping) as counted:
        layer.activation(as_on_cuda(z)).sum().backward()
    return counted.get_total_flops() // 10


CASES = {
    "the paper's": (checkerboard(), 784, 1552),
    "orthant": (cn.Polyhedron.nonnegative(150), 150, 150),
    "orthant and free features": (cn.Polyhedron(-np.eye(130, 150)), 150, 130 + 2 * 20),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("options", [{}, {"lines": "free", "coefficients": "softplus"}], ids=str)
def test_products_with_zeros(name, options):
    P, n, latents = CASES[name]
    layer = cn.ConstrainedLinear(9, P, **options)
    map_ = layer.activation
    entries = sum(int((M != 0).sum()) for M in (map_.directions, map_.diagonal, map_.others))
    if not options:
        assert map_.in_features == latents
    needed = 2 * 2 * entries  # forward and backward
    on_cpu = flops(layer, lambda z: z)
    with kernels.fused(True):
        on_cuda = flops(layer, lambda z: z.as_subclass(OnCuda))
    dense = 2 * 2 * latents * n
    assert on_cpu <= 12 * needed and on_cpu <= dense / 20
    if name != "the paper's":
        assert on_cpu == 0, "a diagonal is no product"
    # Each of the two entries of a line, and what fills up blocks.
    assert needed / 2 <= on_cuda <= 4 * needed


def test_a_dense_set_is_multiplied():
    layer = cn.constrain(random_cone(64, 32), "rays")
    assert "entries_index" not in layer._buffers and "own_ray" not in layer._buffers


@pytest.mark.parametrize(
    "P", [CASES["orthant"][0], CASES["orthant and free features"][0]], ids=["all", "some"]
)
def test_a_diagonal_gives_the_bits_of_the_product(P):
    layer = cn.constrain(P, "rays")
    z = latent(layer, torch.float32, 6).requires_grad_()
    x = layer(z)
    v = latent(layer, torch.float32, 6, seed=1)[:, : P.n]
    (back,) = torch.autograd.grad(x, z, v)
    del layer._buffers["own_ray"]
    expected = layer(z)
    assert torch.equal(x, expected) and torch.equal(back, torch.autograd.grad(expected, z, v)[0])
