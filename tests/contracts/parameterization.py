"""The contract that every parameterization keeps; a method's own test adds what is peculiar to it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from constrained import InvalidInputError, Polyhedron

# Unequal n, m, p, so that a swap of two of them cannot pass.
RNG = np.random.default_rng(7)
INTERIOR = RNG.standard_normal(9)


def cone(n: int, m: int) -> np.ndarray:
    # Near the identity, so that the condition number stays small: rounding grows with it.
    A = 2 * np.eye(m, n) + 0.5 * RNG.standard_normal((m, n))
    return A * -np.sign(A @ INTERIOR[:n])[:, None]


SETS = {
    "m < n": Polyhedron(cone(7, 3)),
    "m = n": Polyhedron(cone(5, 5)),
    "m > n": Polyhedron(np.vstack([cone(4, 4), cone(4, 4) @ np.diag([1, 1, 1, 0.1])])),
    "one row": Polyhedron(cone(6, 1)),
    "m = 0": Polyhedron(np.zeros((0, 3))),
    "repeated and zero rows": Polyhedron(np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])),
    "with an equality": Polyhedron(cone(5, 3), C=RNG.standard_normal((1, 5))),
    "two-sided": Polyhedron(RNG.standard_normal((3, 7)), b=[1.0, np.inf, 0.5], lower=[-1.0, -2.0, 0.5]),
    "box": Polyhedron.box([-1.0, 0.25, -np.inf, 0.0], [1.0, 0.5, 3.0, np.inf]),
    "simplex": Polyhedron.simplex(5, total=2.0),
    "monotone": Polyhedron.monotone(6),
    "polytope": Polyhedron(RNG.standard_normal((12, 3)), b=RNG.uniform(0.5, 1.0, 12)),
    "product": Polyhedron.product(Polyhedron.simplex(3), Polyhedron(cone(4, 3), 1.0), Polyhedron.simplex(3)),
    "shifted": Polyhedron(RNG.standard_normal((2, 4)), b=[1.0, -2.0]),
}


def latent(module: torch.nn.Module, dtype: torch.dtype, *batch: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, module.in_features, generator=generator, dtype=torch.float64).to(dtype)


def excess(polyhedron: Polyhedron, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Violation as a multiple of one rounding of the largest sum that the map can have formed.

    A map may cancel a large latent point against a correction, so its size counts, not only that of x.
    """
    size = torch.maximum(x.double().abs().sum(-1), z.double().abs().sum(-1))
    size = size * np.abs(polyhedron.A).max(initial=1.0)
    bounds = np.concatenate([polyhedron.b, polyhedron.lower, polyhedron.d, [0.0]])
    offset = np.abs(bounds[np.isfinite(bounds)]).max()
    return polyhedron.violation(x) / (torch.finfo(x.dtype).eps * (size + offset) + 1e-300)


class ParameterizationContract:
    """A subclass gives the fixtures `set_name`, a name in SETS, and `build`, name -> module in float32."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
    def test_every_output_is_feasible(self, build, set_name, dtype, scale):
        module = build(set_name).to(dtype)
        z = scale * latent(module, dtype, 200)
        x = module(z)
        assert x.shape == (200, SETS[set_name].n) and x.dtype == dtype
        assert excess(SETS[set_name], z, x).max() <= 16

    def test_shapes(self, build, set_name):
        module = build(set_name)
        z = latent(module, torch.float32, 2, 3)
        x = module(z)
        assert x.shape == (2, 3, SETS[set_name].n)
        assert torch.allclose(module(z[1, 2]), x[1, 2], atol=1e-5)
        assert module(z[:0]).shape == (0, 3, SETS[set_name].n)

    def test_bad_input_is_refused(self, build, set_name):
        module = build(set_name)
        with pytest.raises(InvalidInputError, match=r"shape.*found"):
            module(torch.zeros(2, module.in_features + 1))
        with pytest.raises(InvalidInputError, match="floating"):
            module(torch.zeros(2, module.in_features, dtype=torch.int64))
        with pytest.raises(InvalidInputError, match="shape"):
            module(torch.tensor(0.0))

    def test_gradients(self, build, set_name):
        module = build(set_name).double()
        z = latent(module, torch.float64, 3).requires_grad_()
        assert torch.autograd.gradcheck(module, (z,))
        kink = torch.zeros(1, module.in_features, dtype=torch.float64, requires_grad=True)
        module(kink).sum().backward()
        assert kink.grad is not None and kink.grad.isfinite().all()

    def test_stays_feasible_while_training(self, build, set_name):
        module = build(set_name)
        linear = torch.nn.Linear(4, module.in_features)
        optimizer = torch.optim.SGD(linear.parameters(), lr=0.5)
        inputs = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
        for _ in range(3):
            optimizer.zero_grad()
            (module(linear(inputs)) - 1).square().mean().backward()
            optimizer.step()
            z = linear(inputs).detach()
            assert excess(SETS[set_name], z, module(z)).max() <= 16

    def test_state_dict_round_trip(self, build, set_name):
        module = build(set_name)
        other = deepcopy(module)
        for buffer in other.buffers():
            buffer.zero_()
        other.load_state_dict(module.state_dict())
        z = latent(module, torch.float32, 5)
        assert torch.equal(other(z), module(z))

    def test_double_restores_what_float32_rounded(self, build, set_name):
        module = build(set_name)
        back = deepcopy(module).half().double()
        for (name, buffer), other in zip(module.double().named_buffers(), back.buffers(), strict=True):
            assert torch.equal(buffer, other), name

    def test_loaded_values_are_kept(self, build, set_name):
        module, state = build(set_name), {}
        for name, buffer in module.state_dict().items():
            state[name] = buffer * 1.5 + 0.25 if buffer.is_floating_point() else buffer
        module.load_state_dict(state)
        kept = module.double().state_dict()
        assert all(torch.equal(kept[name], value.to(kept[name].dtype)) for name, value in state.items())

    def test_onto(self, build, set_name):
        """Every point of the set is a value: for a map with n latent features, it is its own preimage."""
        module, polyhedron = build(set_name).double(), SETS[set_name]
        assert module.surjective, "a map that is not onto needs a test of its own instead of this one"
        points = module(latent(module, torch.float64, 20, seed=5))
        again = module(preimage(module, points))
        assert torch.allclose(again, points, atol=1e-7 * float(points.abs().max() + 1))
        assert polyhedron.contains(again, tol=1e-6).all()


def preimage(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A latent point of `x`: itself where the map is the identity on the set, else by least squares."""
    if module.projection:
        return x
    from scipy.optimize import nnls

    rays, weight = module.rays.numpy(), 1e3
    points = getattr(module, "vertices", torch.zeros(0, x.shape[-1])).numpy()
    several = len(points) > 1
    target = x.numpy() - (points.sum(0) if not several else 0)
    generators = np.concatenate([points if several else points[:0], rays])
    # One more equation: the weights of the vertices sum to 1.
    sums = weight * (np.arange(len(generators)) < len(points) * several)
    system = np.vstack([generators.T, sums])
    found = np.array([nnls(system, np.append(t, weight * several))[0] for t in target])
    split = len(points) * several
    # softmax: a weight of 0 is as good as exp(-700)
    return torch.tensor(np.concatenate([np.log(np.maximum(found[:, :split], 1e-300)), found[:, split:]], 1))
