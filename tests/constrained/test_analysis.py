"""The analysis of a set: exact answers from its V-representation, other solvers, certificates, text."""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

import constrained as cn
from bench.problems.random_cone import random_cone
from constrained import Polyhedron
from constrained.analysis import Analysis, _programs, analyse

for _module, _package in (("ppl", "pplpy"), ("flint", "python-flint"), ("daqp", "daqp")):
    pytest.importorskip(_module, reason=f"the package is not installed: {_package}")

INF = np.inf
FILTERED = [HealthCheck.filter_too_much]


@st.composite
def polyhedra(draw) -> Polyhedron:
    """Small integer sets: about half of them through a chosen point, most of those tight somewhere."""
    n, m, p = draw(st.integers(1, 4)), draw(st.integers(0, 6)), draw(st.integers(0, 2))
    entry = st.integers(-3, 3)

    def vector(size, values=entry):
        return np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype=float)

    A, C = vector(m * n).reshape(m, n), vector(p * n).reshape(p, n)
    if draw(st.booleans()):
        point = vector(n)
        b = A @ point + vector(m, st.sampled_from([0, 0, 1, 2, INF]))
        lower = A @ point - vector(m, st.sampled_from([0, 1, 3, INF, INF, INF]))
        return Polyhedron(A, b, C, C @ point, lower)
    b = vector(m)
    return Polyhedron(A, b, C, vector(p), b - vector(m, st.sampled_from([0, 2, INF, INF, INF])))


class Truth:
    """Exact answers from vertices, rays and lines."""

    def __init__(self, P: Polyhedron) -> None:
        V = cn.generators(P)
        self.points = [list(v) for v in V.exact_vertices]
        self.rays = [list(map(Fraction, r)) for r in V.exact_rays]
        self.lines = [list(map(Fraction, line)) for line in V.exact_lines]
        both = [*self.rays, *self.lines]
        steps = [*both, *([a - b for a, b in zip(v, self.points[0], strict=True)] for v in self.points[1:])]
        self.dimension = np.linalg.matrix_rank(np.array(steps, dtype=float)) if steps else 0
        self.slacks = {}
        for side, rows, bound in ((1, P.A, P.b), (-1, -P.A, -P.lower)):
            for i in np.flatnonzero(np.isfinite(bound)):
                self.slacks[int(i), side] = self._slack(rows[i], bound[i])

    def _slack(self, g, h):
        """Slacks at the points, then the slopes along rays."""
        g, h = [Fraction(float(v)) for v in g], Fraction(float(h))
        dot = lambda x: sum(a * b for a, b in zip(g, x, strict=True))  # noqa: E731
        return [h - dot(x) for x in self.points], [-dot(r) for r in self.rays]

    def implicit(self):
        return {pair for pair, (points, slopes) in self.slacks.items() if not any(points) and not any(slopes)}

    def proper(self):
        """Rows that are not constant on the set."""
        return {pair for pair, (points, slopes) in self.slacks.items() if any(slopes) or len(set(points)) > 1}

    def has_direction(self):
        return all(any(self.slacks[pair][1]) for pair in self.proper())


def is_empty(P: Polyhedron) -> bool:
    try:
        cn.generators(P)
    except cn.InfeasibleError:
        return True
    return False


def excess(P: Polyhedron, x: np.ndarray) -> float:
    return float(P.violation(x)) / (1 + float(np.abs(x).max()))


