"""The planner: each branch, the report, and a layer for every set that is not empty."""

import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained as cn
from bench.problems.checkerboard import checkerboard, checkerboard_box
from bench.problems.random_cone import random_cone
from constrained import _survey
from constrained._survey import MAX_KINDS, Alternative
from constrained.parameterizations import PARAMETERIZATIONS
from constrained.planner import DISTORTION, MAX_CONDITION, plan

RNG = np.random.default_rng(5)


def tied(condition: float, n: int = 6) -> cn.Polyhedron:
    """Two unit rows with this condition number."""
    cosine = (condition**2 - 1) / (condition**2 + 1)
    A = np.zeros((2, n))
    A[0, 0] = 1.0
    A[1, :2] = cosine, (1 - cosine**2) ** 0.5
    return cn.Polyhedron(A @ np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0])


def body(n: int, m: int, seed: int = 0) -> cn.Polyhedron:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    return cn.Polyhedron(A, rng.uniform(0.5, 1.0, m))


def orders(count: int) -> cn.Polyhedron:
    return cn.Polyhedron.product(*(cn.Polyhedron.monotone(k + 3) for k in range(count)))


FLAT = cn.Polyhedron([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 0.0, 0.5]])
BRANCHES = {
    "box": (cn.Polyhedron.box([0.0, -1.0], [1.0, np.inf]), "box", "closed form"),
    "no rows": (cn.Polyhedron(np.zeros((0, 3))), "box", "closed form"),
    "simplex": (cn.Polyhedron.simplex(4), "simplex", "closed form"),
    "monotone": (cn.Polyhedron.monotone(4), "monotone", "closed form"),
    "orthogonal rows": (checkerboard(), "half_spaces", "rows are orthogonal"),
    "disjoint rows and a box": (checkerboard_box(4, 4, 2), "knapsack", "rows share no feature"),
    "two simplices": (
        cn.Polyhedron.product(cn.Polyhedron.simplex(2), cn.Polyhedron.simplex(3)),
        "knapsack",
        "this is the orthogonal projection",
    ),
    "exact blocks": (orders(2), "blocks", "1 x monotone, 1 x monotone"),
    "exact blocks, well conditioned": (
        cn.Polyhedron.product(cn.Polyhedron.monotone(4), cn.Polyhedron.monotone(4)),
        "blocks",
        "2 x monotone",
    ),
    "well conditioned": (tied(0.99 * MAX_CONDITION), "half_spaces", "well conditioned: 7.92 of 8"),
    "badly conditioned": (tied(1.01 * MAX_CONDITION), "shift", "at most 1.5x"),
    "equalities, well conditioned": (
        cn.Polyhedron([[1.0, 1.0, 0.0, 0.0]], C=[[0.0, 1.0, 1.0, 3.0]]),
        "half_spaces",
        "well conditioned",
    ),
    "blocks": (cn.Polyhedron.product(body(3, 9), body(3, 9)), "blocks", "2 x refined|2 x gauge"),
    "free features": (
        cn.Polyhedron.product(random_cone(4, 9), cn.Polyhedron(np.zeros((0, 2)))),
        "blocks",
        "1 x ",
    ),
    "half-plane twice": (cn.Polyhedron([[1.0, 2.0], [2.0, 4.0]]), "knapsack", "rows share no feature"),
    "far from a ball": (random_cone(8, 16), "refined", "shift moves points 3.39x .* more than 1.5x"),
    "near a ball": (body(2, 60), "gauge", "gauge moves points 1.* at most 1.5x"),
    "a point": (
        cn.Polyhedron([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]),
        "shift",
        "1x .* at most",
    ),
}


@pytest.mark.parametrize("name", list(BRANCHES))
def test_each_branch(name):
    P, method, reason = BRANCHES[name]
    found = plan(P)
    assert found.method == method and not found.strict
    assert re.search(reason, found.reason), found.reason
    layer = found.build()
    assert layer.name == method and layer.out_features == P.n
    x = layer(torch.randn(20, layer.in_features, generator=torch.Generator().manual_seed(0)))
    assert P.violation(x).max() <= 1e-5


