"""Box, simplex and monotone cone: the exact projections in closed form, against answers known otherwise."""

from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained as cn
from constrained.parameterizations.box import DTYPES, Box
from constrained.parameterizations.monotone import Monotone
from constrained.parameterizations.simplex import Simplex
from tests.contracts import parameterization
from tests.contracts.parameterization import ParameterizationContract
from tests.exactness import exactly_feasible
from tests.oracles import project_box, project_simplex

METHODS = {entry.name: entry for entry in (Box, Simplex, Monotone)}
DIFFERENCES = np.eye(6, 7) - np.eye(6, 7, 1)
OPEN = np.full(4, np.inf)
# Name: (method, set); rows of every scale and in any order.
SETS = {
    "box, two-sided": ("box", cn.Polyhedron.box([-1.0, 0.1, -np.inf, 0.3], [1.0, 0.7, 0.3, np.inf])),
    "box, scaled rows": (
        "box",
        cn.Polyhedron(
            [[0, -0.7, 0], [3.0, 0, 0], [0, 1.0, 0], [-2.0, 0, 0], [0.7, 0, 0]],
            b=[0.2, 1.0, np.inf, 0.3, 5.0],
            C=[[0, 0, -0.3]],
            d=[0.1],
        ),
    ),
    "box, no rows": ("box", cn.Polyhedron(np.zeros((0, 3)))),
    "simplex": ("simplex", cn.Polyhedron.simplex(9)),
    "simplex, one feature": ("simplex", cn.Polyhedron.simplex(1, 0.3)),
    "simplex, scaled rows": (
        "simplex",
        cn.Polyhedron(-np.diag([0.1, 3.0, 1.0, 2.0])[[2, 0, 1, 3]], C=np.full((1, 4), -0.3), d=-0.9),
    ),
    "simplex, capped": (
        "simplex",
        cn.Polyhedron(np.vstack([np.full(4, 0.3), np.eye(4)]), b=[0.7, *OPEN], lower=[-np.inf, *np.zeros(4)]),
    ),
    "monotone": ("monotone", cn.Polyhedron.monotone(11)),
    "monotone, one feature": ("monotone", cn.Polyhedron.monotone(1)),
    "monotone, scaled rows": (
        "monotone",
        cn.Polyhedron(np.diag([1.0, 2.0, 0.1, 3.0, 5.0, 0.7])[[3, 1, 0, 2, 5, 4]] @ DIFFERENCES),
    ),
    "monotone, decreasing": (
        "monotone",
        cn.Polyhedron(DIFFERENCES, lower=np.zeros(6), b=np.inf),
    ),
}


def build(name, **options):
    method, P = SETS[name]
    return METHODS[method](P, **options)


def normal(n, *batch, seed=0, scale=1.0):
    return scale * torch.randn(*batch, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def oracle(name):
    """The answer of an oracle that shares no code with the library, (q, n) -> (q, n)."""
    from scipy.optimize import isotonic_regression

    method, P = SETS[name]
    if method == "box":
        G, h = np.vstack([*P.inequalities()[:1], P.C, -P.C]), np.concatenate([P.inequalities()[1], P.d, -P.d])
        low = [
            max([h[i] / G[i, j] for i in range(len(h)) if G[i, j] < 0], default=-np.inf) for j in range(P.n)
        ]
        high = [
            min([h[i] / G[i, j] for i in range(len(h)) if G[i, j] > 0], default=np.inf) for j in range(P.n)
        ]
        return lambda y: project_box(np.array(low), np.array(high), y)
    if method == "monotone":
        rising = name != "monotone, decreasing"
        return lambda y: np.array([isotonic_regression(row, increasing=rising).x for row in y])
    total = {"simplex, one feature": 0.3, "simplex, scaled rows": 3.0, "simplex, capped": 0.7 / 0.3}.get(
        name, 1.0
    )

    def project(y):
        inside, full = np.maximum(y, 0), total * project_simplex(y / total)
        small = (inside.sum(1, keepdims=True) <= total) & (name == "simplex, capped")
        return np.where(small, inside, full)

    return project


class TestContract(ParameterizationContract):
    @pytest.fixture(params=list(SETS))
    def set_name(self, request, monkeypatch):
        monkeypatch.setitem(parameterization.SETS, request.param, SETS[request.param][1])
        return request.param

    @pytest.fixture
    def build(self):
        return build


@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_agrees_with_the_oracle(name, dtype, scale):
    y = normal(SETS[name][1].n, 300, scale=scale).to(dtype)
    x = build(name).to(dtype)(y)
    expected = oracle(name)(y.double().numpy())
    limit = 8 * torch.finfo(dtype).eps * max(scale, 1.0 if SETS[name][0] != "monotone" else 0.0) * 4
    assert np.abs(x.double().numpy() - expected).max() <= limit


@pytest.mark.parametrize("name", list(SETS))
def test_agrees_with_a_solver_of_quadratic_programs(name):
    pytest.importorskip("daqp", reason="the extra 'baselines' is not installed: daqp")
    import baselines

    y = normal(SETS[name][1].n, 100, seed=1, scale=2.0)
    expected = baselines.projection("daqp")(SETS[name][1])(y).x
    assert torch.allclose(build(name).double()(y), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9, 31, 64, 100, 257])