@given(P=polyhedra())
@example(P=Polyhedron(np.zeros((0, 2))))
@example(P=Polyhedron([[1.0, 0.0]], 1.0, [[0.0, 1.0]], 2.0))  # half-line
@example(P=Polyhedron([[1.0], [-1.0]], [2.0, -2.0]))  # point
@example(P=Polyhedron([[1.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], 0.0))  # point, three rows through it
@example(P=Polyhedron(np.zeros((0, 2)), C=[[1.0, -1.0], [2.0, -2.0]], d=[1.0, 2.0]))  # line, row twice
@example(P=Polyhedron([[0.0, 1.0], [1.0, 0.0]], [3.0, 2.0], [[-2.0, -3.0]], -13.0))  # point, by rounding
@settings(max_examples=300, deadline=None)
def test_it_agrees_with_the_exact_vertices_rays_and_lines(P):
    found = analyse(P)
    assert found.is_empty == is_empty(P)
    if found.is_empty:
        event("empty")
        return
    truth = Truth(P)
    event(f"dimension {truth.dimension} of {P.n}, {'' if truth.rays or truth.lines else 'bounded'}")
    assert found.dimension == truth.dimension
    assert found.lineality_dim == len(truth.lines) == len(found.lineality)
    assert found.is_bounded == (not truth.rays and not truth.lines)
    assert set(found.implicit) == truth.implicit()
    assert set(found.inequalities.pairs()) == truth.proper()
    assert (found.direction is not None) == truth.has_direction()
    check_hull(found, truth)
    check_depth(found)


def check_hull(found: Analysis, truth: Truth) -> None:
    Q, f = found.hull
    assert np.allclose(Q @ Q.T, np.eye(len(Q)), atol=1e-13)
    for x in truth.points:
        assert np.allclose(Q @ np.array(x, dtype=float), f, atol=1e-9)
    for x in (*truth.rays, *truth.lines):
        assert np.allclose(Q @ np.array(x, dtype=float), 0, atol=1e-9)


def check_depth(found: Analysis) -> None:
    """The interior point is on the hull and at least about half as deep as possible."""
    c, rows, hull = found.interior_point, found.inequalities, found.hull
    assert np.allclose(hull.Q @ c, hull.f, atol=1e-9)
    assert excess(found.polyhedron, c) <= 1e-12
    margins = (rows.h - rows.G @ c) / found.norms
    assert found.margin == pytest.approx(margins.min(initial=INF), rel=1e-9)
    if not len(rows.h):
        return
    assert found.margin > 0
    if found.direction is None:
        assert found.margin >= 0.45 * largest_margin(found)
    else:
        assert (rows.G @ found.direction / found.norms).max() == pytest.approx(-1, rel=1e-12)
        assert np.allclose(hull.Q @ found.direction, 0, atol=1e-12 * np.linalg.norm(found.direction))


def largest_margin(found: Analysis) -> float:
    from scipy.optimize import linprog

    rows, hull = found.inequalities, found.hull
    n = rows.G.shape[1]
    result = linprog(
        np.append(np.zeros(n), -1.0),
        np.column_stack([rows.G, np.linalg.norm(rows.G, axis=1)]),
        rows.h,
        np.column_stack([hull.Q, np.zeros(len(hull.f))]),
        hull.f,
        bounds=(None, None),
    )
    assert result.status == 0, result.message
    return result.x[-1]


@given(P=polyhedra(), powers=st.lists(st.integers(-12, 12), min_size=8, max_size=8), far=st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_scale_of_a_row_does_not_matter(P, powers, far):
    """Powers of two from about 1e-11 to 1e11, or 1e-180 to 1e180: the set is the same to the last bit."""
    scale = np.ldexp(1.0, np.array(powers) * (50 if far else 3))
    a, c = scale[: P.m], scale[6 : 6 + P.p]
    Q = Polyhedron(a[:, None] * P.A, a * P.b, c[:, None] * P.C, c * P.d, a * P.lower)
    found, scaled = analyse(P), analyse(Q)
    assert found.is_empty == scaled.is_empty
    if found.is_empty:
        assert scaled.certificate is not None and scaled.certificate.check(Q)
        return
    assert found.implicit == scaled.implicit and found.dimension == scaled.dimension
    assert np.allclose(found.interior_point, scaled.interior_point, atol=1e-6, rtol=1e-6)
    assert np.allclose(scaled.norms, found.norms * a[found.inequalities.index], rtol=1e-12)
    assert found.redundant == scaled.redundant and found.rank == scaled.rank


@given(P=polyhedra())
@settings(max_examples=300, deadline=None, suppress_health_check=FILTERED)
def test_an_empty_set_has_a_certificate_that_holds_exactly(P):
    found = analyse(P)
    assume(found.is_empty)
    proof = found.certificate
    assert proof is not None and proof.exact and proof.residual == 0 and proof.check(P)
    u, v, w = [Fraction(0)] * P.m, [Fraction(0)] * P.m, [Fraction(0)] * P.p
    for term in proof.terms:
        {"b": u, "lower": v, "equality": w}[term.kind][term.row] += term.weight
    assert min([0, *u, *v]) >= 0
    for j in range(P.n):
        column = [(u, P.A), (v, -P.A), (w, P.C)]
        assert sum(t * Fraction(float(M[i, j])) for weights, M in column for i, t in enumerate(weights)) == 0
    value = [(u, P.b), (v, -P.lower), (w, P.d)]
    assert sum(t * Fraction(float(h[i])) for weights, h in value for i, t in enumerate(weights) if t) == -1
    for exact, rounded in ((u, proof.u), (v, proof.v), (w, proof.w)):
        assert np.array_equal(rounded, [float(t) for t in exact])


def test_the_certificate_names_the_rows_of_the_user():
    P = Polyhedron([[1.0, 0.0], [4.0, 2.0], [0.0, -2.0]], [5.0, 2.0, 1.0], lower=[1.0, -INF, -INF])
    with pytest.raises(cn.InfeasibleError) as caught:
        analyse(P).check_not_empty()
    text = "1 x row 1 + 1 x row 2 + 4 x lower bound of row 0 gives 0 <= -1"
    assert text in str(caught.value) and "relax b, lower or d" in str(caught.value)
    assert text in str(P.describe()) and "empty" in str(P.describe())
    for ask in ("interior_point", "direction", "inequalities", "hull", "implicit", "redundant", "is_bounded"):
        with pytest.raises(cn.InfeasibleError, match="is empty: 1 x row 1"):
            getattr(analyse(P), ask)
    assert not analyse(Polyhedron([[1.0]])).certificate
    analyse(Polyhedron([[1.0]])).check_not_empty()


@pytest.mark.parametrize(
    ("P", "text"),
    [
        (Polyhedron([[0.0, 0.0]], -2.0), "0.5 x row 0 gives"),
        (Polyhedron([[0.0, 0.0]], 3.0, lower=2.0), "0.5 x lower bound of row 0 gives"),
        (Polyhedron([[1.0, 1.0]], 1.0, [[0.0, 0.0]], 2.0), "-0.5 x equality 0"),
        (Polyhedron(np.zeros((0, 1)), C=[[1.0], [2.0]], d=[1.0, 3.0]), "x equality 0"),
        (Polyhedron([[1.0, 1.0]], 1.0, [[1.0, 1.0]], 3.0), "0.5 x row 0 - 0.5 x equality 0"),
        (Polyhedron([[1.0], [-1.0], [1.0]], [0.0, -1.0, 1e12]), "1 x row 0 + 1 x row 1 gives"),
    ],
)
def test_every_way_to_be_empty_has_its_certificate(P, text):
    found = analyse(P)
    assert found.is_empty and found.certificate is not None and found.certificate.check(P)
    assert text in str(found.certificate)


def test_a_certificate_that_rounding_keeps_from_being_exact_says_how_far_it_reaches():
    """Both rows have the same direction but for rounding, so the exact set has a point very far out."""
    P = Polyhedron([[1.0, 1 / 3], [-3.0, -1.0]], [0.0, -1.0])
    found = analyse(P)
    proof = found.certificate
    assert found.is_empty and proof is not None and not proof.exact and not proof.check(P)
    assert 0 < proof.residual < 1e-15 and "so no point has |x_1| + ... + |x_n| < " in str(proof)
    far = Fraction(1) / Fraction(proof.residual)
    assert float(re.findall(r"< (\S+)$", str(proof))[0]) == pytest.approx(float(far), rel=0.1)


def test_a_wrong_certificate_is_refused():
    P, other = Polyhedron([[1.0], [-1.0]], [0.0, -1.0]), Polyhedron([[1.0], [-1.0]], [0.0, 1.0])
    proof = analyse(P).certificate
    assert proof is not None and proof.check(P) and not proof.check(other)
    assert not proof.check(Polyhedron([[1.0], [-2.0]], [0.0, -1.0]))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 8), (8, 16), (64, 32), (40, 100), (150, 16), (50, 50)])
