"""The enumeration of rays: brute force, known counts, all engines, budgets, verification."""

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product
from math import comb

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrained as cn
from constrained.engines._base import Cone
from constrained.exact import independent_rows, integer_rows
from constrained.verification import verified_rays
from tests.brute_force import extreme_rays
from tests.interpreter import run_python
from tests.ray_engines import need_ray_engines, needs_lrs

need_ray_engines()

lrs = pytest.param("lrs", marks=needs_lrs)
ENGINES = ("exact", "normaliz", lrs, "cdd")


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("CONSTRAINED_CACHE", "off")


def small_cones(relation: str) -> st.SearchStrategy[list[list[int]]]:
    """Integer matrices with m < n, m = n or m > n, small entries so that degeneracy is common."""
    sizes = {
        "m < n": ((3, 2), (4, 3), (5, 2)),
        "m = n": ((2, 2), (3, 3), (4, 4)),
        "m > n": ((2, 4), (3, 6), (4, 7)),
    }
    entry = st.integers(-3, 3)
    return st.sampled_from(sizes[relation]).flatmap(
        lambda size: st.lists(
            st.lists(entry, min_size=size[0], max_size=size[0]), min_size=size[1], max_size=size[1]
        )
    )


@pytest.mark.parametrize("relation", ["m < n", "m = n", "m > n"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rays_and_lines_are_those_of_brute_force(relation, data):
    A = data.draw(small_cones(relation))
    n = len(A[0])
    V = cn.generators(cn.Polyhedron(A))
    rays, lineality = extreme_rays(A, n)
    assert set(V.exact_rays) == rays and len(V.exact_rays) == len(rays)
    assert len(V.exact_lines) == lineality
    assert all(not any(np.dot(A, line)) for line in V.exact_lines)
    assert np.linalg.matrix_rank(V.lines) == lineality if lineality else V.lines.shape == (0, n)


@given(A=st.sampled_from(["m < n", "m = n", "m > n"]).flatmap(small_cones))
@settings(max_examples=40, deadline=None)
def test_floating_point_engine_agrees_or_is_refused(A):
    P = cn.Polyhedron(A)
    try:
        found = cn.generators(P, engine="cdd")
    except cn.EngineError:
        return
    exact = cn.generators(P)
    assert found.exact_rays == exact.exact_rays and found.exact_lines == exact.exact_lines


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("d", [2, 3, 4, 5])
def test_cone_over_the_cube_and_the_cross_polytope(engine, d):
    eye, ones = np.eye(d), np.ones((d, 1))
    cube = np.block([[eye, -ones], [-eye, -ones]])  # |x_i| <= t
    signs = np.array(list(product([1.0, -1.0], repeat=d)))
    cross = np.hstack([signs, -np.ones((2**d, 1))])  # |x|_1 <= t
    assert len(cn.generators(cn.Polyhedron(cube), engine=engine).rays) == 2**d
    assert len(cn.generators(cn.Polyhedron(cross), engine=engine).rays) == 2 * d


def cyclic_facets(n: int, d: int) -> int:
    """Facets of the cyclic polytope with n vertices in dimension d (Ziegler, sec. 8.4)."""
    k = d // 2
    return n * comb(n - k, k) // (n - k) if d % 2 == 0 else 2 * comb(n - k - 1, k)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("n", "d"), [(5, 2), (6, 3), (7, 4), (8, 5), (9, 6)])
def test_facets_of_cyclic_polytopes(engine, n, d):
    t = np.arange(n) - n // 2
    A = -np.vander(t, d + 1, increasing=True)  # the cone of all affine functions that are >= 0 on the curve
    assert len(cn.generators(cn.Polyhedron(A), engine=engine).rays) == cyclic_facets(n, d)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("d", [2, 3, 4])
def test_vertices_of_the_permutahedron(engine, d):
    """x(S) <= the sum of the |S| largest of 1 ... d for all S, with equality for the whole: d! vertices."""
    subsets = [s for s in product([0.0, 1.0], repeat=d) if 0 < sum(s) < d]
    b = [sum(range(d - int(sum(s)) + 1, d + 1)) for s in subsets]
    V = cn.generators(cn.Polyhedron(subsets, b=b, C=np.ones((1, d)), d=sum(range(d + 1))), engine=engine)
    assert sorted(map(tuple, V.vertices)) == sorted(permutations(range(1, d + 1)))
    assert not len(V.rays) and not len(V.lines)


@pytest.mark.parametrize("engine", ENGINES)
def test_polytopes_have_their_vertices(engine):
    cube = cn.generators(cn.Polyhedron(np.eye(3), b=1.0, lower=-1.0), engine=engine)
    assert sorted(map(tuple, cube.vertices)) == sorted(product([-1.0, 1.0], repeat=3))
    assert not len(cube.rays) and not len(cube.lines)
    simplex = cn.generators(cn.Polyhedron(-np.eye(4), C=np.ones((1, 4)), d=1.0), engine=engine)
    assert sorted(map(tuple, simplex.vertices)) == sorted(map(tuple, np.eye(4)))


def test_an_unbounded_polyhedron_with_a_line():
    V = cn.generators(cn.Polyhedron([[1.0, 1.0, 0.0]], b=[2.0], C=[[0.0, 0.0, 1.0]], d=3.0))
    assert np.allclose(V.vertices, [[1.0, 1.0, 3.0]])  # orthogonal to the line (1, -1, 0)
    assert np.allclose(V.rays, [[-(0.5**0.5), -(0.5**0.5), 0.0]])
    assert np.allclose(np.abs(V.lines), [[0.5**0.5, 0.5**0.5, 0.0]])


def test_whole_space_and_the_origin():
    whole = cn.generators(cn.Polyhedron(np.zeros((0, 3))))
    assert len(whole.rays) == 0 and np.allclose(whole.lines @ whole.lines.T, np.eye(3))
    origin = cn.generators(cn.Polyhedron(np.vstack([np.eye(2), -np.eye(2)])))
    assert not len(origin.rays) and not len(origin.lines) and origin.vertices.tolist() == [[0.0, 0.0]]


def test_an_empty_set_is_an_error():
    with pytest.raises(cn.InfeasibleError, match="empty"):
        cn.generators(cn.Polyhedron([[1.0, 0.0], [-1.0, 0.0]], b=[0.0, -1.0]))


def test_numbers_are_taken_as_the_rationals_that_they_are():
    V = cn.generators(cn.Polyhedron([[0.1, -0.3], [-1e-300, 1e-310]]))
    for row in ((0.1, -0.3), (-1e-300, 1e-310)):
        ratios = [v.as_integer_ratio() for v in row]
        for ray in V.exact_rays:
            value = sum(p * (2**1100 // q) * v for (p, q), v in zip(ratios, ray, strict=True))
            assert value <= 0
    assert np.isfinite(V.rays).all()


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_float_generators_have_unit_norm_whatever_the_size_of_the_integers(size):
    V = cn.generators(cn.Polyhedron([[1.0, -size, 0.0], [-1.0, -size, 0.0]]))
    for found in (V.rays, V.lines):
        assert len(found) and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-15)
    assert np.allclose(V.rays[:, 0], np.array([-1, 1]) / np.hypot(1, 1 / size), atol=1e-15)


def test_vertices_are_correctly_rounded_fractions():
    V = cn.generators(cn.Polyhedron([[3.0, 0.0], [0.0, 7.0]], b=1.0, lower=[0.0, -2.0]))
    assert sorted(map(tuple, V.vertices)) == sorted(product([0.0, 1 / 3], [-2 / 7, 1 / 7]))


def random_cone(n: int, m: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)).astype(np.float32).astype(float)
    return A * -np.sign(A @ rng.standard_normal(n))[:, None]


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_all_engines_give_the_same_bytes(engine):
    P = cn.Polyhedron(random_cone(8, 14))
    exact, other = cn.generators(P), cn.generators(P, engine=engine)
    assert exact.rays.tobytes() == other.rays.tobytes() and len(exact.rays) > 50


def nearly_parallel(seed: int, gap: float) -> np.ndarray:
    """A cone with every row twice, the second time turned by about `gap`."""
    rng = np.random.default_rng(seed)
    inside, A = rng.standard_normal(6), rng.standard_normal((10, 6))
    A = np.vstack([A, A + gap * rng.standard_normal(A.shape)])
    return A * -np.sign(A @ inside)[:, None]


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("seed", range(4))
def test_floating_point_goes_wrong_on_nearly_parallel_rows_and_is_refused(seed, gap):
    P = cn.Polyhedron(nearly_parallel(seed, gap))
    exact = cn.generators(P)
    assert P.violation(exact.rays).max() < 1e-14
    try:
        found = cn.generators(P, engine="cdd")
    except cn.EngineError as error:
        assert gap < 1e-3, error
    else:
        assert gap > 1e-9 and found.exact_rays == exact.exact_rays


def test_large_enumerations_run_in_a_child_process_and_give_the_same(monkeypatch):
    from constrained.engines import ppl_

    P = cn.Polyhedron(random_cone(7, 13))
    here = cn.generators(P)
    monkeypatch.setattr(ppl_, "IN_PROCESS_RAYS_TIMES_N", 0)
    monkeypatch.setattr(ppl_, "ppl_rays", lambda *_: (_ for _ in ()).throw(ppl_.OverBudget(1, 1, 1)))
    there = cn.generators(P)
    assert there.rays.tobytes() == here.rays.tobytes()


def test_budgets_stop_an_explosion_and_say_how_far_it_came():
    P = cn.Polyhedron(random_cone(16, 40))
    with pytest.raises(cn.BudgetExceededError, match=r"of 300 rays with \d+ rays after \d+ of 40 rows"):
        cn.generators(P, max_rays=300)
    with pytest.raises(cn.BudgetExceededError, match=r"after 1 s with (\d+ rays after|no rays)"):
        cn.generators(P, max_seconds=1.0)
    with pytest.raises(cn.BudgetExceededError, match="3 rays exceed the budget of 2"):
        cn.generators(cn.Polyhedron(np.eye(3)), max_rays=2)


def test_unknown_engine():
    with pytest.raises(cn.UnknownNameError, match="'porta'; available: 'exact', 'normaliz', 'lrs', 'cdd'"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="porta")


def test_a_missing_engine_names_the_extra(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ppl" else real(name))
    with pytest.raises(cn.MissingDependencyError, match=r"'ppl'.*constrained\[rays\]"):
        cn.generators(cn.Polyhedron(np.eye(2)))


class TestVerification:
    """A tampered result of an inexact engine must be refused, each time for the right reason."""

    CASES = {
        "simple": random_cone(6, 11),
        "degenerate": np.block([[np.eye(3), -np.ones((3, 1))], [-np.eye(3), -np.ones((3, 1))]])[
            :, [0, 1, 2, 3]
        ],
        "cross": np.hstack([np.array(list(product([1.0, -1.0], repeat=3))), -np.ones((8, 1))]),
        "with lines": random_cone(7, 4),
        "a facet only": np.vstack([np.eye(4), [[0, 0, 0, -1]]]),
    }

    @pytest.fixture(params=list(CASES))
    def case(self, request):
        A = self.CASES[request.param]
        cone = Cone(integer_rows(A), [], A.shape[1])
        V = cn.generators(cn.Polyhedron(A))
        row_space = [cone.inequalities[i] for i in independent_rows(cone.inequalities, cone.n)]
        return cone, V.rays.tolist(), row_space, V

    def test_the_truth_passes(self, case):
        cone, rays, row_space, V = case
        noisy = [[v * (1 + 1e-12) for v in ray] for ray in rays]
        assert sorted(verified_rays(cone, noisy, row_space)) == list(V.exact_rays)

    def test_any_missing_ray_is_noticed(self, case):
        cone, rays, row_space, _ = case
        for k in range(len(rays)):
            with pytest.raises(cn.VerificationError, match=r"incomplete|no ray"):
                verified_rays(cone, rays[:k] + rays[k + 1 :], row_space)

    def test_a_ray_that_is_not_extreme_is_noticed(self, case):
        cone, rays, row_space, _ = case
        middle = np.mean(rays, axis=0).tolist()
        with pytest.raises(cn.VerificationError, match="not extreme"):
            verified_rays(cone, [*rays, middle], row_space)

    def test_a_ray_outside_is_noticed(self, case):
        cone, rays, row_space, _ = case
        outside = [-v for v in rays[0]]
        with pytest.raises(cn.VerificationError, match=r"outside the cone"):
            verified_rays(cone, [*rays, outside], row_space)

    def test_no_rays_at_all_is_noticed(self, case):
        cone, _, row_space, _ = case
        with pytest.raises(cn.VerificationError, match="no ray"):
            verified_rays(cone, [], row_space)

    def test_through_the_public_function(self, monkeypatch):
        from constrained.engines.cdd_ import Cdd

        P = cn.Polyhedron(self.CASES["simple"])
        honest = Cdd.rays
        monkeypatch.setattr(Cdd, "rays", classmethod(lambda cls, cone, budget: honest(cone, budget)[1:]))
        with pytest.raises(cn.VerificationError, match="incomplete.*engine='exact'"):
            cn.generators(P, engine="cdd")


def test_ctrl_c_stays_with_python():
    """Loading PPL must not leave a handler that jumps out of `malloc`: the C handler stays the same."""
    code = (
        "import ctypes, signal, constrained as cn\n"
        "def handler():\n"
        "    action = (ctypes.c_void_p * 32)()\n"
        "    assert ctypes.CDLL(None).sigaction(int(signal.SIGINT), None, action) == 0\n"
        "    return action[0]\n"
        "before = handler()\n"
        "cn.generators(cn.Polyhedron([[1.0, 2.0]]))\n"
        "assert handler() == before, 'another handler'\n"
    )
    run_python(code)


def test_other_threads_enumerate_as_well():
    with ThreadPoolExecutor(1) as pool:
        V = pool.submit(cn.generators, cn.Polyhedron(-np.eye(3))).result()
    assert V.rays.tolist() == np.eye(3)[::-1].tolist()


def test_an_engine_that_dies_is_an_error_of_ours(monkeypatch, tmp_path):
    from constrained.engines import _base

    worker = tmp_path / "worker.py"
    worker.write_text("import sys; sys.stdin.buffer.read(); raise SystemExit('Numerical inconsistency')")
    monkeypatch.setattr(_base, "WORKER", worker)
    with pytest.raises(cn.EngineError, match="'cdd' failed: exit status 1.*Numerical inconsistency"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="cdd")