@pytest.mark.parametrize(
    "kind", ["normal", "falling", "saw", "ties", "walk", "offset", "mixed sizes", "huge"]
)
def test_monotone_agrees_with_isotonic_regression(n, kind):
    from scipy.optimize import isotonic_regression

    noise = normal(n, 20, seed=n)
    y = {
        "normal": noise,
        "falling": -noise.sort(-1).values,
        "saw": noise + torch.arange(n) % 7,
        "ties": (2 * noise).round(),
        "walk": noise.cumsum(-1),
        "offset": noise + 1e6,
        "mixed sizes": noise * 10 ** normal(n, 20, seed=1, scale=4.0),
        "huge": noise.clamp(-3, 3) * 1e38,
    }[kind]
    expected = np.array([isotonic_regression(row).x for row in y.numpy()])
    for dtype in (torch.float32, torch.float64):
        x = Monotone(cn.Polyhedron.monotone(n)).to(dtype)(y.to(dtype))
        assert (x.diff(dim=-1) >= 0).all()
        size = y.abs().amax(-1).numpy()
        error = np.abs(x.double().numpy() - expected).max(1)
        assert (error <= 32 * torch.finfo(dtype).eps * size).all()


def feasible(name, rng, count):
    """Points of the set made without the map."""
    method, P = SETS[name]
    if method == "monotone":
        points = np.sort(3 * rng.standard_normal((count, P.n)))
        return points if name != "monotone, decreasing" else points[:, ::-1]
    if method == "simplex":
        total = oracle(name)(np.full((1, P.n), 5.0)).sum()
        shares = rng.dirichlet(np.full(P.n, 0.5), count)
        return total * shares * (rng.uniform(0, 1, (count, 1)) if name == "simplex, capped" else 1.0)
    return oracle(name)(3 * rng.standard_normal((count, P.n)))


@pytest.mark.parametrize("name", list(SETS))
@given(seed=st.integers(0, 10**6), scale=st.floats(-3, 3), rounded=st.booleans())
@settings(max_examples=25, deadline=None)
def test_is_the_projection(name, seed, scale, rounded):
    rng = np.random.default_rng(seed)
    y, other = 10**scale * rng.standard_normal((2, 10, SETS[name][1].n))
    if rounded:
        y = np.round(2 * y) / 2  # ties and points on the boundary
    layer = build(name).double()
    p, q = layer(torch.tensor(y)).numpy(), layer(torch.tensor(other)).numpy()
    tolerance = 1e-13 * (1 + np.abs(y).max() + np.abs(other).max())
    assert SETS[name][1].violation(p).max() <= tolerance
    assert np.abs(layer(torch.tensor(p)).numpy() - p).max() <= tolerance, "idempotent"
    assert (np.linalg.norm(p - q, axis=1) <= np.linalg.norm(y - other, axis=1) + tolerance).all(), (
        "1-Lipschitz"
    )
    x = feasible(name, rng, 20)
    products = np.einsum("in,jin->ji", y - p, x[:, None] - p)
    assert (products <= 10 * tolerance * (1 + np.abs(y).max())).all(), "(y - p).(x - p) <= 0"


@pytest.mark.parametrize("name", list(SETS))
def test_derivatives(name):
    layer = build(name).double()
    for seed, scale in ((2, 1.0), (3, 5.0), (4, 0.1)):
        y = normal(SETS[name][1].n, 3, seed=seed, scale=scale).requires_grad_()
        assert torch.autograd.gradcheck(layer, (y,))
        assert torch.autograd.gradgradcheck(layer, (y,))