def test_the_deepest_direction_is_that_of_another_solver(n, m):
    import daqp

    for seed in range(3):
        P = random_cone(n, m, seed)
        G = P.A / np.linalg.norm(P.A, axis=1, keepdims=True)
        sense = np.zeros(m, dtype=np.int32)
        best = daqp.solve(np.eye(n), np.zeros(n), G, -np.ones(m), np.full(m, -1e30), sense)[0]
        e = P.describe().direction
        assert e is not None and (G @ e).max() == pytest.approx(-1, rel=1e-12)
        assert np.linalg.norm(e) == pytest.approx(np.linalg.norm(best), rel=1e-6)
        assert np.array_equal(e, P.describe().interior_point) and P.describe().margin == pytest.approx(1)


@given(P=polyhedra())
@settings(max_examples=200, deadline=None, suppress_health_check=FILTERED)
def test_no_direction_inside_the_hull_is_shorter(P):
    found = analyse(P)
    assume(not found.is_empty and found.direction is not None and len(found.norms))
    e, unit = found.direction, found.inequalities.G / found.norms[:, None]
    # Optimality of the projection of 0: e is a combination of minus the active rows and of Q, weights >= 0.
    from scipy.optimize import nnls

    active = unit[unit @ e >= -1 - 1e-9]
    columns = np.concatenate([-active, found.hull.Q, -found.hull.Q]).T
    assert nnls(columns, e)[1] <= 1e-8 * np.linalg.norm(e)


