"""Rays on every kind of polyhedron: vertices, free lines, weights, strict mode, state, compilation."""

from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

import constrained as cn
from constrained.generators import Generators
from constrained.parameterizations.rays import Rays
from tests.contracts.parameterization import latent

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("CONSTRAINED_CACHE", "off")


def bounded(n: int, m: int) -> cn.Polyhedron:
    A = RNG.standard_normal((m, n))
    return cn.Polyhedron(np.vstack([A, np.eye(n)]), b=1.0, lower=[*[-np.inf] * m, *[-1.0] * n])


CONE = -np.sign(RNG.standard_normal((4, 1))) * np.eye(4, 6)
SETS = {
    "box": cn.Polyhedron.box([0.0, -1.0, 2.0], [1.0, 3.0, 2.5]),
    "simplex": cn.Polyhedron.simplex(5),
    "polytope": bounded(4, 3),
    "half-line": cn.Polyhedron([[-1.0]], b=[-2.0]),
    "half-plane": cn.Polyhedron([[1.0, 2.0]], b=[3.0]),
    "strip": cn.Polyhedron([[1.0, 1.0, 0.0]], b=1.0, lower=-1.0),
    "unbounded, no lines": cn.Polyhedron([[-1.0, 0.5], [0.25, -1.0], [-1.0, -1.0]], b=[0.0, 0.0, -3.0]),
    "prism with an equality": cn.Polyhedron(
        [[1.0, 0.0, 0.0, 1.0], [0.0, -1.0, 0.0, 0.0]], b=[1.0, 2.0], C=[[0.0, 0.0, 1.0, 1.0]], d=3.0
    ),
    "translated cone": cn.Polyhedron(np.tril(np.ones((3, 3))), b=[1.0, -2.0, 3.0]),
    "translated line": cn.Polyhedron(np.zeros((0, 2)), C=[[1.0, 1.0]], d=2.0),
    "cone": cn.Polyhedron(np.tril(np.ones((3, 3)))),
    "cone with lines": cn.Polyhedron(CONE),
    "whole space": cn.Polyhedron(np.zeros((0, 3))),
}
OPTIONS = [(lines, weights, "abs") for lines in ("doubled", "free") for weights in ("softmax", "simplex")]
OPTIONS += [("free", "softmax", "softplus"), ("doubled", "simplex", "relu")]


@pytest.fixture(params=list(SETS))
def polyhedron(request):
    return SETS[request.param]


@pytest.fixture(params=OPTIONS, ids="-".join)
def layer(request, polyhedron):
    names = ("lines", "weights", "coefficients")
    return cn.constrain(polyhedron, method="rays", **dict(zip(names, request.param, strict=True)))


def roundings(P: cn.Polyhedron, layer: Rays, z: torch.Tensor, x: torch.Tensor) -> float:
    """The largest violation in eps times the size of the sums that the docstring names."""
    points = float(layer.vertices.abs().max()) if layer.points else 0.0
    # log 2 is how much softplus(z) may be above |z|.
    size = (points + (z.double().abs() + np.log(2)).sum(-1)) * np.abs(np.vstack([P.A, P.C])).sum(1).max(
        initial=1.0
    )
    bounds = np.concatenate([P.b, P.lower, P.d])
    size = size + np.abs(bounds[np.isfinite(bounds)]).max(initial=0.0)
    return float((P.violation(x) / (torch.finfo(x.dtype).eps * size + 1e-300)).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 30.0, 1e6])
def test_every_output_is_feasible(polyhedron, layer, dtype, scale):
    layer = layer.to(dtype)
    z = scale * latent(layer, dtype, 200)
    x = layer(z)
    assert x.shape == (200, polyhedron.n) and x.dtype == dtype
    assert roundings(polyhedron, layer, z, x) <= 4


@pytest.mark.parametrize("entry", [-1e30, 1e30])
def test_weights_of_any_size_still_sum_to_one(entry):
    for weights in ("softmax", "simplex"):
        layer = cn.constrain(SETS["box"], method="rays", weights=weights)
        z = torch.full((1, 8), 0.25)
        z[0, 3] = entry
        assert SETS["box"].contains(layer(z), tol=1e-6).all()


def features(P: cn.Polyhedron) -> tuple[int, int, int]:
    V = cn.generators(P)
    return len(V.vertices) if len(V.vertices) > 1 else 0, len(V.rays), len(V.lines)


def test_the_number_of_features(polyhedron):
    v, r, k = features(polyhedron)
    assert cn.constrain(polyhedron, method="rays").in_features == v + r + 2 * k
    assert cn.constrain(polyhedron, method="rays", lines="free").in_features == v + r + k