HALF, THIRD = np.full((2, 2), 1 / 2), np.full((3, 3), 1 / 3)


def blocks(*parts):
    return torch.block_diag(*[torch.tensor(part, dtype=torch.float64) for part in parts])


@pytest.mark.parametrize(
    ("name", "y", "x", "jacobian"),
    [
        # inside, outside
        ("box, two-sided", [0.5, 0.2, 0.0, 1.0], [0.5, 0.2, 0.0, 1.0], np.eye(4)),
        ("box, two-sided", [1.5, 0.0, 0.5, 0.0], [1.0, 0.1, 0.3, 0.3], np.zeros((4, 4))),
        ("box, two-sided", [-3.0, 0.2, 0.5, 7.0], [-1.0, 0.2, 0.3, 7.0], np.diag([0.0, 1, 0, 1])),
        # in the plane of the sum, on three features, at a vertex
        ("simplex, scaled rows", [1.0, 0.5, 0.7, 0.8], [1.0, 0.5, 0.7, 0.8], np.eye(4) - 1 / 4),
        ("simplex, scaled rows", [2.0, -5.0, 1.0, 3.0], [1.0, 0.0, 0.0, 2.0], None),
        ("simplex, scaled rows", [9.0, 1.0, 2.0, 3.0], [3.0, 0.0, 0.0, 0.0], np.zeros((4, 4))),
        # below the cap, above it
        ("simplex, capped", [0.5, -1.0, 0.25, -2.0], [0.5, 0, 0.25, 0], np.diag([1.0, 0, 1, 0])),
        ("monotone, scaled rows", [1.0, 2, 3, 5, 8, 13, 21], [1.0, 2, 3, 5, 8, 13, 21], np.eye(7)),
        (
            "monotone, scaled rows",
            [2.0, 1, 3, 7, 5, 6, 9],
            [1.5, 1.5, 3, 6, 6, 6, 9],
            (HALF, 1.0, THIRD, 1.0),
        ),
        ("monotone, decreasing", [9.0, 6, 5, 7, 3, 1, 2], [9, 6, 6, 6, 3, 1.5, 1.5], (1.0, THIRD, 1.0, HALF)),
        ("monotone, scaled rows", [6.0, 5, 4, 3, 2, 1, 0], [3.0] * 7, np.full((7, 7), 1 / 7)),
        # on the boundary: two blocks with one mean count as one
        ("monotone, scaled rows", [1.0, 1, 2, 3, 4, 5, 6], [1.0, 1, 2, 3, 4, 5, 6], (HALF, *[1.0] * 5)),
    ],
)
def test_values_and_jacobians_by_hand(name, y, x, jacobian):
    layer, point = build(name).double(), torch.tensor(y, dtype=torch.float64)
    assert torch.allclose(layer(point), torch.tensor(x, dtype=torch.float64), rtol=0, atol=1e-14)
    if jacobian is None:  # the support is {0, 3}
        jacobian = np.zeros((4, 4))
        jacobian[np.ix_([0, 3], [0, 3])] = np.eye(2) - 1 / 2
    expected = blocks(*jacobian) if isinstance(jacobian, tuple) else torch.tensor(jacobian)
    found = torch.autograd.functional.jacobian(layer, point)
    assert torch.allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", list(SETS))
def test_gradients_are_finite_on_the_boundary(name):
    layer = build(name).double()
    rng = np.random.default_rng(0)
    for point in (np.zeros((1, layer.in_features)), feasible(name, rng, 5), np.ones((1, layer.in_features))):
        y = torch.tensor(np.ascontiguousarray(point), requires_grad=True)
        layer(y).sum().backward()
        assert y.grad is not None and y.grad.isfinite().all()


# -- strict mode ------------------------------------------------------------------------------------------


def holds_exactly(P, x):
    """Every inequality of every sample, in exact arithmetic."""
    return bool(exactly_feasible(P.A, P.b, P.lower, x).all())


SCALES = {
    torch.float16: [1e-5, 1.0, 1e3],
    torch.bfloat16: [1e-30, 1.0, 1e30],
    torch.float32: [1e-30, 1.0, 1e30],
    torch.float64: [1e-30, 1.0, 1e30],
}
CASES = [(dtype, scale) for dtype, scales in SCALES.items() for scale in scales]


