"""Strict mode in exact arithmetic, and the checker that says so against plain fractions."""

import re
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest
import torch

import constrained as cn
from bench.problems.random_cone import random_cone
from constrained.parameterizations import PARAMETERIZATIONS
from tests.contracts import strict as on
from tests.exactness import Count, exact_excess, exactly_feasible, plain_excess, two_product
from tests.interpreter import run_python

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")

COUNT = 32
EQUALITY = 16
"""Equalities hold to so many roundings of the largest sum that can have been formed."""


def by_fractions(A, b, lower, x) -> np.ndarray:
    """The definition, one number at a time."""
    answer = []
    for point in np.asarray(x, dtype=np.float64):
        inside = bool(np.isfinite(point).all())
        for row, high, low in zip(A, b, lower, strict=True):
            if inside:
                product = plain_excess(row, 0.0, point)
                inside = (high == np.inf or product <= Fraction(high)) and (
                    low == -np.inf or product >= Fraction(low)
                )
        answer.append(inside)
    return np.array(answer)


class TestChecker:
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16], ids=lambda t: t.__name__)
    @pytest.mark.parametrize("n", [1, 2, 5, 19])
    def test_agrees_with_fractions_next_to_the_boundary(self, n, dtype):
        """The last entry solves the row, then moves by up to 3 numbers of the dtype."""
        rng = np.random.default_rng(n)
        for homogeneous in (True, False):
            A = rng.standard_normal((1, n)).astype(dtype).astype(float)
            b = np.zeros(1) if homogeneous else rng.standard_normal(1)
            x = rng.standard_normal((200, n)).astype(dtype)
            with np.errstate(over="ignore", invalid="ignore"):
                x[:, -1] = (b - x[:, :-1].astype(float) @ A[0, :-1]) / A[0, -1]
                for _ in range(3):
                    some = rng.random(200) < 0.5
                    toward = np.where(rng.random(200) < 0.5, np.inf, -np.inf).astype(dtype)
                    x[some, -1] = np.nextafter(x[some, -1], toward[some])
            expected = by_fractions(A, b, [-np.inf], x)
            assert np.array_equal(exactly_feasible(A, b, np.array([-np.inf]), x), expected)
            if n > 1:
                assert 0.1 < expected.mean() < 0.9

    @pytest.mark.parametrize("power", [-1060, -1000, -500, -100, 0, 100, 500, 1000])
    def test_agrees_with_fractions_at_every_scale(self, power):
        """Under- and overflow of the products, subnormal numbers, and rows of very unequal entries."""
        rng = np.random.default_rng(abs(power))
        for row_power in (-1060, -300, 0, 300, 1000):
            for spread in (0, 900):
                A = np.ldexp(rng.standard_normal((3, 4)), row_power)
                x = np.ldexp(rng.standard_normal((40, 4)), power - rng.integers(0, spread + 1, (40, 4)))
                with np.errstate(over="ignore", under="ignore"):
                    ends = np.sort(A @ x[:20].T, axis=1)  # so that some points are on or next to a boundary
                b, lower = (
                    np.array([ends[0, 9], ends[1, 12], np.inf]),
                    np.array([ends[0, 0], -np.inf, -np.inf]),
                )
                b, lower = np.where(np.isfinite(b), b, np.inf), np.where(np.isfinite(lower), lower, -np.inf)
                assert np.array_equal(exactly_feasible(A, b, lower, x), by_fractions(A, b, lower, x))

    def test_ties_are_inside_and_one_unit_more_is_outside(self):
        A, b, none = np.array([[1.0, 1.0]]), np.array([1.0]), np.array([-np.inf])
        tie = np.array([[0.75, 0.25]])
        more, less = tie.copy(), tie.copy()
        more[0, 1], less[0, 1] = np.nextafter(0.25, 1), np.nextafter(0.25, 0)
        hidden = np.array(
            [[1.0, 2.0**-1074], [1.0, -(2.0**-1074)], [1e300, -1e300]]
        )  # no float64 sum shows it
        x = np.vstack([tie, more, less, hidden])
        assert exactly_feasible(A, b, none, x).tolist() == [True, False, True, False, True, True]
        assert exactly_feasible(A, b, b, x).tolist() == [True, False, False, False, False, False]

    def test_points_that_are_not_finite_are_outside(self):
        x = torch.tensor([[1.0, float("nan")], [float("-inf"), 0.0], [-1.0, -1.0]])
        A, b, none = np.eye(2), np.zeros(2), np.full(2, -np.inf)
        assert exactly_feasible(A, b, none, x).tolist() == [False, False, True]
        assert exactly_feasible(A[:0], b[:0], none[:0], x).tolist() == [False, False, True]
        assert exactly_feasible(A, b, none, x[:0]).shape == (0,)

    @pytest.mark.parametrize("dtype", on.DTYPES, ids=str)
    def test_tensors_are_taken_as_they_are(self, dtype):
        x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
        A = np.random.default_rng(0).standard_normal((2, 6))
        b, none = np.full(2, 0.3), np.full(2, -np.inf)
        expected = by_fractions(A, b, none, x.detach().double().numpy())
        assert np.array_equal(exactly_feasible(A, b, none, x), expected)

    def test_each_step_decides_some(self):
        rng = np.random.default_rng(0)
        A, none = rng.standard_normal((1, 4)), np.full(1, -np.inf)
        x = rng.standard_normal((300, 4))
        x -= (x @ A.T) * A / (A @ A.T)
        x[:100] += A  # clearly outside
        x[200:, 3] = 1e-200  # products with it might lose bits beside the others
        x[200:, 2] = -(x[200:, :2] @ A[0, :2]) / A[0, 2]
        count = Count()
        answer = exactly_feasible(A, np.zeros(1), none, x, count)
        assert (count.filtered, count.summed, count.fractions) == (100, 100, 100)
        assert np.array_equal(answer, by_fractions(A, np.zeros(1), none, x))

    def test_products_are_split_exactly(self):
        a, b = np.random.default_rng(0).standard_normal((2, 2000))
        p, e = two_product(a, b)
        assert (p == a * b).all()
        for terms in zip(a, b, p, e, strict=True):
            one, two, high, low = map(Fraction, map(float, terms))
            assert one * two == high + low

    def test_excess_is_rounded_once(self):
        rng = np.random.default_rng(0)
        A, b, x = rng.standard_normal((3, 5)), rng.standard_normal(3), rng.standard_normal((20, 5))
        expected = [[float(plain_excess(A[i], b[i], point)) for i in range(3)] for point in x]
        assert np.array_equal(exact_excess(A, b, x), expected)

    def test_half_of_the_values_of_a_plain_map_are_outside(self):
        P = random_cone(64, 32)
        layer = cn.constrain(P, method="half_spaces")
        x = layer(torch.randn(2000, 64, generator=torch.Generator().manual_seed(0)))
        one = random_cone(64, 1)
        assert exactly_feasible(P.A, P.b, P.lower, x).mean() < 0.01  # each of 32 rows may fail
        x = cn.constrain(one, method="half_spaces")(x - x.mean(-1, keepdim=True))
        moved = x[torch.tensor(np.abs(exact_excess(one.A, one.b, x))[:, 0] < 1e-4)]
        assert 0.3 < exactly_feasible(one.A, one.b, one.lower, moved).mean() < 0.7