@pytest.mark.parametrize("depth", [1e-3, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("n", [2, 7, 30])
def test_a_thin_cone_has_its_direction(depth, n):
    """Nearly opposite rows: `+-x_i + depth x_n <= 0` has the deepest direction `-x_n / depth`."""
    eye = np.eye(n)
    P = Polyhedron(np.concatenate([eye[:-1], -eye[:-1]]) + depth * eye[-1])
    found = analyse(P)
    expected = -np.sqrt(1 + depth**2) / depth * eye[-1]
    assert found.direction is not None and not found.implicit
    assert np.allclose(found.direction, expected, rtol=1e-9, atol=1e-6 * abs(expected[-1]))
    assert (P.A @ found.direction < 0).all()
    turned = np.linalg.qr(np.random.default_rng(n).standard_normal((n, n)))[0]
    e = analyse(Polyhedron(P.A @ turned)).direction
    assert e is not None and np.linalg.norm(e) == pytest.approx(-expected[-1], rel=1e-9 / depth * 1e-6 + 1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_centre_of_a_box_is_its_middle(n):
    upper = 10.0 ** np.arange(n)
    found = analyse(Polyhedron.box(np.zeros(n), upper))
    assert found.interior_point == pytest.approx(upper / 2, rel=2e-2)
    assert found.margin == pytest.approx(0.5, rel=1e-2) and found.is_bounded
    assert analyse(Polyhedron.simplex(4)).interior_point == pytest.approx([0.25] * 4)
    tube = analyse(Polyhedron.box([0.0, 0.0], [1.0, INF]))
    assert tube.direction is None and not tube.is_bounded
    assert tube.interior_point[0] == pytest.approx(0.5) and 0.25 < tube.interior_point[1] < 10


def test_an_unbounded_margin_gives_the_shortest_point_as_deep_as_the_rows_are_far():
    found = analyse(Polyhedron([[-2.0, 0.0], [0.0, -1.0]], [-6.0, 5.0]))  # x >= 3, y >= -5
    assert np.allclose(found.interior_point, [7.0, 0.0]) and found.margin == pytest.approx(4)
    assert analyse(Polyhedron(np.zeros((0, 2)))).margin == INF
    # The row goes through the hull's nearest point (0.05, 0.1, 0.15), where rounding leaves 1e-17.
    flat = analyse(Polyhedron([[1.0, 1.0, -1.0]], 0.0, [[1.0, 2.0, 3.0]], 0.7))
    assert flat.margin == pytest.approx(1) and flat.dimension == 2


@pytest.mark.parametrize("scale", [1e-100, 1e-9, 1e9, 1e100])
def test_the_size_of_the_set_does_not_matter(scale):
    found = analyse(Polyhedron.box([-1.0 * scale, 2 * scale], [scale, 3 * scale]))
    assert (
        found.interior_point == pytest.approx([0.0, 2.5 * scale], abs=1e-2 * scale) and found.dimension == 2
    )
    assert analyse(Polyhedron([[1.0], [-1.0]], [scale, -2 * scale])).is_empty


def test_rounding_in_the_bounds_does_not_make_a_flat_set_empty():
    P = Polyhedron([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [0.3, -(0.1 + 0.2), 1.0])
    found = analyse(P)
    assert not found.is_empty and found.dimension == 1 and found.implicit == ((0, 1), (1, 1))
    thin = analyse(Polyhedron([[1.0, 0.0], [-1.0, 0.0]], [1 + 1e-11, -1.0]))
    assert thin.dimension == 2 and thin.margin > 0  # far above rounding, so an interior


@given(P=polyhedra())
@settings(max_examples=100, deadline=None, suppress_health_check=FILTERED)
def test_leaving_out_the_redundant_rows_changes_nothing_and_leaves_none(P):
    found = analyse(P)
    assume(not found.is_empty)
    dropped = set(found.redundant)
    assert dropped.isdisjoint(found.implicit)
    assert generating(P, dropped) == generating(P, set())
    for pair in set(found.inequalities.pairs()) - dropped:
        assert generating(P, {*dropped, pair}) != generating(P, set())


def generating(P: Polyhedron, without: set) -> tuple:
    b, lower = P.b.copy(), P.lower.copy()
    for row, side in without:
        (b if side > 0 else lower)[row] = INF * side
    V = cn.generators(Polyhedron(P.A, b, P.C, P.d, lower))
    return V.exact_vertices, V.exact_rays, {max(line, tuple(-v for v in line)) for line in V.exact_lines}


def test_of_equal_rows_the_first_is_kept():
    P = Polyhedron([[1.0, 0.0], [3.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [1.0, 3.0, 2.0, 1.0, 7.0])
    assert analyse(P).redundant == ((1, 1), (2, 1), (4, 1))


def test_rank_condition_and_orthogonality_are_of_the_rows_with_a_bound():
    P = Polyhedron([[3.0, 4.0, 0.0], [4.0, -3.0, 0.0], [1.0, 1.0, 1.0]], [0.0, 1.0, INF])
    found = analyse(P)
    assert found.rank == 2 and found.lineality_dim == 1 and np.allclose(np.abs(found.lineality), [[0, 0, 1]])
    assert found.orthogonal_rows and found.condition == pytest.approx(1)
    skew = analyse(Polyhedron([[1.0, 0.0]], 1.0, [[1e9, 1e9]], 0.0))
    assert not skew.orthogonal_rows and skew.condition == pytest.approx(1 + np.sqrt(2))
    assert analyse(Polyhedron([[1.0, 2.0], [2.0, 4.0]])).condition == INF
    assert analyse(Polyhedron([[1.0, 2.0], [2.0, 4.0]])).rank == 1


def test_blocks_are_the_features_that_share_a_row():
    A = np.zeros((3, 8))
    A[0, [1, 5]], A[1, [2, 3]], A[2, [0, 1]] = 1, 1, 1
    C = np.zeros((1, 8))
    C[0, [5, 6]] = 1
    P = Polyhedron(A, [1.0, 1.0, INF], C, 0.0)
    assert [block.tolist() for block in analyse(P).blocks] == [[0, 4, 7], [1, 5, 6], [2, 3]]
    assert [block.tolist() for block in analyse(Polyhedron(np.zeros((0, 3)))).blocks] == [[0, 1, 2]]
    product = Polyhedron.product(Polyhedron.simplex(3), Polyhedron.monotone(2))
    assert [block.tolist() for block in product.describe().blocks] == [[0, 1, 2], [3, 4]]


def test_the_recession_cone_keeps_the_rows():
    P = Polyhedron([[1.0, 2.0], [0.0, 1.0]], [3.0, INF], [[1.0, 1.0]], 5.0, [-INF, -7.0])
    R = analyse(P).recession
    assert R.is_cone and R.b.tolist() == [0, INF] and R.lower.tolist() == [-INF, 0] and R.d.tolist() == [0]
    assert np.array_equal(R.A, P.A) and np.array_equal(R.C, P.C)


def test_sets_with_an_interior_need_no_linear_program(monkeypatch):
    monkeypatch.setattr(_programs, "_solve", lambda *arguments: pytest.fail("a linear program was solved"))
    rng = np.random.default_rng(0)
    body = Polyhedron(rng.standard_normal((60, 20)), rng.random(60))
    for P in (random_cone(20, 30), body, Polyhedron.box(np.zeros(20), np.ones(20)), Polyhedron.simplex(20)):
        found = analyse(P)
        assert not found.is_empty and found.implicit == () and found.margin > 0
        assert found.is_bounded == (not P.is_cone)


def test_the_report():
    P = Polyhedron(
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [1.0, 2.0, 3.0], lower=[0.0, -INF, 3.0]
    )
    lines = str(P.describe()).splitlines()
    assert lines[0] == str(P) and 10 <= len(lines) <= 14
    report = dict(line.strip().split(":", 1) for line in lines[1:])
    report = {key: value.strip() for key, value in report.items()}
    assert report["dimension"] == "2 of 3" and report["bounded"] == "no"
    assert report["lines"].startswith("1 ") and report["independent blocks"] == "3, of 1 to 1 features"
    assert report["inequalities"] == "3 one-sided"
    assert report["implicit equalities"] == "2: rows 2 (lower), 2"
    assert report["redundant rows"] == "1: row 1" and report["rank"].startswith("2, rows not orthogonal")
    assert "margin 0.49" in report["interior point"] and report["interior direction"] == "none"
    assert repr(P.describe()) == f"Analysis({P})"


def test_redundancy_of_many_rows_is_left_to_whoever_asks(monkeypatch):
    monkeypatch.setattr("constrained.analysis._analysis.redundant", lambda analysis: pytest.fail("asked"))
    text = str(Polyhedron(np.random.default_rng(0).standard_normal((501, 3)), 1.0).describe())
    assert "not looked for (501 inequalities" in text