@pytest.mark.parametrize(("dtype", "scale"), CASES, ids=str)
@pytest.mark.parametrize("wide", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [name for name in SETS if "no rows" not in name])
def test_strict_holds_exactly(name, dtype, scale, wide):
    if dtype == torch.float64 and wide == torch.float32:
        return  # refused, see the base class
    layer = build(name, strict=True).to(wide)
    y = normal(layer.in_features, 100, seed=5, scale=scale).to(dtype)
    x = layer(y)
    assert x.dtype == dtype and x.isfinite().all() and x.shape == y.shape
    assert holds_exactly(SETS[name][1], x)


@pytest.mark.parametrize(("dtype", "scale"), CASES, ids=str)
@pytest.mark.parametrize("method", ["box", "simplex", "monotone"])
def test_strict_holds_exactly_for_sets_of_every_size(method, dtype, scale):
    rng = np.random.default_rng(8)
    n = 13
    rows = np.diag(rng.uniform(0.1, 10, n) * rng.choice([-1, 1], n)) if method == "box" else np.eye(n)
    sets = {
        "box": cn.Polyhedron(rows, b=scale * rng.uniform(0.5, 2, n), lower=-scale * rng.uniform(0.5, 2, n)),
        "simplex": cn.Polyhedron(np.vstack([-rows, np.ones(n)]), b=[*np.zeros(n), 0.7 * scale]),
        "monotone": cn.Polyhedron(scale * (np.eye(n - 1, n) - np.eye(n - 1, n, 1))),
    }
    layer = METHODS[method](sets[method], strict=True).double()
    near = normal(n, 60, seed=6, scale=2 * scale / (n if method == "simplex" else 1))
    x = layer(near.to(dtype))
    assert x.dtype == dtype and x.isfinite().all()
    assert holds_exactly(sets[method], x)
    info = torch.finfo(dtype)
    smallest = n * info.smallest_normal * info.eps
    assert (x.double() - layer(near)).abs().max() <= 16 * info.eps * scale + smallest


def neighbour(value, dtype, direction):
    """The next number of the dtype, by its bit pattern."""
    bits = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}
    pattern = torch.tensor(value, dtype=torch.float64).to(dtype).view(bits.get(dtype, torch.int64))
    if value == 0:
        return direction * torch.tensor(1, dtype=pattern.dtype).view(dtype).item()
    return (pattern + (direction if value > 0 else -direction)).view(dtype).item()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@given(
    g=st.one_of(
        st.sampled_from([1.0, 3.0, -0.1, -1.0]), st.floats(-100, 100).filter(lambda v: abs(v) > 1e-3)
    ),
    h=st.one_of(st.sampled_from([0.0, 1.0, 5e-324, -6e-8, 1e-7, 0.1, -0.3]), st.floats(-60, 60)),
)
@settings(max_examples=200, deadline=None)
def test_a_bound_is_the_last_number_that_keeps_the_row(dtype, g, h):
    layer = Box(cn.Polyhedron([[g]], b=[h]))
    bound = (layer.double().value("high") if g > 0 else layer.double().value("low"))[DTYPES.index(dtype), 0]
    if not np.isfinite(bound):  # float16: beyond the largest number
        assert abs(Fraction(h) / Fraction(g)) > Fraction(torch.finfo(dtype).max)
        return
    assert torch.tensor(bound).to(dtype).item() == bound, "a number of the dtype"
    assert Fraction(g) * Fraction(bound) <= Fraction(h)
    beyond = neighbour(bound, dtype, 1 if g > 0 else -1)
    assert not np.isfinite(beyond) or Fraction(g) * Fraction(beyond) > Fraction(h)


@pytest.mark.parametrize("g", [1e-300, 1e300, -1e300])
@pytest.mark.parametrize("h", [1e300, -1e300, 1e-300, 0.0])
def test_bounds_that_overflow_or_vanish(g, h):
    P = cn.Polyhedron([[g]], b=[h])
    if (g, h) == (1e-300, -1e300):  # x <= -1e600
        with pytest.raises(cn.UnsupportedSetError, match="no number"):
            Box(P, strict=True)
        return
    layer = Box(P, strict=True).double()
    x = layer(torch.tensor([[-1e308], [-1.0], [0.0], [1e-308], [1.0], [1e308]], dtype=torch.float64))
    assert x.isfinite().all() and holds_exactly(P, x)