MODES = [
    pytest.param(entry, mode, id=f"{entry.name}-{mode}") for entry in on.STRICT_METHODS for mode in on.MODES
]
CASES = [
    pytest.param(entry, name, mode, id=f"{entry.name}-{name}-{mode}")
    for entry in on.STRICT_METHODS
    for name in on.FAMILIES
    if on.accepted(entry, name)
    for mode in on.MODES
]
each_mode = pytest.mark.parametrize(("entry", "mode"), MODES)


def sets_of(entry) -> list[str]:
    """Those that it serves and that no dtype is too coarse for."""
    return [name for name in on.FAMILIES if name not in on.THIN and on.accepted(entry, name)]


def layer_of(entry, mode, dtype=torch.float32, name: str | None = None):
    name = name or sets_of(entry)[0]
    return name, on.family(name), on.build(entry, name, mode, dtype)


def check(P: cn.Polyhedron, x: torch.Tensor) -> None:
    assert x.isfinite().all()
    assert exactly_feasible(P.A, P.b, P.lower, x).all()


@pytest.mark.parametrize(("entry", "name", "mode"), CASES)
def test_every_value_is_exactly_feasible(entry, name, mode):
    tally = on.Tally()
    on.run_family(entry, name, mode, COUNT, tally)
    assert not tally.broken
    assert not tally.refused or name in on.THIN, tally.refused
    assert all("so thin" in reason for reason in tally.refused.values())
    assert tally.outputs
    assert tally.worst_equality <= EQUALITY


