"""Knapsack: the exact projection onto a box cut by rows with disjoint supports, and its two gradients."""

from copy import deepcopy

import numpy as np
import pytest
import torch

import constrained as cn
from bench.problems.checkerboard import checkerboard_box, project_checkerboard_box
from constrained.parameterizations import _slots
from constrained.parameterizations import knapsack as module
from constrained.parameterizations.knapsack import CHUNK, Knapsack
from tests.exactness import exactly_feasible
from tests.oracles import project_cone, project_knapsack

NONE = -np.inf


def uneven() -> tuple[np.ndarray, ...]:
    """(a, lower, upper, low, high): rows of 4, 3 and 2 features, unequal weights, three features in none."""
    a = np.zeros((3, 12))
    a[0, [0, 4, 7, 10]] = [1.0, -2.0, 0.5, 0.1]
    a[1, [1, 2, 9]], a[2, [3, 5]] = [3.0, 1.0, -1.0], [-0.3, -0.7]
    low = np.array([-1.0, 0.0, NONE, 0.0, -1.0, 0.0, -0.5, NONE, -2.0, -1.0, 0.0, 0.25])
    high = np.array([1.0, 2.0, 1.0, 0.75, np.inf, 1.0, 0.5, np.inf, 2.0, 1.0, 3.0, 0.25])
    return a, np.array([-0.5, 0.2, -0.6]), np.array([0.5, np.inf, -0.2]), low, high


def portfolio(n: int = 9, cap: float = 0.2) -> tuple[np.ndarray, ...]:
    return np.ones((1, n)), np.ones(1), np.ones(1), np.zeros(n), np.full(n, cap)