@pytest.mark.parametrize("name", list(BRANCHES))
def test_five_lines(name):
    P = BRANCHES[name][0]
    found = plan(P)
    lines = str(found).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith(f"{found.method} for {P}: {found.cost:,} multiply-adds")
    assert f"{found.distortion:.3g}x" in lines[0]
    assert lines[1].split(maxsplit=1) == ["why:", found.reason]
    assert all(f"{entry.name}: " in lines[2] for entry in PARAMETERIZATIONS if entry.name != found.method)
    assert "rays: not enumerated; ask for method='rays'" in lines[2]
    assert f"n x m = {P.n} x {P.m}" in lines[3] and f"condition number {found.condition:.3g}" in lines[3]
    assert f"margin: {found.margin:.4g} " in lines[4] and "strict mode" in lines[4]


def test_alternatives():
    found = {other.name: other for other in plan(random_cone(64, 32)).alternatives}
    assert "half_spaces" not in found and len(found) == len(PARAMETERIZATIONS) - 1
    assert found["shift"].cost == 33 * 64
    assert found["refined"].cost > 3 * 32 * 64 and found["refined"].distortion == pytest.approx(1.01)
    assert found["shift"].distortion == pytest.approx(3.41, abs=0.01)
    assert found["blocks"] == Alternative("blocks", reason="its features form a single block")
    assert found["box"].cost is None and "64 non-zero" in found["box"].reason
    assert plan(random_cone(64, 32)).distortion == pytest.approx(1.16, abs=0.01)


def test_a_long_reason_is_cut_to_a_part_of_a_line():
    text = str(Alternative("monotone", reason="a row is\nnot sorted: " + "1.0\n" * 500))
    assert text.startswith("monotone: a row is not sorted: 1.0") and text.endswith("...") and len(text) < 120


def test_costs_of_products_add_up():
    found = plan(cn.Polyhedron.product(orders(2), cn.Polyhedron.monotone(3)))
    one, two = plan(cn.Polyhedron.monotone(3)), plan(cn.Polyhedron.monotone(4))
    assert found.cost == 2 * one.cost + two.cost and found.distortion == 1.0 and found.exact
    P = cn.Polyhedron.product(random_cone(4, 9), cn.Polyhedron.simplex(3))
    assert plan(P).distortion == plan(random_cone(4, 9)).distortion and not plan(P).exact


@pytest.mark.parametrize("P", [random_cone(9, 5), random_cone(6, 14), body(4, 20), tied(5.0)])
def test_distortions_are_those_of_the_modules(P):
    """Bounds from above, nearly sharp: against the exact projection of the same points."""
    from scipy.optimize import nnls

    found = plan(P)
    points = found._survey.points
    A, b = P.A, P.b
    for name in ("half_spaces", "shift", "gauge"):
        entry = next(entry for entry in PARAMETERIZATIONS if entry.name == name)
        if entry.accepts(P) is not None:
            continue
        x = entry(P).double()(torch.tensor(points)).numpy()
        ratios = []
        for group, values in zip(points, x, strict=True):
            moved = np.linalg.norm(values - group, axis=-1)
            exact = []
            for y in group:  # the multipliers of min |x - y| : A x <= b, by the dual least squares problem
                r = A @ y - b
                E = np.vstack([-A.T, r])
                u, _ = nnls(E, np.append(np.zeros(P.n), 1.0))
                v = E @ u - np.append(np.zeros(P.n), 1.0)
                exact.append(np.linalg.norm(v[:-1] / -v[-1]) if (r > 0).any() else 0.0)
            exact = np.array(exact)
            ratios.append(np.median(moved[exact > 1e-9] / exact[exact > 1e-9]))
        assert max(ratios) <= found._survey.distortion(name) * (1 + 1e-6) <= 1.02 * max(ratios)


def test_budget():
    P = random_cone(40, 80)
    assert plan(P).method == "refined"
    late = plan(P, budget=1e-6)
    assert late.method == "shift" and "over budget=1e-06" in late.reason
    assert late.distortion > DISTORTION
    assert plan(body(8, 60), budget=0.0).method == "gauge"
    P = cn.Polyhedron.product(P, P)
    assert plan(P).options["methods"] == ("refined",) * 2
    assert plan(P, budget=1e-6).options["methods"] == ("shift",) * 2
    assert cn.constrain(P, budget=1e-6).parts[0].name == "shift"
    small, large = (plan(random_cone(4, m))._survey.refined_seconds for m in (500, 1000))
    assert 6 < large / small < 9