@each_mode
def test_reduced_precision_products(entry, mode):
    """With `torch.set_float32_matmul_precision("medium")`, where the plain map really is off."""
    worst, rounded = 0.0, 0
    for name in sets_of(entry):
        layer, P = on.build(entry, name, mode, torch.float32), on.family(name)
        plain = on.build(entry, name, False, torch.float32)
        z = on.points(layer, name, torch.float32, 1.0, 256, seed=5)
        with on.reduced_products() as processor:
            check(P, layer(z))
            check(P, layer(z.bfloat16()))
            before = processor.rounded
            x = plain(z)
            rounded += processor.rounded - before
        worst = max(worst, float((P.violation(x) / z.abs().amax(-1).clamp_min(1)).max()))
    assert worst > 1e-3 or not rounded, "the plain maps make products, but are not off"


def test_reduced_precision_asked_for_by_the_environment():
    """oneDNN reads this variable once, so in an interpreter of its own."""
    run_python(
        "import os; os.environ['ONEDNN_DEFAULT_FPMATH_MODE'] = 'BF16'\n"
        "from tests.constrained import test_strict as here\n"
        "for entry in here.on.STRICT_METHODS:\n"
        "    for mode in here.on.MODES:\n"
        "        name, P, layer = here.layer_of(entry, mode)\n"
        "        with here.on.ReducedProducts(forced=True):\n"
        "            x = layer(here.on.points(layer, name, here.torch.float32, 1.0, 256, 0))\n"
        "        here.check(P, x)\n"
    )


@each_mode
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_inside_autocast(entry, mode, dtype):
    name, P, layer = layer_of(entry, mode)
    network = torch.nn.Sequential(torch.nn.Linear(7, layer.in_features), layer)
    inputs = torch.randn(256, 7, generator=torch.Generator().manual_seed(0))
    z = on.points(layer, name, torch.float32, 1.0, 256, seed=6)
    with torch.autocast("cpu", dtype=dtype):
        x = network(inputs)
        assert x.dtype == dtype
        check(P, x)
        assert torch.equal(layer(z), expected := layer.forward(z))
    assert expected.dtype == torch.float32
    check(P, expected)


@each_mode
def test_compiled(entry, mode):
    """The graph as torch traces it, at full precision and then, the same one, at reduced precision.

    Nothing makes torch trace again when the setting changes (`test_deployment.py` has the code that
    inductor makes of the graph). One dtype a mode: tracing takes most of the time.
    """
    torch._dynamo.reset()
    name, P, layer = layer_of(entry, mode)
    dtype = torch.float32 if mode is True else torch.bfloat16
    compiled = torch.compile(layer, backend=on.reducing_backend, fullgraph=True, dynamic=True)
    for scale in (1e-3, 1.0, 1e3):
        z = on.points(layer, name, dtype, scale, 256, seed=7)
        x = compiled(z)
        assert x.dtype == dtype
        check(P, x)
    torch.set_float32_matmul_precision("medium")
    try:
        check(P, compiled(z))
    finally:
        torch.set_float32_matmul_precision("highest")
    z[3, 0] = float("nan")
    x = compiled(z)
    assert x[3].isnan().all() and torch.isfinite(x[4:]).all()