def test_the_combination_is_that_of_the_generators(polyhedron):
    V, (v, r, k) = cn.generators(polyhedron), features(polyhedron)
    layer = cn.constrain(polyhedron, method="rays").double()
    z = latent(layer, torch.float64, 20).numpy()
    weights = np.exp(z[:, :v]) / np.exp(z[:, :v]).sum(1, keepdims=True) if v else np.ones((20, 1))
    lines = np.abs(z[:, v + r : v + r + k]) - np.abs(z[:, v + r + k :])
    expected = weights @ V.vertices + np.abs(z[:, v : v + r]) @ V.rays + lines @ V.lines
    assert np.allclose(layer(torch.tensor(z)).numpy(), expected, atol=1e-12)
    free = cn.constrain(polyhedron, method="rays", lines="free").double()
    z = torch.tensor(np.concatenate([z[:, : v + r], lines], 1))
    assert np.allclose(free(z).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("lines", ["doubled", "free"])
@pytest.mark.parametrize("name", ["softplus", "relu"])
def test_coefficients_are_what_the_option_says(polyhedron, lines, name):
    """As the published map of latent points that already are not negative, where it takes |z|."""
    layer, published = (
        cn.constrain(polyhedron, method="rays", lines=lines, coefficients=option).double()
        for option in (name, "abs")
    )
    z = latent(layer, torch.float64, 20, seed=6)
    v, r, k = features(polyhedron)
    some = slice(v, v + r + (2 * k if lines == "doubled" else 0))
    already = z.clone()
    already[:, some] = getattr(torch.nn.functional, name)(z[:, some])
    assert torch.allclose(layer(z), published(already), atol=1e-12)
    assert layer.state_dict().keys() - published.state_dict().keys() == {f"{name}_coefficients"}


def test_simplex_weights_are_the_nearest_point_of_the_simplex():
    from constrained.parameterizations.rays import _nearest_weights

    for scale in (0.1, 1.0, 100.0):
        z = scale * torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        w = _nearest_weights(z)
        assert (w >= 0).all() and torch.allclose(w.sum(-1), torch.ones(50, dtype=torch.float64))
        # (z - w) . (e_i - w) <= 0 for all corners e_i
        gap = (z - w) - ((z - w) * w).sum(-1, keepdim=True)
        assert gap.max() <= 1e-9 * scale
    assert torch.equal(_nearest_weights(torch.zeros(1, 4)), torch.full((1, 4), 0.25))


def preimage(layer: Rays, x: np.ndarray) -> torch.Tensor:
    """A latent point with free lines and simplex weights: coefficients by non-negative least squares."""
    V = layer.vertices.numpy() if layer.points else np.zeros((1, layer.out_features))
    R, lines = layer.directions.numpy(), layer.diagonal.shape[0]
    L = layer.rays.numpy()[len(R) : len(R) + lines]
    top = np.concatenate([V, R, L, -L]).T
    rows = np.vstack([top, 1e3 * (np.arange(top.shape[1]) < len(V))])
    found = np.array([nnls(rows, np.append(point, 1e3))[0] for point in x])
    w, r, plus, minus = np.split(found, [len(V), len(V) + len(R), len(V) + len(R) + lines], axis=1)
    parts = [w if layer.points > 1 else w[:, :0], r, plus - minus]
    return torch.tensor(np.concatenate(parts, 1))


def test_simplex_weights_make_it_onto(polyhedron):
    layer = cn.constrain(polyhedron, method="rays", lines="free", weights="simplex").double()
    V = cn.generators(polyhedron)
    points = np.concatenate([layer(latent(layer, torch.float64, 20, seed=5)).numpy(), V.vertices])
    again = layer(preimage(layer, points)).numpy()
    assert np.allclose(again, points, atol=1e-7 * (1 + np.abs(points).max()))


def test_softmax_stays_off_the_boundary_of_a_polytope_and_comes_near():
    P = cn.Polyhedron.box([0.0, 0.0], [1.0, 1.0])
    layer = cn.constrain(P, method="rays").double()
    inside = layer(3 * latent(layer, torch.float64, 200))
    assert (inside > 0).all() and (inside < 1).all()
    corner = torch.tensor([[30.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    assert (layer(corner) - layer.vertices[0]).abs().max() < 1e-12


def test_a_vertex_has_its_own_feature():
    layer = cn.constrain(SETS["polytope"], method="rays", weights="simplex").double()
    assert torch.allclose(layer(torch.eye(layer.points, dtype=torch.float64)), layer.vertices, atol=1e-15)


def test_gradients(layer):
    layer = layer.double()
    z = latent(layer, torch.float64, 3).requires_grad_()
    assert torch.autograd.gradcheck(layer, (z,)) and torch.autograd.gradgradcheck(layer, (z,))
    kink = torch.zeros(2, layer.in_features, dtype=torch.float64, requires_grad=True)
    layer(kink).sum().backward()
    assert kink.grad is not None and kink.grad.isfinite().all()


def test_shapes(layer):
    z = latent(layer, torch.float32, 2, 3)
    x = layer(z)
    assert x.shape == (2, 3, layer.out_features)
    assert torch.allclose(layer(z[1, 2]), x[1, 2], atol=1e-5) and layer(z[:0]).shape[0] == 0


def test_the_names_and_shapes_of_a_cone_are_those_that_were_published():
    layer = cn.constrain(SETS["cone with lines"], method="rays")
    shapes = {name: tuple(buffer.shape) for name, buffer in layer.state_dict().items()}
    assert shapes == {"directions": (4, 6), "diagonal": (2,), "others": (2, 4), "order": (6,)}


def test_a_state_dict_fills_a_module_without_set_up(layer, polyhedron, monkeypatch):
    from constrained.parameterizations import rays

    def refuse(*_, **__):
        raise AssertionError("the set-up was redone")

    monkeypatch.setattr(rays, "enumerated", refuse)
    other = cn.constrain(polyhedron, method="rays", setup=False)
    other.load_state_dict(layer.state_dict())
    z = latent(layer, torch.float32, 5)
    assert other.in_features == layer.in_features and torch.equal(other(z), layer(z))


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_no_graph_break_and_the_same_numbers(layer):
    z = latent(layer, torch.float32, 6)
    torch.compiler.reset()  # each module has its own sizes
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(z), layer(z), atol=1e-6)
    exported = torch.export.export(layer, (z,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    assert torch.allclose(exported.module()(z[:3]), layer(z[:3]), atol=1e-6)
    assert torch.allclose(torch.func.vmap(layer)(z), layer(z), atol=1e-6)


def fraction(value: float) -> Fraction:
    return Fraction(*value.as_integer_ratio())


@pytest.mark.parametrize("strict", [True, "tight"])
@pytest.mark.parametrize("name", ["box", "polytope", "half-plane", "unbounded, no lines", "cone"])
def test_strict_outputs_are_exactly_feasible(name, strict):
    P = SETS[name]
    layer = cn.constrain(P, method="rays", strict=strict)
    G, h = P.inequalities()
    for scale in (1e-3, 1.0, 1e4):
        for point in layer(scale * latent(layer, torch.float32, 50)).tolist():
            for row, bound in zip(G.tolist(), h.tolist(), strict=True):
                value = sum(fraction(a) * fraction(v) for a, v in zip(row, point, strict=True))
                assert value <= fraction(bound)


@pytest.mark.parametrize(
    ("P", "text"),
    [
        (cn.Polyhedron(np.eye(2), b=3.0, lower=3.0), "a single point only"),
        (cn.Polyhedron(np.zeros((0, 2)), C=np.eye(2), d=[1.0, 2.0]), "a single point only"),
        (cn.Polyhedron(np.vstack([np.eye(2), -np.eye(2)])), r"\{0\} only"),
    ],
)
def test_a_single_point_is_refused(P, text):
    with pytest.raises(cn.TrivialSetError, match=text):
        cn.constrain(P, method="rays")


def test_an_empty_set_is_refused():
    with pytest.raises(cn.InfeasibleError, match="empty"):
        cn.constrain(cn.Polyhedron([[1.0], [-1.0]], b=[0.0, -1.0]), method="rays")


def test_a_budget_that_is_spent_says_so_and_what_else_there_is():
    with pytest.raises(cn.BudgetExceededError, match=r"\d+ rays.*shift, gauge, refined.*blocks"):
        cn.constrain(cn.Polyhedron.box([0.0] * 12, 1.0), method="rays", max_rays=100)


@pytest.mark.parametrize(
    "option", [{"lines": "single"}, {"weights": "sparsemax"}, {"coefficients": "square"}]
)
def test_unknown_choices_are_refused(option):
    with pytest.raises(cn.InvalidInputError, match="must be one of.*found"):
        cn.constrain(SETS["box"], method="rays", **option)


def test_given_generators_are_taken_and_checked(polyhedron, monkeypatch):
    from constrained.parameterizations import rays

    V = cn.generators(polyhedron)
    expected = cn.constrain(polyhedron, method="rays")
    monkeypatch.setattr(rays, "enumerated", None)
    layer = cn.constrain(polyhedron, method="rays", generators=V)
    z = latent(layer, torch.float32, 5)
    assert torch.equal(layer(z), expected(z))


def test_generators_of_another_set_are_refused():
    for name, other in (("box", "strip"), ("cone", "translated cone"), ("simplex", "polytope")):
        with pytest.raises(cn.VerificationError, match="not the generators"):
            cn.constrain(SETS[name], method="rays", generators=cn.generators(SETS[other]))
    V = cn.generators(SETS["box"])
    moved = Generators(
        V.rays, V.lines, V.vertices + 1, (), (), tuple(tuple(v + 1 for v in p) for p in V.exact_vertices)
    )
    with pytest.raises(cn.VerificationError, match="breaks a row"):
        cn.constrain(SETS["box"], method="rays", generators=moved)


def test_copies_are_independent(layer):
    other = deepcopy(layer)
    before = layer(z := latent(layer, torch.float32, 3))
    for buffer in other.buffers():
        buffer.zero_()
    assert torch.equal(layer(z), before)