def test_blocks_get_their_methods_in_the_order_of_the_features():
    parts = (random_cone(4, 9), cn.Polyhedron.simplex(3), cn.Polyhedron.box([0.0], [1.0]), random_cone(4, 9))
    P = cn.Polyhedron.product(*parts, cn.Polyhedron.box([0.0], [1.0]))
    found = plan(P)
    cone = plan(random_cone(4, 9)).method
    assert found.options == {"methods": (cone, "simplex", "box", cone)}
    assert [part.name for part in found.build().parts] == [cone, "simplex", "box"]


def test_too_many_kinds_of_blocks(monkeypatch):
    monkeypatch.setattr(_survey, "MAX_KINDS", 3)
    bodies = [body(3, 8 + k) for k in range(4)]
    assert plan(cn.Polyhedron.product(*bodies[:3])).method == "blocks"
    found = plan(cn.Polyhedron.product(*bodies))
    assert found.method in ("gauge", "refined")
    (blocks,) = (other for other in found.alternatives if other.name == "blocks")
    assert "4 different blocks" in blocks.reason
    assert MAX_KINDS >= 16  # a checkerboard of different tiles


# -- strict mode ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [True, "tight"])
def test_strict_refuses_a_set_without_an_interior(strict):
    for P in (FLAT, cn.Polyhedron.product(FLAT, random_cone(4, 9)), BRANCHES["a point"][0]):
        with pytest.raises(
            cn.UnsupportedSetError, match="no method can be strict .*row 0 holds with equality"
        ):
            plan(P, strict=strict)
        with pytest.raises(cn.UnsupportedSetError, match="row 0 holds with equality"):
            cn.constrain(P, strict=strict)
        assert "not possible: row 0 holds with equality" in str(plan(P))
    slab = cn.Polyhedron([[1.0, 2.0, 1.0]], b=1.0, lower=1.0)
    with pytest.raises(cn.UnsupportedSetError, match="row 0 holds with equality"):
        plan(slab, strict=strict)
    assert plan(slab).method == "half_spaces"


def test_strict_is_passed_on():
    P = cn.Polyhedron.product(random_cone(4, 9), random_cone(3, 7))
    layer = cn.constrain(P, strict=True)
    assert (
        layer.name == "blocks" and layer.strict is True and all(part.strict is True for part in layer.parts)
    )
    assert plan(P, strict="tight").build().strict == "tight"
    assert plan(P).build(strict=True, check_finite=True).check_finite
    assert cn.constrain(random_cone(64, 32), strict=True, check_finite=True).check_finite
    equal = cn.Polyhedron.product(
        cn.Polyhedron.simplex(3), random_cone(4, 9)
    )  # an equality is none that is implied
    assert cn.constrain(equal, strict=True)(torch.zeros(7)).shape == (7,)


def test_strict_where_a_dtype_is_too_coarse():
    thin = cn.Polyhedron([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0 + 1e-3]])
    for dtype, possible in ((torch.float64, True), (torch.float32, True), (torch.bfloat16, False)):
        found = plan(thin, dtype=dtype)
        assert (found.not_strict is None) == possible, dtype
        assert str(found).endswith("strict mode possible") == possible
    layer = plan(thin, strict=True).build()
    assert layer(torch.zeros(1, 3)).isfinite().all()
    with pytest.raises(cn.UnsupportedSetError, match="so thin"):
        layer(torch.zeros(1, 3, dtype=torch.bfloat16))


# -- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("P", "why"),
    [
        (cn.Polyhedron([[1.0, 1.0], [-1.0, -1.0]], b=[0.0, -1.0]), "row 0 .*row 1 gives 0 <= -1"),
        (cn.Polyhedron([[1.0, 0.0], [-1.0, 0.0]], b=[0.0, -1.0]), "row 0 .*row 1"),
        (cn.Polyhedron(-np.eye(2), C=[[1.0, 1.0]], d=[-1.0]), "equality 0"),
        (cn.Polyhedron(np.zeros((1, 2)), b=-1.0), "row 0"),
        (cn.Polyhedron.product(random_cone(3, 2), cn.Polyhedron([[0.0, 0.0]], b=-1.0)), "row 2"),
        (
            cn.Polyhedron.product(
                random_cone(3, 5), cn.Polyhedron([[2.0, 1.0]] * 2, [1.0, 9.0], lower=[-9, 2.0])
            ),
            "5",
        ),
    ],
)
def test_an_empty_set_is_refused_with_its_certificate(P, why):
    for call in (plan, cn.constrain):
        with pytest.raises(cn.InfeasibleError, match=why):
            call(P)