def test_a_box_without_a_number_between_its_bounds_is_refused_in_that_dtype():
    layer = Box(cn.Polyhedron.box([0.1, 0.0], [0.1, 1.0]), strict=True)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        with pytest.raises(cn.UnsupportedSetError, match=f"no strict mode.*{dtype}.*feature 0"):
            layer(torch.zeros(2, 2, dtype=dtype))
    assert layer.double()(torch.zeros(1, 2, dtype=torch.float64)).tolist() == [[0.1, 0.0]]
    with pytest.raises(cn.UnsupportedSetError, match="float16"):
        layer(torch.zeros(2, 2, dtype=torch.float16))
    third = cn.Polyhedron([[3.0], [-3.0]], b=[1.0, -1.0])
    with pytest.raises(cn.UnsupportedSetError, match="float64"):
        Box(third, strict=True)
    assert abs(Box(third)(torch.zeros(1)).item() - 1 / 3) <= 2**-24
    far = Box(cn.Polyhedron.box([1e5], [np.inf]), strict=True)
    assert far(torch.zeros(1)).item() == 1e5
    with pytest.raises(cn.UnsupportedSetError, match="float16"):
        far(torch.zeros(1, dtype=torch.float16))


def test_an_equality_fixes_a_feature_to_the_nearest_number_inside():
    fixed = cn.Polyhedron(np.zeros((0, 1)), C=[[3.0]], d=[1.0])
    for dtype in DTYPES:
        x = Box(fixed, strict=True).double()(torch.ones(1, dtype=dtype)).item()
        assert abs(x - 1 / 3) <= torch.finfo(dtype).eps / 8
    capped = cn.Polyhedron([[1.0]], b=[0.1], C=[[1.0]], d=[0.1])  # 0.1 is rounded up in float32
    x = Box(capped, strict=True)(torch.ones(1, 1))
    assert holds_exactly(capped, x) and abs(x.item() - 0.1) <= torch.finfo(torch.float32).eps / 8


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", [2, 50, 784])
def test_the_sum_of_a_simplex(n, dtype):
    """Within 4 eps of the total, and rounding to a narrower dtype adds at most one eps of it."""
    eps, total = torch.finfo(dtype).eps, 3.0
    layer = Simplex(cn.Polyhedron.simplex(n, total), strict=True)
    layer = layer.double() if dtype == torch.float64 else layer
    tiny = torch.finfo(dtype).smallest_normal * eps
    for scale in (1e-3, 1.0, 1e3):
        x = layer(normal(n, 50, seed=n, scale=scale).to(dtype))
        error = max(abs(sum(map(Fraction, row)) - 3) for row in x.double().tolist())
        assert (x >= 0).all() and float(error) <= 4 * eps * total + n * tiny
    edge = torch.rand(20, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) * eps * total
    edge[:, 0] = total
    assert (layer(edge.to(dtype)).double().sum(-1) - total).abs().max() <= 4 * eps * total + n * tiny


@pytest.mark.parametrize("total", [1e-30, 1e-3, 1e30])
def test_simplex_of_every_size(total):
    y = normal(20, 50, scale=total / 5)
    for dtype in (torch.float32, torch.float64):
        x = Simplex(cn.Polyhedron.simplex(20, total), strict=True).to(dtype)(y.to(dtype))
        expected = total * project_simplex(y.to(dtype).double().numpy() / total)
        assert np.abs(x.double().numpy() - expected).max() <= 4 * torch.finfo(dtype).eps * total


