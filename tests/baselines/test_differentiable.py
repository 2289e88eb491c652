"""The backward pass of a projection against finite differences and the pseudoinverse."""

import numpy as np
import pytest
import torch

import baselines
from baselines import DifferentiableProjection
from baselines.differentiable import null_component
from constrained.errors import EngineError, InfeasibleError, InvalidInputError
from constrained.polyhedron import Polyhedron
from tests import oracles
from tests.contracts.projection import CASES, EMPTY, points, set_up

pytest.importorskip("daqp", reason="not installed: daqp")
DAQP = baselines.projection("daqp")


def layer(polyhedron, name="daqp", **options):
    return DifferentiableProjection(set_up(baselines.projection(name), polyhedron), **options)


def jacobian(module, y):  # one point (n,) -> (n, n), entry [i, j] = dx_i / dy_j
    return torch.autograd.functional.jacobian(module, y).numpy()


def by_differences(polyhedron, y):
    project = set_up(DAQP, polyhedron)
    return oracles.jacobian(lambda rows: project(torch.from_numpy(rows)).x.numpy(), y.numpy())


def cone_and_box(n=8, m=3):
    A = np.random.default_rng(1).standard_normal((m, n))
    return Polyhedron(
        np.concatenate([A, 2 * np.eye(n)]),
        np.concatenate([np.zeros(m), np.full(n, 2.0)]),
        lower=np.concatenate([np.full(m, -np.inf), np.full(n, -2.0)]),
    )


SETS = {name: case.polyhedron for name, case in CASES.items()} | {
    "cone and box": cone_and_box(),
    "dependent rows": Polyhedron([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]),
    "four rows meet in a line": Polyhedron([[1.0, 1.0, 0], [1.0, -1.0, 0], [1.0, 0.5, 0], [1.0, -0.5, 0]]),
    "a fixed feature": Polyhedron([[1.0, 1.0, 1.0]], C=[[0.0, 2.0, 0.0]], d=1.0),
}


def serves_any_set(name):
    return baselines.projection(name).accepts(SETS["two-sided rows and a box"]) is None


@pytest.mark.parametrize("name", list(SETS))
def test_jacobian_at_generic_points(name):
    """Near the set and far from it, so that faces of several dimensions are met."""
    P, generator, ranks = SETS[name], torch.Generator().manual_seed(0), set()
    noise = torch.randn(2, 12, P.n, generator=generator, dtype=torch.float64)
    scales = torch.tensor([0.05, 0.3, 1.0, 4.0]).repeat(3)[:, None]
    for y in set_up(DAQP, P)(noise[0]).x + scales * noise[1]:
        found = jacobian(layer(P), y)
        assert found.shape == (P.n, P.n)
        assert np.abs(found - by_differences(P, y)).max() <= 1e-6
        ranks.add(round(np.trace(found)))
    # A set with a single Jacobian everywhere would test nothing but that one.
    assert len(ranks) > 1 or name in ("affine set", "whole space")


@pytest.mark.parametrize("name", [name for name in baselines.available() if serves_any_set(name)])
def test_every_solver_finds_the_same_active_rows(name):
    for polyhedron in (SETS["cone and box"], SETS["cone, m > n"], SETS["two-sided rows and a box"]):
        y = torch.from_numpy(3 * np.random.default_rng(3).standard_normal((10, polyhedron.n)))
        gradients = []
        for module in (layer(polyhedron), layer(polyhedron, name)):
            leaf = y.clone().requires_grad_()
            (module(leaf) ** 2).sum().backward()
            gradients.append(leaf.grad)
        assert torch.allclose(*gradients, atol=1e-4)