def test_bad_arguments():
    with pytest.raises(cn.InvalidInputError, match=r"found ndarray; try Polyhedron\(A\)"):
        plan(np.eye(2))
    with pytest.raises(cn.InvalidInputError, match="real floating dtype; found torch.int64"):
        plan(random_cone(3, 3), dtype=torch.int64)
    with pytest.raises(TypeError, match="rtol"):
        cn.constrain(random_cone(3, 3), rtol=0.1)
    with pytest.raises(cn.InvalidInputError, match="setup=False"):
        cn.constrain(random_cone(3, 3), setup=False)


def test_no_ray_engine_is_asked(monkeypatch):
    from constrained import engines
    from constrained.parameterizations import rays

    def refuse(*args, **kwargs):
        raise AssertionError("rays were enumerated")

    for home, name in (
        (sys.modules["constrained.generators"], "generators"),
        (rays, "enumerated"),
        (cn, "generators"),
    ):
        monkeypatch.setattr(home, name, refuse)
    for entry in engines.ENGINES:
        monkeypatch.setattr(entry, "rays", refuse, raising=False)
        monkeypatch.setattr(entry, "generate", refuse, raising=False)
    for P, *_ in BRANCHES.values():
        found = plan(P)
        str(found)
        assert found.method != "rays" and "rays" not in str(found.options)
        found.build()


def test_auto_is_the_plan():
    for P in (random_cone(8, 16), checkerboard_box(14, 14), orders(3)):
        layer, found = cn.constrain(P), plan(P).build()
        assert type(layer) is type(found)
        z = torch.randn(5, P.n, generator=torch.Generator().manual_seed(0))
        assert torch.equal(layer(z), found(z))


# -- every set that is not empty --------------------------------------------------------------------------


def rows_around(rng, n, m, slack):
    A, x = rng.standard_normal((m, n)), rng.standard_normal(n)
    return A, A @ x + slack(m), x


def bounded(rng, n, scale):
    A, b, _ = rows_around(rng, n, int(rng.integers(1, 3 * n + 2)), lambda m: rng.uniform(0, 1, m))
    eye = np.eye(n)
    return cn.Polyhedron(
        np.vstack([A, eye]), np.append(b, np.full(n, 9.0)), lower=[-np.inf] * len(A) + [-9.0] * n
    )


def unbounded(rng, n, scale):
    A, b, _ = rows_around(rng, n, int(rng.integers(1, n + 2)), lambda m: scale * rng.uniform(0.1, 1, m))
    return cn.Polyhedron(A, b)


def with_lines(rng, n, scale):
    r = int(rng.integers(1, n + 1))
    A, b, _ = rows_around(rng, r, int(rng.integers(1, 2 * r + 2)), lambda m: rng.uniform(0, 1, m))
    return cn.Polyhedron(A @ rng.standard_normal((r, n)), b)


def degenerate(rng, n, scale):
    """Many rows through one point, and a direction inside."""
    A, b, x = rows_around(rng, n, 3 * n, np.zeros)
    e = rng.standard_normal(n)
    A = -A * np.sign(A @ e)[:, None]
    return cn.Polyhedron(scale * A, scale * (A @ x))


def with_equalities(rng, n, scale):
    p = int(rng.integers(0, n + 1))
    A, b, x = rows_around(rng, n, int(rng.integers(0, 2 * n)), lambda m: rng.uniform(0.1, 1, m))
    C = rng.standard_normal((p, n))
    return cn.Polyhedron(A, b, scale * C, scale * (C @ x))