def power(n: int = 8) -> tuple[np.ndarray, ...]:
    """Two grids with generators of their own, each with a balance."""
    rng = np.random.default_rng(2)
    a = np.kron(np.eye(2), np.ones(n // 2))[:, rng.permutation(n)]
    low = rng.uniform(0, 0.5, n)
    high = low + rng.uniform(0.5, 2.0, n)
    total = a @ (low + high) / 2
    return a, total, total, low, high


def tiles() -> tuple[np.ndarray, ...]:
    P = checkerboard_box(8, 8, 4)
    return P.A[:4], np.full(4, NONE), np.zeros(4), -np.ones(64), np.ones(64)


def half_spaces() -> tuple[np.ndarray, ...]:
    a = np.kron(np.eye(2), [[1.0, -2.0, 0.5]])
    return a, np.array([NONE, 1.0]), np.array([0.3, 2.0]), np.full(6, NONE), np.full(6, np.inf)


PARTS = {
    "uneven": uneven(),
    "portfolio": portfolio(),
    "power": power(),
    "tiles": tiles(),
    "half-spaces": half_spaces(),
}


def polyhedron(name: str) -> cn.Polyhedron:
    a, lower, upper, low, high = PARTS[name]
    rows = np.vstack([np.eye(len(low)), a])
    least, most = np.append(low, lower), np.append(high, upper)
    equal = least == most
    return cn.Polyhedron(rows[~equal], most[~equal], rows[equal], most[equal], least[~equal])


SETS = {name: polyhedron(name) for name in PARTS}
each_set = pytest.mark.parametrize("name", list(SETS))


def hard_points(n: int, scale: float, count: int = 48) -> np.ndarray:
    """Normal ones; ties and points on breakpoints; all features on bounds; magnitudes of all kinds."""
    rng = np.random.default_rng(1)
    y = scale * rng.standard_normal((count, n))
    y[1::4], y[2::4] = np.round(2 * y[1::4]) / 2, scale * np.sign(y[2::4])
    y[3::4] *= 10 ** rng.uniform(-6, 0, (count // 4, n))
    return y


def oracle(name: str, y: np.ndarray) -> np.ndarray:
    return project_knapsack(*PARTS[name], y)


@each_set
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 30.0, 1e6])
@pytest.mark.parametrize("way", ["steps", "steps cut short", "sorting"])
def test_is_the_projection(name, dtype, scale, way, monkeypatch):
    if way == "steps cut short":  # what is left is sorted
        monkeypatch.setattr(_slots, "STEPS", 3)
        monkeypatch.setattr(_slots, "FIRST_LOOK", 3)
    y = torch.tensor(hard_points(SETS[name].n, scale)).to(dtype)
    layer = Knapsack(SETS[name]).to(dtype)
    x = torch.func.vmap(layer)(y) if way == "sorting" else layer(y)
    error = (x.double() - torch.tensor(oracle(name, y.double().numpy()))).abs().max()
    assert error <= 16 * torch.finfo(dtype).eps * max(1.0, scale)


@each_set
def test_rows_hold_to_the_rounding_of_the_value_however_far_it_came(name):
    """Not only to that of the point, where features have bounds."""
    if np.isfinite(PARTS[name][3:]).all():
        x = Knapsack(SETS[name])(torch.tensor(hard_points(SETS[name].n, 1e8)).float())
        assert SETS[name].violation(x).max() <= 64 * torch.finfo(torch.float32).eps


def test_the_checkerboard_in_single_precision():
    P, y = (
        checkerboard_box(),
        np.random.default_rng(0).uniform(-1.5, 1.5, (CHUNK + 40, 784)).astype(np.float32),
    )
    x = Knapsack(P)(torch.tensor(y)).numpy()
    assert np.abs(x - project_checkerboard_box(y)).max() <= 1e-6


@each_set
def test_is_the_identity_on_the_set(name):
    layer = Knapsack(SETS[name])
    a, lower, upper, low, high = PARTS[name]
    x = layer(torch.tensor(hard_points(SETS[name].n, 1.0)).float())
    assert (x >= torch.tensor(low).float()).all() and (x <= torch.tensor(high).float()).all()
    if not (lower == upper).any():
        inside = (x + x.mean(0)) / 2
        assert torch.equal(layer(inside), inside)
    assert torch.allclose(layer(x), x, rtol=0, atol=1e-6)


@each_set
def test_a_sample_does_not_depend_on_its_batch(name):
    layer, y = Knapsack(SETS[name]), torch.tensor(hard_points(SETS[name].n, 3.0, CHUNK + 44)).float()
    x = layer(y)
    for i in (0, 3, CHUNK - 1, CHUNK, CHUNK + 43):
        assert torch.allclose(layer(y[i]), x[i], rtol=0, atol=1e-6)
    y[5, 0] = torch.nan
    assert torch.equal(layer(y)[6:], x[6:]) and layer(y)[5, 0].isnan()


def test_rows_may_come_twice_and_the_other_way_round():
    rows = [[1.0, 2.0, 0.0], [-2.0, -4.0, 0.0], [0.1, 0.2, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]]
    P = cn.Polyhedron(rows, [3.0, -2.0, 0.25, 1.0, 1.0])
    y = torch.tensor([[5.0, 5.0, 5.0], [-5.0, 0.0, 0.0], [1.0, 0.25, 0.0]], dtype=torch.float64)
    x = Knapsack(P).double()(y)
    total = x[:, 0] + 2 * x[:, 1]
    assert torch.allclose(total, torch.tensor([2.5, 1.0, 1.5], dtype=torch.float64))
    assert torch.equal(x[2], y[2]) and x[0, 2] == 0.5


@pytest.mark.parametrize(
    ("P", "reason"),
    [
        (cn.Polyhedron.box([0.0], [1.0]), "none of its rows has several non-zero entries"),
        (
            cn.Polyhedron([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]),
            "row 0 of A and row 2 of A share feature 1",
        ),
        (cn.Polyhedron([[1.0, 1.0, 0.0]], C=[[1.0, 2.0, 0.0]]), "row 0 of A and row 0 of C share feature 0"),
    ],
)
def test_says_why_not(P, reason):
    with pytest.raises(cn.UnsupportedSetError, match=f"'knapsack' cannot serve .*{reason}"):
        Knapsack(P)


@pytest.mark.parametrize(
    "P",
    [
        cn.Polyhedron(np.eye(3), 0.25, np.ones((1, 3)), 1.0),
        cn.Polyhedron([[1.0, 1.0], [-1.0, -1.0]], [1.0, -2.0]),
        cn.Polyhedron([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], [1.0, 1.0, -2.0]),
        cn.Polyhedron([[1.0, 1.0], [0.0, 0.0]], [1.0, -1.0]),
    ],
    ids=["caps", "rows", "bounds", "row of zeros"],
)
def test_an_empty_set_is_refused(P):
    with pytest.raises(cn.InfeasibleError):
        Knapsack(P)


def test_a_set_with_one_point_is_served():
    P = cn.Polyhedron(np.eye(4), 0.25, np.ones((1, 4)), 1.0, np.full(4, -1.0))
    x = Knapsack(P)(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(x, torch.full((5, 4), 0.25), rtol=0, atol=1e-6)


# -- gradients --------------------------------------------------------------------------------------------


@each_set
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_exact_derivatives(name, scale):
    layer = Knapsack(SETS[name]).double()
    y = scale * torch.randn(3, SETS[name].n, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    y.requires_grad_()
    assert torch.autograd.gradcheck(layer, (y,))
    assert torch.autograd.gradgradcheck(layer, (y,))


def test_an_unknown_gradient_is_refused():
    with pytest.raises(cn.InvalidInputError, match="one of 'exact', 'inward'; found 'outward'"):
        Knapsack(SETS["tiles"], gradient="outward")
    assert cn.constrain(SETS["tiles"], method="knapsack", gradient="inward").gradient == "inward"


def pulled(layer: Knapsack, y: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    y = y.detach().requires_grad_()
    return torch.autograd.grad(layer(y), y, v)[0]


def tangent_rows(P: cn.Polyhedron, x: np.ndarray) -> np.ndarray:
    """The rows that hold with equality at a point, equalities in both signs: `{d : rows d <= 0}`.

    To rounding; bounds of features are met exactly.
    """
    G, h = P.inequalities()
    near = np.where(np.count_nonzero(G, axis=1) == 1, 0.0, -1e-13)
    return np.vstack([G[G @ x - h >= near], P.C, -P.C])


@each_set
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_inward_is_the_projection_onto_the_tangent_cone(name, scale):
    P = SETS[name]
    layer = Knapsack(P, gradient="inward").double()
    y = torch.tensor(hard_points(P.n, scale, 16))
    v = torch.randn(16, P.n, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    found, x = pulled(layer, y, v).numpy(), layer(y).detach().numpy()
    for i in range(16):
        rows = tangent_rows(P, x[i])
        expected = -project_cone(rows, -v[i : i + 1].numpy()) if len(rows) else v[i : i + 1].numpy()
        assert np.abs(found[i] - expected).max() <= 1e-9


@each_set
def test_inward_is_exact_inside_and_a_descent_direction_everywhere(name):
    P = SETS[name]
    exact, inward = (Knapsack(P, gradient=g).double() for g in ("exact", "inward"))
    a, lower, upper, low, high = PARTS[name]
    y = torch.randn(40, P.n, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    v = torch.randn(40, P.n, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    one, two = pulled(exact, y, v), pulled(inward, y, v)
    x = exact(y).detach().numpy()
    total = x @ a.T
    tight = (x <= low + 1e-9) | (x >= high - 1e-9)
    active = (total <= lower + 1e-9) | (total >= upper - 1e-9)
    clear = ~tight.any(1) & (~active | (lower == upper)).all(1)
    assert torch.allclose(one[clear], two[clear], rtol=0, atol=1e-12)
    # <v, P_T(-v)> = -|P_T(-v)|^2, and what the Jacobian lets through is a direction of the tangent cone.
    assert ((v * two).sum(-1) >= (two * two).sum(-1) - 1e-9).all()
    assert (two.norm(dim=-1) >= one.norm(dim=-1) - 1e-9).all()


def test_saturated_features_come_back_with_inward_and_the_minimum_is_left_alone():
    P = SETS["portfolio"]
    goal = torch.tensor(oracle("portfolio", np.linspace(-0.1, 0.4, 9)[None]))[0]
    ends = {}
    for gradient in ("exact", "inward"):
        layer = Knapsack(P, gradient=gradient).double()
        z = torch.linspace(3.0, -3.0, 9, dtype=torch.float64)  # the wrong order, far beyond the bounds
        for _ in range(300):
            z = z - 0.5 * pulled(layer, z, layer(z) - goal)
        ends[gradient] = (layer(z) - goal).abs().max().item()
    assert ends["inward"] <= 1e-6 < 0.1 < ends["exact"], ends
    layer = Knapsack(P, gradient="inward").double()
    target = torch.linspace(-1.0, 1.0, 9, dtype=torch.float64)  # outside: its projection is the minimum
    best = layer(target).detach()
    assert pulled(layer, best, best - target).abs().max() <= 1e-12


def test_inward_in_transforms_and_graphs():
    layer = Knapsack(SETS["uneven"], gradient="inward")
    y = torch.tensor(hard_points(12, 1.0, 8)).float()
    v = torch.randn(8, 12, generator=torch.Generator().manual_seed(8))
    expected = pulled(layer, y, v)
    found = torch.func.vmap(lambda y, v: torch.func.vjp(layer, y)[1](v)[0])(y, v)
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert torch.allclose(
        pulled(deepcopy(layer).double(), y.double(), v.double()).float(), expected, atol=1e-5
    )


# torch instantiates the function itself, and says that this should not be done.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_inward_compiled():
    layer = Knapsack(SETS["uneven"], gradient="inward")
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    y = torch.tensor(hard_points(12, 1.0, 8)).float()
    v = torch.randn(8, 12, generator=torch.Generator().manual_seed(8))
    assert torch.allclose(pulled(compiled, y, v), pulled(layer, y, v), rtol=0, atol=1e-5)
    torch._dynamo.reset()


# -- strict mode ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [4.0, 0.0])
@pytest.mark.parametrize("name", ["uneven", "tiles", "half-spaces"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_strict_holds_also_where_the_margin_is_not_enough(name, dtype, margin, monkeypatch):
    monkeypatch.setattr(module, "MARGIN", margin)  # none: half of the samples are left to the last move
    P = SETS[name]
    layer = Knapsack(P, strict=True).to(dtype)
    for scale in (1.0, 30.0):
        x = layer(torch.tensor(hard_points(P.n, scale)).to(dtype))
        assert x.isfinite().all() and exactly_feasible(P.A, P.b, P.lower, x).all()


def test_the_margin_is_enough_as_a_rule(monkeypatch):
    layer = Knapsack(checkerboard_box(), strict=True)
    monkeypatch.setattr(layer.finish, "strict_map", None)
    y = torch.rand(500, 784, generator=torch.Generator().manual_seed(0)) * 3 - 1.5
    assert (layer(y) - Knapsack(checkerboard_box())(y)).abs().max() <= 1e-3