def test_gradcheck_in_a_batch():
    y = points(CASES["two-sided rows"])[:6].reshape(2, 3, -1).requires_grad_()
    assert torch.autograd.gradcheck(layer(CASES["two-sided rows"].polyhedron), (y,), eps=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_dtypes_and_shapes(dtype):
    """The active rows are those of the exact projection, also where the result is rounded coarsely."""
    P = SETS["cone and box"]
    y = (3 * torch.randn(2, 1, 5, P.n, generator=torch.Generator().manual_seed(0))).to(dtype)
    exact, leaf = y.to(torch.float64, copy=True).requires_grad_(), y.clone().requires_grad_()
    weights = torch.randn(P.n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = layer(P)(leaf)
    assert x.shape == y.shape and x.dtype == dtype
    (x @ weights.to(dtype)).sum().backward()
    (layer(P)(exact) @ weights.to(dtype).double()).sum().backward()
    assert leaf.grad.dtype == dtype and leaf.grad.shape == y.shape
    assert torch.allclose(leaf.grad.double(), exact.grad, atol=8 * torch.finfo(dtype).eps)


def test_forward_is_the_projection():
    P, y = SETS["cone and box"], points(CASES["cone, m < n"])
    y = torch.cat([y, y[:, :1]], -1)
    assert torch.allclose(layer(P)(y), set_up(DAQP, P)(y).x, atol=1e-12)
    assert layer(P)(y[:0].requires_grad_()).shape == (0, P.n)
    assert not list(layer(P).parameters()) and not layer(P).state_dict()
    assert "daqp" in repr(layer(P)) and "n=8" in repr(layer(P))


def test_empty_batch_has_an_empty_gradient():
    y = torch.zeros(0, 8, requires_grad=True)
    layer(SETS["cone and box"])(y).sum().backward()
    assert y.grad.shape == (0, 8)


def test_tiles_of_an_image_with_the_box():
    """16 general rows and 784 rows of one entry, against the pseudoinverse of the active rows."""
    signs = np.kron((-1.0) ** np.add.outer(range(4), range(4)), np.ones((7, 7)))
    tiles = np.kron(np.arange(16).reshape(4, 4), np.ones((7, 7)))
    A = np.stack([(signs * (tiles == t)).ravel() for t in range(16)])
    rows, upper = np.concatenate([A, np.eye(784)]), np.concatenate([np.zeros(16), np.ones(784)])
    P = Polyhedron(rows, upper, lower=np.concatenate([np.full(16, -np.inf), -np.ones(784)]))
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.uniform(-1.2, 1.2, (3, 784))).requires_grad_()
    v = torch.from_numpy(rng.standard_normal((3, 784)))
    x = layer(P)(y)
    x.backward(v)
    for point, direction, gradient in zip(x.detach().numpy(), v.numpy(), y.grad.numpy(), strict=True):
        product = rows @ point
        N = rows[(np.abs(product - upper) < 1e-9) | (np.abs(product + 1) < 1e-9) & (upper == 1)]
        assert 0 < len(N) < 784
        assert np.abs(gradient - (direction - np.linalg.pinv(N) @ (N @ direction))).max() < 1e-10


@pytest.mark.parametrize(("g", "n"), [(3, 7), (4, 4), (9, 5)])
def test_null_component_of_dependent_rows(g, n):
    rng = np.random.default_rng(g)
    rows = rng.standard_normal((g, 2)) @ rng.standard_normal((2, n))
    active, free = rng.integers(0, 2, (20, g)) * 1.0, rng.integers(0, 2, (20, n)) * 1.0
    active[0], free[1] = 0, 0
    v = rng.standard_normal((20, n))
    found = null_component(*map(torch.from_numpy, (rows, active, free, v))).numpy()
    for direction, a, f, result in zip(v, active, free, found, strict=True):
        N = np.concatenate([rows[a == 1], np.eye(n)[f == 0]])
        assert np.abs(result - (direction - np.linalg.pinv(N, rcond=1e-10) @ N @ direction)).max() < 1e-10


def test_trains_a_network_in_front():
    P = SETS["cone and box"]
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, P.n), layer(P))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    inputs, losses = torch.randn(32, 4), []
    target = set_up(DAQP, P)(torch.randn(32, P.n)).x
    for _ in range(5):
        optimizer.zero_grad()
        loss = (network(inputs) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_a_point_that_is_not_found_is_an_error():
    y = torch.zeros(3, 8)
    y[1, 2] = torch.nan
    with pytest.raises(EngineError, match="daqp found no point for 1 of 3 rows.*finite"):
        layer(SETS["cone and box"])(y)


def test_bad_input_is_refused():
    module = layer(SETS["cone and box"])
    with pytest.raises(InvalidInputError, match=r"y must have shape \(\*batch, 8\)"):
        module(torch.zeros(2, 7))
    with pytest.raises(InvalidInputError, match="floating"):
        module(torch.zeros(2, 8, dtype=torch.int64))
    with pytest.raises(InvalidInputError, match="torch.Tensor, found list"):
        module([0.0] * 8)
    with pytest.raises(InvalidInputError, match="a projection that is set up, found ABCMeta"):
        DifferentiableProjection(DAQP)
    with pytest.raises(InfeasibleError):
        layer(EMPTY["rows"])(torch.zeros(2, 3))


@pytest.mark.cuda
def test_on_a_cuda_device():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    P = SETS["cone and box"]
    y = 3 * torch.randn(5, P.n, generator=torch.Generator().manual_seed(0))
    gradients = []
    for device in ("cpu", "cuda"):
        leaf = y.to(device).requires_grad_()
        x = layer(P)(leaf)
        assert x.device.type == device
        (x**2).sum().backward()
        gradients.append(leaf.grad.cpu())
    assert torch.allclose(*gradients, atol=1e-6)
