"""`gradient="inward"`: the same values, and a backward pass that reaches latent points outside the set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import constrained as cn
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization
from tests.contracts.deployment import OLD_JIT
from tests.contracts.parameterization import SETS, latent

# torch.func uses torch.jit on its first use, and dynamo makes an instance of each autograd.Function.
DYNAMO = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
pytestmark = [OLD_JIT, DYNAMO]

INWARD = [entry for entry in PARAMETERIZATIONS if entry.inward]
PAIRS = [(entry, name) for entry in INWARD for name, P in SETS.items() if entry.accepts(P) is None]
ORTHOGONAL = cn.Polyhedron(
    [[2.0, 2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0, 0.0], [1.0, -1.0, 0.0, 0.5, 0.0]], b=0.5
)
BOX = cn.Polyhedron.box([-1.0, 0.25, -np.inf, 0.5, 0.0], [1.0, 0.5, 0.3, 0.5, np.inf])


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
def pair(request):
    return request.param


def both(pair: tuple, **options) -> tuple[AbstractParameterization, AbstractParameterization]:
    """(exact, inward)."""
    entry, name = pair
    return entry(SETS[name], **options), entry(SETS[name], gradient="inward", **options)


def pulled_back(module: nn.Module, z: Tensor, v: Tensor) -> Tensor:
    """The gradient at z of `v x`."""
    z = z.detach().requires_grad_()
    return torch.autograd.grad(module(z), z, v)[0]


def around(module: nn.Module, count: int = 40, scale: float = 3.0) -> Tensor:
    return scale * latent(module, torch.float64, count, seed=11)


class TestEveryMap:
    @pytest.mark.parametrize("strict", [False, True, "tight"])
    def test_values_and_files_are_the_same(self, pair, strict):
        try:
            exact, inward = both(pair, strict=strict)
        except cn.UnsupportedSetError:
            assert strict, "a set that is served has a plain mode"
            return
        for dtype in (torch.float32, torch.float16):
            z = 3 * latent(exact, dtype, 50, seed=1)
            assert torch.equal(inward(z), exact(z))
            assert torch.equal(inward(z.clone().requires_grad_()), exact(z))
        assert exact.state_dict().keys() == inward.state_dict().keys()
        blank = pair[0].without_setup(SETS[pair[1]], strict, gradient="inward")
        blank.load_state_dict(exact.state_dict())
        z = 3 * latent(exact, torch.float32, 20, seed=2)
        v = torch.randn(20, exact.out_features, generator=torch.Generator().manual_seed(3))
        assert torch.equal(pulled_back(blank, z, v), pulled_back(inward, z, v))

    def test_what_is_added_does_not_move_the_point(self, pair):
        """So to first order a step against the gradient is one against the derivative."""
        exact, inward = (module.double() for module in both(pair))
        z = around(exact)
        v = torch.randn(len(z), exact.out_features, dtype=z.dtype, generator=torch.Generator().manual_seed(4))
        derivative, gradient = pulled_back(exact, z, v), pulled_back(inward, z, v)
        _, along = torch.func.jvp(exact, (z,), (gradient - derivative,))
        assert along.abs().max() <= 1e-9 * (1 + v.abs().max())
        _, moved = torch.func.jvp(exact, (z,), (-gradient,))
        assert ((moved * v).sum(-1) <= 1e-9).all()

    def test_what_is_added_lowers_the_loss_in_the_end(self, pair):
        """Past the boundary, where the derivative sees nothing of it."""
        exact, inward = (module.double() for module in both(pair))
        z = around(exact)
        v = torch.randn(len(z), exact.out_features, dtype=z.dtype, generator=torch.Generator().manual_seed(5))
        added = pulled_back(inward, z, v) - pulled_back(exact, z, v)
        some = added.norm(dim=-1) > 1e-9
        x = exact(z)
        assert not some[((x - z).abs() <= 1e-12).all(-1)].any(), "a point of the set has its derivative"
        if pair[0].name in ("shift", "gauge"):  # one step a point: go along it, past the boundary
            step = -added / added.norm(dim=-1, keepdim=True).clamp_min(1e-12)
            far = 1.001 * (x - z).norm(dim=-1, keepdim=True)
            change = ((exact(z + far * step) - x) * v).sum(-1)
            assert (change[some] < 0).all()

    def test_a_sample_alone_and_vmapped(self, pair):
        _, inward = both(pair)
        inward = inward.double()
        z = around(inward, 6)
        v = torch.ones(inward.out_features, dtype=z.dtype)

        def loss(one: Tensor) -> Tensor:
            return (inward(one) * v).sum()

        expected = pulled_back(inward, z, v.expand(6, -1))
        assert torch.allclose(torch.func.vmap(torch.func.grad(loss))(z), expected, atol=1e-12)


def tangent_cone_projection(rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """`argmin |t - direction|` over `rows t <= 0`, by non-negative least squares on the multipliers."""
    from scipy.optimize import nnls

    if not len(rows):
        return direction
    return direction - rows.T @ nnls(rows.T, direction)[0]


@pytest.mark.parametrize(("P", "method"), [(BOX, "box"), (BOX, "gauge"), (ORTHOGONAL, "half_spaces")])
def test_it_is_the_projection_onto_the_tangent_cone(P, method):
    """Where the map is the orthogonal projection: the cone at x; gauge is not."""
    module = cn.constrain(P, method=method, gradient="inward").double()
    z = around(module, 30)
    v = torch.randn(30, P.n, dtype=z.dtype, generator=torch.Generator().manual_seed(6))
    gradient = pulled_back(module, z, v)
    G, h = P.inequalities()
    G, h = np.concatenate([G, P.C, -P.C]), np.concatenate([h, P.d, -P.d])
    expected = [
        tangent_cone_projection(G[G @ p >= h - 1e-9], -d)
        for p, d in zip(module(z).numpy(), v.numpy(), strict=True)
    ]
    same = torch.allclose(-gradient, torch.tensor(np.array(expected)), atol=1e-9)
    assert same == (method != "gauge")


@pytest.mark.parametrize("method", ["half_spaces", "shift", "gauge"])
def test_a_minimum_over_the_set_is_stationary(method):
    """The loss |x - y|^2 at the projection of y, from any latent point with that value."""
    A = np.array([[1.0, 2.0, 0.5], [-1.0, 1.0, 1.0]])
    module = cn.constrain(cn.Polyhedron(A, b=1.0), method=method, gradient="inward").double()
    x = torch.tensor(np.linalg.lstsq(A[:1], np.array([1.0]))[0]) + torch.tensor([1.0, -0.5, 0.0])
    y = x + 3 * torch.tensor(A[0])  # row 0 holds with equality at x and is all that keeps it from y
    assert (torch.tensor(A[1]) @ x < 0.9).all()
    outside = {"half_spaces": -module.inverse[0] if method == "half_spaces" else x}.get(method)
    if method != "half_spaces":
        outside = -module.target if method == "shift" else x - module.target
    z = (x + 0.7 * outside).requires_grad_()
    value = module(z)
    assert torch.allclose(value, x)
    gradient = torch.autograd.grad((value - y).square().sum(), z)[0]
    assert gradient.abs().max() < 1e-12
    away = torch.autograd.grad((module(z) + y).square().sum(), z)[0]
    assert away.abs().max() > 0.1


@pytest.mark.parametrize("method", ["box", "half_spaces", "shift", "gauge", "blocks"])
def test_a_saturated_feature_comes_back(method):
    """Far outside, with the target deep inside: the derivative is 0 along the way back, for ever."""
    P = (
        cn.Polyhedron.box([-1.0] * 2, [1.0] * 2)
        if method in ("box", "gauge", "blocks")
        else cn.Polyhedron(np.eye(2))
    )
    ends = []
    for gradient in ("exact", "inward"):
        options = {"methods": "box"} if method == "blocks" else {}
        module = cn.constrain(P, method=method, gradient=gradient, **options)
        z = torch.full((2,), 5.0).requires_grad_()
        optimizer = torch.optim.SGD([z], lr=0.1)
        for _ in range(200):
            optimizer.zero_grad()
            (module(z) + 0.5).square().sum().backward()
            optimizer.step()
        ends.append(float((module(z) + 0.5).square().sum().detach()))
    assert ends[0] > 0.4
    assert ends[1] < 1e-3


def test_equalities_have_nothing_to_come_back_to():
    P = cn.Polyhedron(
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], b=[1.0, 0.5], lower=[-1.0, 0.5], C=[[0.0, 1.0, 1.0]]
    )
    exact, inward = (cn.constrain(P, method="half_spaces", gradient=g).double() for g in ("exact", "inward"))
    z = torch.tensor([[0.0, 3.0, 2.0], [0.0, -3.0, -2.0]], dtype=torch.float64)
    for v in (torch.ones_like(z), -torch.ones_like(z)):
        assert torch.equal(pulled_back(inward, z, v), pulled_back(exact, z, v))


@pytest.mark.parametrize("method", ["half_spaces", "shift", "gauge"])
def test_rows_of_each_sample(method):
    """With the right-hand sides of the set given for each sample, as without."""
    P = cn.Polyhedron([[1.0, 2.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.5]], b=1.0)
    module = cn.constrain(P, method=method, gradient="inward").double()
    z = around(module, 20).requires_grad_()
    b = torch.ones(20, 2, dtype=z.dtype)
    given = torch.autograd.grad(module(z, b=b).sum(), z)[0]
    assert torch.allclose(given, torch.autograd.grad(module(z).sum(), z)[0], atol=1e-9)
    assert not torch.allclose(
        given, pulled_back(cn.constrain(P, method=method).double(), z, torch.ones_like(z))
    )


COMPILED = [
    ("box", BOX),
    ("half_spaces", SETS["two-sided"]),
    ("shift", SETS["m > n"]),
    ("gauge", SETS["polytope"]),
]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("method", "P"), COMPILED)
def test_compiled_and_exported(method, P, strict):
    strict = strict and method != "half_spaces"  # that set has an implicit equality
    module = cn.constrain(P, method=method, gradient="inward", strict=strict)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=False)
    z = 3 * latent(module, torch.float32, 12, seed=7)
    v = torch.randn(12, P.n, generator=torch.Generator().manual_seed(8))
    assert torch.allclose(pulled_back(compiled, z, v), pulled_back(module, z, v), atol=1e-4)
    program = torch.export.export(module, (z,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert torch.allclose(program.module()(z[:5]), module(z[:5]), atol=1e-5)


def test_the_option_goes_through():
    P = cn.Polyhedron([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    assert cn.constrain(P, gradient="inward").gradient == "inward"
    assert cn.plan(P, gradient="inward").build().gradient == "inward"
    assert cn.plan(P, gradient="inward").method == cn.plan(P).method
    assert cn.ConstrainedLinear(2, P, method="shift", gradient="inward").activation.gradient == "inward"
    assert cn.constrain(P, method="shift", setup=False, gradient="inward").gradient == "inward"
    blocks = cn.constrain(SETS["product"], method="blocks", gradient="inward")
    assert {part.name: part.gradient for part in blocks.parts} == {
        "simplex": "exact",
        "half_spaces": "inward",
    }
    assert "gradient='inward'" in repr(cn.constrain(P, method="shift", gradient="inward"))


@pytest.mark.parametrize(
    "entry", [e for e in PARAMETERIZATIONS if not e.inward], ids=lambda entry: entry.name
)
def test_a_map_without_it_says_so(entry):
    name = next(name for name, P in SETS.items() if entry.accepts(P) is None)
    with pytest.raises(cn.InvalidInputError, match=f"'{entry.name}' has no gradient='inward'; try"):
        cn.constrain(SETS[name], method=entry.name, gradient="inward")
    with pytest.raises(
        cn.InvalidInputError, match="gradient must be one of 'exact', 'inward'; found 'outward'"
    ):
        cn.constrain(SETS[name], method=entry.name, gradient="outward")
    with pytest.raises(
        cn.InvalidInputError, match="gradient must be one of 'exact', 'inward'; found 'outward'"
    ):
        cn.plan(SETS[name], gradient="outward")