def flat(rng, n, scale):
    """Rows and their opposites: equalities that nobody called so."""
    A, b, x = rows_around(rng, n, n, lambda m: rng.uniform(0.1, 1, m))
    F = rng.standard_normal((int(rng.integers(1, n + 1)), n))
    return cn.Polyhedron(np.vstack([A, F, -F]), np.concatenate([b, F @ x, -(F @ x)]))


def point(rng, n, scale):
    x = rng.standard_normal(n)
    A = np.linalg.qr(rng.standard_normal((n, n)))[0]
    choice = int(rng.integers(3))
    if choice == 0:
        return cn.Polyhedron(A, A @ x, lower=A @ x)
    if choice == 1:
        return cn.Polyhedron(np.zeros((0, n)), C=scale * A, d=scale * (A @ x))
    A = np.vstack([A, -A.sum(0)])
    return cn.Polyhedron(A, A @ x)


def half_line(rng, n, scale):
    A, b, x = rows_around(rng, n, n, np.zeros)
    return cn.Polyhedron(A[:1], b[:1], A[1:], b[1:])


def whole_space(rng, n, scale):
    m = int(rng.integers(0, 3))
    return cn.Polyhedron(rng.standard_normal((m, n)), np.full(m, np.inf))


def zero_rows(rng, n, scale):
    P = unbounded(rng, n, scale)
    zero = np.zeros((2, n))
    return cn.Polyhedron(np.vstack([zero, P.A]), np.append([0.0, 1.0], P.b), C=zero[:1])


def repeated_rows(rng, n, scale):
    P = unbounded(rng, n, scale)
    factor = rng.uniform(0.1, 9, (P.m, 1))
    return cn.Polyhedron(np.vstack([P.A, factor * P.A, P.A]), np.concatenate([P.b, factor[:, 0] * P.b, P.b]))


def two_sided(rng, n, scale):
    A, b, x = rows_around(rng, n, int(rng.integers(1, n + 3)), lambda m: scale * rng.uniform(0, 1, m))
    return cn.Polyhedron(A, b, lower=A @ x - scale * rng.uniform(0, 1, len(A)))


def sparse(rng, n, scale):
    """Rows with few entries: often several blocks, lone features and free ones."""
    A, b, x = rows_around(rng, n, int(rng.integers(1, n + 1)), np.zeros)
    A *= rng.random(A.shape) < 1.5 / n
    return cn.Polyhedron(A, A @ x + rng.uniform(0.1, 1, len(A)))


def product(rng, n, scale):
    parts = [KINDS[name](rng, max(1, n // 2), scale) for name in rng.choice([*KINDS][:-1], 2)]
    return cn.Polyhedron.product(*parts, parts[0])


KINDS = {
    f.__name__: f
    for f in (
        bounded, unbounded, with_lines, degenerate, with_equalities, flat, point, half_line, whole_space,
        zero_rows, repeated_rows, two_sided, sparse, product,
    )
}  # fmt: skip


def size_of(P: cn.Polyhedron, *points: torch.Tensor) -> float:
    """Of the numbers that a value is made of."""
    bounds = np.concatenate([P.b, P.lower, P.d, [1.0]])
    rows = np.abs(np.concatenate([P.A, P.C, np.eye(P.n)[:1]])).max()
    largest = max(float(point.detach().abs().max()) for point in points)
    return float(np.abs(bounds[np.isfinite(bounds)]).max() + rows * P.n * (1 + largest))


@pytest.mark.parametrize("kind", list(KINDS))
@given(
    n=st.integers(1, 6), seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 1e3]),
    spread=st.sampled_from([0.1, 1.0, 100.0]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_every_set_that_is_not_empty_gets_a_layer(kind, n, seed, scale, spread):
    P = KINDS[kind](np.random.default_rng(seed), n, scale)
    found = plan(P)
    layer = found.build().double()
    assert layer.projection and layer.surjective
    z = spread * torch.randn(20, P.n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    z.requires_grad_()
    x = layer(z)
    size = size_of(P, z, x)
    assert P.violation(x).max() <= 1e-8 * size, found
    x.square().sum().backward()
    assert z.grad is not None and z.grad.isfinite().all(), found
    inside = x.detach()
    assert (layer(inside) - inside).abs().max() <= 1e-6 * size, found
    assert len(str(found).splitlines()) == 5