@each_mode
@pytest.mark.parametrize("dtype", on.DTYPES, ids=str)
def test_a_sample_that_is_not_finite_is_nan_and_the_others_are_untouched(entry, mode, dtype):
    for name in sets_of(entry):
        layer, P = on.build(entry, name, mode, dtype), on.family(name)
        z = on.points(layer, name, dtype, 1.0, 24, seed=10)
        expected = layer(z)
        for value in (float("nan"), float("inf"), -float("inf")):
            for column in (0, -1):
                broken = z.clone()
                broken[7, column] = value
                x = layer(broken)
                assert x[7].isnan().all(), f"{name}, {value}"
                kept = torch.arange(24) != 7
                assert torch.equal(x[kept], expected[kept]), f"{name}, {value}"
        assert layer(torch.full_like(z, float("inf"))).isnan().all()
        check(P, expected)


@each_mode
@pytest.mark.parametrize("dtype", on.DTYPES, ids=str)
def test_finite_up_to_the_largest_number(entry, mode, dtype):
    largest = torch.finfo(dtype).max
    for name in sets_of(entry):
        layer, P = on.build(entry, name, mode, dtype), on.family(name)
        z = on.points(layer, name, torch.float64, 1.0, 64, seed=11)
        z = z / z.abs().amax(-1, keepdim=True).clamp_min(1e-300)
        sizes = 2.0 ** -torch.arange(64, dtype=torch.float64)[:, None].clamp_max(40)
        x = layer(on.narrowed(largest * sizes * z, dtype))
        assert x.isfinite().all(), name
        check(P, x)
        corners = on.narrowed(largest * z.sign(), dtype)
        check(P, layer(corners))
        smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
        check(P, layer(on.narrowed(smallest * (8 * z).round(), dtype)))


@each_mode
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_stays_near_the_plain_map(entry, mode, dtype):
    """A strict map moves a point by the plain displacement and a few margins, of which n roundings of
    the size of the point are one (a few of them if residuals are computed in a wider dtype), stretched as
    the map stretches a violation. In float64 they also cover the constants, which are computed in float64.
    """
    if not entry.projection:
        return  # its latent points are coefficients, at no distance from a value
    margins = 16 if dtype == torch.float32 else 128
    for name in sets_of(entry):
        P = on.family(name)
        plain, strict = (on.build(entry, name, each, dtype) for each in (False, mode))
        z = torch.randn(200, P.n, generator=torch.Generator().manual_seed(12), dtype=torch.float64).to(dtype)
        x, y = plain(z).double(), strict(z).double()
        stretch = float(((x - z).norm(dim=-1) / unit_violation(P, z).clamp_min(1e-12)).max())
        roundings = 32 if mode == "tight" and dtype == torch.float32 else P.n + 32
        size = z.double().norm(dim=-1) + x.norm(dim=-1) + 1
        bound = margins * roundings * torch.finfo(dtype).eps * max(stretch, 1) * size
        assert ((x - y).norm(dim=-1) <= bound).all(), name


def unit_violation(P: cn.Polyhedron, z: torch.Tensor) -> torch.Tensor:
    """The largest violation with rows of unit norm."""
    norms = np.linalg.norm(P.A, axis=1)
    equal = np.linalg.norm(P.C, axis=1)
    unit = cn.Polyhedron(
        P.A / norms[:, None], P.b / norms, P.C / equal[:, None], P.d / equal, lower=P.lower / norms
    )
    return unit.violation(z.double())


