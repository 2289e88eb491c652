"""The same maps and projections on a CUDA device; run by `make bench-cuda`."""

import pytest
import torch

import baselines
import constrained as cn
from bench.problems.random_cone import random_cone
from bench.timing import measure
from constrained.parameterizations import PARAMETERIZATIONS

pytestmark = pytest.mark.cuda
P = random_cone(12, 6)


@pytest.mark.parametrize("entry", PARAMETERIZATIONS, ids=lambda entry: entry.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_map_gives_the_same_on_both_devices(entry, dtype):
    if entry.name == "rays":
        pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
    layer = cn.constrain(P, method=entry.name).to(dtype)
    z = torch.randn(64, layer.in_features, dtype=dtype)
    here = layer(z)
    there = layer.to("cuda")(z.to("cuda"))
    assert there.is_cuda and there.dtype == dtype
    assert torch.allclose(there.cpu(), here, atol=1e3 * torch.finfo(dtype).eps)
    assert P.violation(there).is_cuda and float(P.violation(there).max()) < 1e-4


@pytest.mark.parametrize("name", baselines.available())
def test_a_projection_takes_and_returns_cuda_tensors(name):
    y = torch.randn(8, 12, device="cuda")
    result = baselines.projection(name)(P)(y)
    assert result.x.is_cuda and result.x.dtype == torch.float32
    assert float(P.violation(result.x).max()) < 1e-4


def test_the_papers_layer_trains():
    layer = cn.ConstrainedLinear(5, P, method="half_spaces", box=True).to("cuda")
    x = layer(torch.randn(32, 5, device="cuda"))
    x.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_timing_waits_for_the_result():
    """A product this large takes far longer than its launch, so an unsynchronised clock would show."""
    a = torch.randn(8192, 8192, device="cuda")
    device = torch.device("cuda")
    found = measure({"once": lambda: a @ a, "many": lambda: [a @ a for _ in range(8)]}, device, 0.2)
    assert min(found["many"].seconds) > 3 * min(found["once"].seconds)