def test_the_cap_holds_by_a_hair_in_every_dtype():
    """A margin too small or an inexact comparison shows here: thousands of sums next to the cap."""
    for n, dtype in ((3, torch.float16), (30, torch.bfloat16), (200, torch.float32), (200, torch.float64)):
        P = cn.Polyhedron(np.vstack([-np.eye(n), np.ones(n)]), b=[*np.zeros(n), 0.1])
        layer = Simplex(P, strict=True).double()
        near = torch.rand(300, n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        near = 0.1 * near / near.sum(-1, keepdim=True) * (1 + 1e-4 * normal(1, 300, seed=2).clamp(-5, 5))
        x = layer(near.to(dtype))
        assert all(sum(map(Fraction, row)) <= Fraction(0.1) for row in x.double().tolist())
        assert (x.double().sum(-1) >= 0.0999 * (1 - 4 * torch.finfo(dtype).eps)).all()
        inside = (0.9 * near).to(dtype)
        assert torch.equal(layer(inside), inside)


def test_the_cap_is_not_rounded_with_the_module():
    P = cn.Polyhedron(np.vstack([-np.eye(2), np.ones(2)]), b=[0, 0, 0.1])
    x = Simplex(P, strict=True)(torch.tensor([[0.1, 0.0], [0.05, 0.05], [1.0, 1.0]]))  # 0.1f > 0.1
    assert holds_exactly(P, x) and (x.sum(-1) - 0.1).abs().max() <= 3e-8


def test_simplex_refuses_a_dtype_that_cannot_hold_the_total():
    layer = Simplex(cn.Polyhedron.simplex(3, 1e6), strict=True)
    assert layer(torch.zeros(3)).sum() == 1e6
    with pytest.raises(cn.UnsupportedSetError, match="float16.*1e\\+06"):
        layer(torch.zeros(3, dtype=torch.float16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", [name for name in SETS if SETS[name][0] == "monotone"])
def test_sorted_points_come_back_exactly(name, strict, dtype):
    layer = build(name, strict=strict)
    y = normal(layer.in_features, 200, seed=9) * 10 ** normal(layer.in_features, 200, seed=10, scale=3.0)
    y[:100] = y[:100].round()  # ties
    y = (y / 10).clamp(-6e4, 6e4).to(dtype).sort(-1, descending="decreasing" in name).values
    for points in (y, y * torch.finfo(dtype).smallest_normal / 64):  # the second: mostly subnormal
        assert torch.equal(layer(points), points)


def test_points_of_a_box_come_back():
    layer = build("box, two-sided", strict=True)
    y = torch.tensor([[-1.0, 0.5, -1e30, 1e30], [1.0, 0.25, -0.0, 1.0]])
    assert torch.equal(layer(y), y)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", list(SETS))
def test_nan_and_infinity_make_their_sample_nan_in_strict_mode(name, dtype):
    layer = build(name, strict=True)
    layer = layer.double() if dtype == torch.float64 else layer
    y = normal(layer.in_features, 5, seed=11).to(dtype)
    expected = layer(y)
    broken = y.clone()
    for i, value in enumerate((np.nan, np.inf, -np.inf)):
        broken[i, -1] = value
    x = layer(broken)
    assert x[:3].isnan().all() and torch.equal(x[3:], expected[3:])
    broken.requires_grad_()
    layer(broken)[3:].sum().backward()
    assert broken.grad is not None and broken.grad[3:].isfinite().all()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own modules
@pytest.mark.parametrize("name", ["box, two-sided", "simplex, capped", "monotone, one feature"])
def test_nan_and_infinity_survive_the_default_compiler(name):
    torch._dynamo.reset()
    layer = build(name, strict=True)
    y = normal(layer.in_features, 4, seed=11).float()
    y[:3, 0] = torch.tensor([np.nan, np.inf, -np.inf])
    x = torch.compile(layer, fullgraph=True)(y)
    assert x[:3].isnan().all() and torch.allclose(x[3], layer(y)[3], rtol=0, atol=1e-6)


def test_infinity_makes_its_sample_nan_where_it_would_be_sorted():
    layer = Monotone(cn.Polyhedron.monotone(4), strict=True)
    y = torch.tensor([[-np.inf, 0, 1, 2], [0, 1, 2, np.inf], [0, 1, 2, 3]])
    assert layer(y).isnan().all(-1).tolist() == [True, True, False]


@pytest.mark.parametrize("name", list(SETS))
def test_largest_numbers(name):
    layer = build(name, strict=True)
    y = torch.finfo(torch.float32).max * normal(layer.in_features, 20, seed=12).sign().float()
    x = layer(y)
    assert x.isfinite().all() and holds_exactly(SETS[name][1], x)


# -- sets that are served, and how ------------------------------------------------------------------------

eye, ones = np.eye(3), np.ones((1, 3))


@pytest.mark.parametrize(
    ("method", "P", "reason"),
    [
        ("box", cn.Polyhedron([[1.0, 0.0], [1.0, -1.0]]), "row 1 of A has 2 non-zero entries"),
        ("box", cn.Polyhedron([[1.0, 0.0], [0.0, 0.0]]), "row 1 of A has 0 non-zero entries"),
        ("box", cn.Polyhedron.simplex(3), "row 0 of C has 3 non-zero entries"),
        ("box", cn.Polyhedron([[1.0, 0], [-2.0, 0]], b=[1.0, -4.0]), "empty: feature 0 .* least 2 .* most 1"),
        ("box", cn.Polyhedron([[1.0, 0]], b=[1.0], C=[[2.0, 0]], d=[4.0]), "empty: feature 0"),
        ("simplex", cn.Polyhedron(-eye), "0 rows besides x >= 0"),
        ("simplex", cn.Polyhedron(-eye, C=[[1.0, 1.0, 2.0]], d=1.0), "not a multiple of the sum"),
        ("simplex", cn.Polyhedron(-eye[:2], C=ones, d=1.0), "feature 2 has no row x >= 0"),
        ("simplex", cn.Polyhedron(-eye, b=[0, 0, 1.0], C=ones, d=1.0), "something else than x >= 0"),
        ("simplex", cn.Polyhedron(np.vstack([-eye, eye]), C=ones, d=1.0), "something else than x >= 0"),
        ("simplex", cn.Polyhedron(-eye, C=ones, d=-1.0), "must be positive; it is -1"),
        ("simplex", cn.Polyhedron(-eye, C=ones, d=0.0), "must be positive; it is 0"),
        ("simplex", cn.Polyhedron(-eye, C=np.vstack([ones, ones]), d=1.0), "2 rows besides"),
        ("simplex", cn.Polyhedron(np.vstack([-eye, -ones]), b=[0, 0, 0, -1.0]), "from below only"),
        ("monotone", cn.Polyhedron.convex_sequence(5), "not a difference of two neighbours"),
        ("monotone", cn.Polyhedron(DIFFERENCES[[0, 1, 3, 4, 5]]), "features 2 and 3 have no row"),
        ("monotone", cn.Polyhedron(DIFFERENCES, b=1.0), "right-hand side is not 0"),
        ("monotone", cn.Polyhedron(DIFFERENCES, C=np.ones((1, 7))), "equalities"),
        ("monotone", cn.Polyhedron(DIFFERENCES, lower=0.0), "both directions"),
        (
            "monotone",
            cn.Polyhedron([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]]),
            "not a difference of two neighbours",
        ),
        ("monotone", cn.Polyhedron([[1.0, -2.0]]), "not a difference of two neighbours"),
        ("monotone", cn.Polyhedron(np.zeros((0, 3))), "features 0 and 1 have no row"),
    ],
)
def test_says_why_not(method, P, reason):
    with pytest.raises(cn.UnsupportedSetError, match=rf"'{method}' cannot serve .*{reason}"):
        METHODS[method](P)


@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize("strict", [False, True])
def test_loads_without_set_up(name, strict):
    layer = build(name, strict=strict).double()
    method, P = SETS[name]
    blank = METHODS[method].without_setup(P, strict=strict).double()
    blank.load_state_dict(layer.state_dict())
    y = normal(P.n, 7, seed=13)
    assert torch.equal(blank(y), layer(y)) and torch.equal(deepcopy(blank)(y), layer(y))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", ["box, scaled rows", "simplex, scaled rows", "simplex, capped", "monotone"])
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch's own modules
def test_compiles_exports_and_maps(name, strict):
    torch._dynamo.reset()
    layer = build(name, strict=strict).double()
    y = normal(layer.in_features, 5, seed=14)
    x = layer(y)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    assert torch.allclose(compiled(y), x, rtol=0, atol=1e-15)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(layer, (y,), dynamic_shapes=({0: batch},)).module()
    assert torch.allclose(exported(y[:3]), x[:3], rtol=0, atol=1e-15)
    assert torch.equal(torch.func.vmap(layer)(y), x)
    jacobian = torch.autograd.functional.jacobian(layer, y[0])
    assert torch.allclose(torch.func.vmap(torch.func.jacrev(layer))(y)[0], jacobian)
    assert torch.allclose(torch.func.jacfwd(layer)(y[0]), jacobian)


@pytest.mark.parametrize("name", list(SETS))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_autocast_has_no_say(name, dtype):
    layer = build(name)
    y = normal(layer.in_features, 5, seed=15).to(dtype)
    with torch.autocast("cpu", dtype=dtype):
        x = layer(y)
    assert x.dtype == dtype and torch.equal(x, layer(y)) and torch.equal(layer.half()(y), x)