@each_mode
def test_rows_of_each_sample(entry, mode):
    """Every sample is exactly inside the set that came with it."""
    if "b" not in entry.per_sample:
        return
    P = random_cone(8, 6)
    if entry.accepts(P) is not None:
        return
    layer = entry(P, strict=mode)
    rng = np.random.default_rng(0)
    for dtype in on.DTYPES:
        used = deepcopy(layer).double() if dtype == torch.float64 else layer
        z = torch.tensor(rng.standard_normal((200, 8))).to(dtype)
        b = torch.tensor(rng.uniform(0.5, 2.0, (200, 6))).to(dtype)
        x = used(z, b=b)
        assert x.dtype == dtype
        for k in range(200):
            values = b[k].double().numpy()
            assert exactly_feasible(P.A, values, np.full(6, -np.inf), x[k : k + 1]).all(), (dtype, k)


@each_mode
def test_transformed_and_differentiated(entry, mode):
    name, P, layer = layer_of(entry, mode)
    z = on.points(layer, name, torch.float32, 1.0, 64, seed=13)
    check(P, torch.func.vmap(layer)(z))
    traced = z.clone().requires_grad_()
    x = layer(traced)
    check(P, x)
    x.square().sum().backward()
    assert traced.grad is not None and traced.grad.isfinite().all()


@pytest.mark.parametrize("mode", on.MODES)
@pytest.mark.parametrize(
    ("polyhedron", "reason"),
    [
        (cn.Polyhedron([[1.0, 2.0, 0.0], [-1.0, -2.0, 0.0], [0.0, 0.0, 1.0]]), "equality"),
        (cn.Polyhedron([[1.0, 2.0, 0.0]], b=[1.0], lower=[1.0]), "equality|lower = b|lower and b"),
        (cn.Polyhedron(np.vstack([np.eye(3), -np.ones((1, 3))])), "equality|interior|only"),
        (cn.Polyhedron([[1.0, 3.0, 0.0], [-1.0, -3.0, 0.0]], b=[1.0, -1.0]), "equality"),
    ],
    ids=["opposite rows", "lower = b", "only the origin", "opposite rows with b"],
)
def test_a_set_without_interior_is_refused(polyhedron, reason, mode):
    asked = [entry for entry in on.STRICT_METHODS if entry.accepts(polyhedron) is None]
    assert asked
    for entry in asked:
        with pytest.raises((cn.UnsupportedSetError, cn.TrivialSetError), match=reason):
            entry(polyhedron, strict=mode)


@pytest.mark.parametrize("mode", on.MODES)
def test_a_fixed_feature_is_exact_or_refused(mode):
    """`x_1 = 1` holds exactly in every dtype, `x_1 = 1/3` in none: no map may return anything else."""
    for value in (1.0, 1 / 3):
        P = cn.Polyhedron([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], b=[value, -value, 1.0])
        for entry in on.STRICT_METHODS:
            if entry.accepts(P) is None:
                try:
                    layer = entry(P, strict=mode)
                    x = layer(torch.randn(50, layer.in_features, generator=torch.Generator().manual_seed(0)))
                except cn.UnsupportedSetError as error:
                    assert re.search("equality|interior|dtype|float32", str(error))
                else:
                    check(P, x)


@pytest.mark.parametrize("entry", PARAMETERIZATIONS, ids=lambda entry: entry.name)
def test_a_method_without_strict_mode_says_so(entry):
    name = next(name for name in on.FAMILIES if on.accepted(entry, name))
    if on.has_strict(entry):
        assert on.build(entry, name, True, torch.float32).strict is True
    else:
        with pytest.raises(cn.UnsupportedSetError, match="strict"):
            entry(on.family(name), strict=True)(torch.zeros(1, 1))
    with pytest.raises(cn.InvalidInputError, match="strict"):
        entry(on.family(name), strict="sometimes")
