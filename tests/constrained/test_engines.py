"""Engines against one another on all kinds of polyhedra, and what is peculiar to each."""

import os
import shutil
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import constrained as cn
from constrained.engines import Budget
from constrained.engines._base import Cone
from constrained.engines._formats import ext_rays, ine_lines
from constrained.engines._soundness import unsound
from constrained.engines.lrs_ import Lrs
from constrained.engines.normaliz_ import Normaliz
from constrained.engines.ppl_ import Ppl
from constrained.generators import check_generators, read_ext, write_ine
from tests.brute_force import extreme_rays
from tests.ray_engines import need_ray_engines, needs_lrs

need_ray_engines()

needs_mplrs = pytest.mark.skipif(
    shutil.which("mplrs") is None or shutil.which("mpirun") is None,
    reason="no program mplrs or mpirun (Debian: mplrs, openmpi-bin)",
)
lrs = pytest.param("lrs", marks=needs_lrs)
ENGINES = ("exact", "normaliz", lrs, "cdd")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    monkeypatch.setenv("CONSTRAINED_CACHE", "off")
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")  # in a container
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")


def random_cone(n: int, m: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)).astype(np.float32).astype(float)
    return A * -np.sign(A @ rng.standard_normal(n))[:, None]


def polyhedra() -> st.SearchStrategy[cn.Polyhedron]:
    """Small integer polyhedra: bounded or not, with lines, with equalities, degenerate, empty, a point."""

    def build(n: int) -> st.SearchStrategy[cn.Polyhedron]:
        def rows(most: int) -> st.SearchStrategy[list[list[int]]]:
            return st.lists(st.lists(st.integers(-2, 2), min_size=n, max_size=n), max_size=most)

        def finish(A: list, C: list, box: bool, numbers: st.DataObject) -> cn.Polyhedron:
            A = np.array([*A, *(np.eye(n) if box else [])], dtype=float).reshape(-1, n)
            b = [numbers.draw(st.sampled_from([0, 1, 2, 3, -1, np.inf])) for _ in A]
            lower = [numbers.draw(st.sampled_from([-np.inf, -np.inf, v - 2 if v < 9 else -1, v])) for v in b]
            lower = [-np.inf if v == np.inf else v for v in lower]
            if not C:
                return cn.Polyhedron(A, b=b, lower=lower)
            return cn.Polyhedron(A, b, C, [numbers.draw(st.integers(-1, 1)) for _ in C], lower)

        return st.builds(finish, rows(5), rows(1), st.booleans(), st.data())

    return st.integers(1, 4).flatmap(build)


def attempt(P: cn.Polyhedron, engine: str) -> cn.Generators | str:
    try:
        return cn.generators(P, engine=engine)
    except cn.InfeasibleError:
        return "empty"


@pytest.mark.parametrize("engine", ["normaliz", lrs])
@given(P=polyhedra())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_exact_engines_agree_on_all_kinds_of_polyhedra(engine, P):
    ours, other = attempt(P, "exact"), attempt(P, engine)
    if isinstance(ours, str) or isinstance(other, str):
        assert ours == other
        return
    assert ours.exact_vertices == other.exact_vertices
    assert ours.exact_rays == other.exact_rays and ours.exact_lines == other.exact_lines


@given(P=polyhedra())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_generators_of_any_polyhedron_are_those_of_brute_force(P):
    """Of the cone over it, whose rows are written down here once more."""
    rows = [[*map(int, a), -int(u)] for a, u in zip(P.A, P.b, strict=True) if np.isfinite(u)]
    rows += [[*map(int, -a), int(v)] for a, v in zip(P.A, P.lower, strict=True) if np.isfinite(v)]
    for c, v in zip(P.C, P.d, strict=True):
        rows += [[*map(int, c), -int(v)], [*map(int, -c), int(v)]]
    rays, lineality = extreme_rays([*rows, [0] * P.n + [-1]], P.n + 1)
    V = attempt(P, "exact")
    if isinstance(V, str):
        assert not any(ray[-1] for ray in rays)
        return
    assert len(V.exact_lines) == lineality
    assert {tuple(Fraction(v, ray[-1]) for v in ray[:-1]) for ray in rays if ray[-1]} == set(V.exact_vertices)
    assert {ray[:-1] for ray in rays if not ray[-1]} == set(V.exact_rays)


SPECIAL = {
    "half-line": (cn.Polyhedron([[-1.0]], b=[-2.0]), 1, 0, 1),
    "single point": (cn.Polyhedron(np.zeros((0, 2)), C=np.eye(2), d=[1.0, 2.0]), 0, 0, 1),
    "point by inequalities": (cn.Polyhedron(np.eye(2), b=3.0, lower=3.0), 0, 0, 1),
    "whole space": (cn.Polyhedron(np.zeros((0, 3))), 0, 3, 1),
    "whole line, by rows without bounds": (cn.Polyhedron([[1.0]], b=[np.inf]), 0, 1, 1),
    "plane": (cn.Polyhedron(np.zeros((0, 3)), C=[[1.0, 1.0, 1.0]], d=1.0), 0, 2, 1),
    "strip": (cn.Polyhedron([[1.0, 1.0]], b=1.0, lower=0.0), 0, 1, 2),
    "translated cone": (cn.Polyhedron(np.eye(3), b=1.0), 3, 0, 1),
    "prism, half infinite": (cn.Polyhedron(np.eye(3), b=1.0, lower=[0.0, 0.0, -np.inf]), 1, 0, 4),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", list(SPECIAL))
def test_special_sets_have_their_generators(engine, name):
    P, rays, lines, vertices = SPECIAL[name]
    V = cn.generators(P, engine=engine)
    assert (len(V.rays), len(V.lines), len(V.vertices)) == (rays, lines, vertices)
    assert V.rays.shape[1] == V.lines.shape[1] == V.vertices.shape[1] == P.n
    assert P.contains(V.vertices, tol=1e-12).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_empty_set_is_an_error_whatever_the_engine(engine):
    with pytest.raises(cn.InfeasibleError, match="empty"):
        cn.generators(cn.Polyhedron([[1.0, 0.0], [-1.0, 0.0]], b=[0.0, -1.0]), engine=engine)


def integer_cone(A: list[list[int]], C: list[list[int]] | None = None) -> Cone:
    return Cone([tuple(row) for row in A], [tuple(row) for row in C or []], len(A[0]))


QUADRANT = integer_cone([[-1, 0], [0, -1]])


@pytest.mark.parametrize("engine", [Ppl, Normaliz, pytest.param(Lrs, marks=needs_lrs)])
def test_exact_engines_return_primitive_vectors(engine):
    cone = integer_cone([[-6, 4, 0], [0, -10, 4], [9, 0, -21], [2**80, -(2**81), -1]])
    rays = engine.rays(cone, Budget(None, None))
    assert len(rays) >= 3 and unsound(cone, [tuple(ray) for ray in rays]) is None
    assert all(np.gcd.reduce(np.array(ray, dtype=object)) == 1 for ray in rays)


NARROW = [
    [[0, 0, 2, 1], [0, -1, -2, -2], [0, 0, -2, -1], [1, 1, 2, 0], [0, 2, 1, 1], [1, -1, 1, 1], [1, 2, 1, 2]]
    + [[1, 1, 1, 1]],
    [[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, -1, 3]],
    [[1, 0], [-1, 0]],
]


@pytest.mark.parametrize("A", NARROW)
def test_normaliz_where_rows_hold_with_equality_on_the_whole_cone(A):
    """The first is the one that Normaliz 3.11.0 gets wrong."""
    V = cn.generators(cn.Polyhedron(A), engine="normaliz")
    rays, lineality = extreme_rays(A, len(A[0]))
    assert set(V.exact_rays) == rays and len(V.exact_rays) == len(rays) and len(V.exact_lines) == lineality


def test_normaliz_and_its_budgets():
    P = cn.Polyhedron(random_cone(16, 40))
    with pytest.raises(cn.BudgetExceededError, match="after 1 s"):
        cn.generators(P, engine="normaliz", max_seconds=1.0)
    with pytest.raises(cn.BudgetExceededError, match="budget of 2 rays with 3 rays"):
        cn.generators(cn.Polyhedron(np.eye(3)), engine="normaliz", max_rays=2)
    two = cn.generators(cn.Polyhedron(random_cone(8, 14)), engine="normaliz", processes=2)
    assert two.exact_rays == cn.generators(cn.Polyhedron(random_cone(8, 14))).exact_rays


@pytest.mark.parametrize("stride", [1, 5, 100])
@pytest.mark.parametrize("budget", [None, 100_000])
def test_rays_do_not_depend_on_when_they_are_counted(monkeypatch, stride, budget):
    from constrained.engines import _worker

    rows = [tuple(int(v) for v in np.rint(100 * row)) for row in random_cone(6, 20)]
    expected = sorted(Normaliz.rays(Cone(rows, [], 6), Budget(None, None)))
    assert len(expected) > 10
    monkeypatch.setattr(_worker, "STRIDE", stride)
    assert sorted(_worker.ppl_rays(rows, [], 6, 6, budget)) == expected
    with pytest.raises(_worker.OverBudget) as over:
        _worker.ppl_rays(rows, [], 6, 6, 10)
    count, inserted, total = over.value.args
    assert 10 < count <= 60 and 6 < inserted < 12 and total == 20


@pytest.mark.parametrize("processes", [0, -1, 2.5])
def test_processes_are_a_positive_whole_number(processes):
    with pytest.raises(cn.InvalidInputError, match="processes must be a whole number"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="normaliz", processes=processes)


def test_processes_are_refused_where_they_would_do_nothing():
    with pytest.raises(cn.InvalidInputError, match="not parallel.*normaliz"):
        cn.generators(cn.Polyhedron(np.eye(2)), processes=4)


def test_a_missing_program_says_where_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(cn.MissingDependencyError, match="'lrs'.*PATH.*lrslib"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="lrs")
    with pytest.raises(cn.MissingDependencyError, match="'mpirun'"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="lrs", processes=4)
    with pytest.raises(cn.InvalidInputError, match="at least 4"):
        cn.generators(cn.Polyhedron(np.eye(2)), engine="lrs", processes=2)


@needs_mplrs
def test_mplrs_gives_the_same():
    for P in (cn.Polyhedron(random_cone(7, 15)), cn.Polyhedron.box([0.0, 0.0], [1.0, 2.0])):
        many = cn.generators(P, engine="lrs", processes=4)
        one = cn.generators(P)
        assert many.exact_rays == one.exact_rays and many.exact_vertices == one.exact_vertices


@needs_mplrs
@pytest.mark.parametrize("rows", [([[1, 0], [-1, 0]], []), ([[1, 1]], [[1, 1]])])
def test_mplrs_is_not_asked_where_it_would_never_end(rows):
    assert Lrs.rays(integer_cone(*rows), Budget(None, 10.0, 4)) == []


@needs_lrs
def test_lrs_and_its_budgets():
    P = cn.Polyhedron(random_cone(20, 44))
    with pytest.raises(cn.BudgetExceededError, match="of 300 rays with 301 rays found"):
        cn.generators(P, engine="lrs", max_rays=300)
    start = time.perf_counter()
    with pytest.raises(cn.BudgetExceededError, match=r"after 0.5 s with \d+ rays"):
        cn.generators(P, engine="lrs", max_seconds=0.5, max_rays=None)
    assert time.perf_counter() - start < 20


@needs_mplrs
def test_no_process_of_mplrs_is_left_behind():
    with pytest.raises(cn.BudgetExceededError, match=r"after 2 s with \d+ rays"):
        cn.generators(
            cn.Polyhedron(random_cone(20, 44)), engine="lrs", processes=4, max_seconds=2, max_rays=None
        )
    time.sleep(0.5)
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, state = (
                entry.read_bytes(),
                (entry.parent / "stat").read_text().rsplit(")", 1)[1].split()[0],
            )
        except OSError:
            continue
        assert b"constrained-lrs-" not in words or state == "Z"


def fake(tmp_path, monkeypatch, name: str, script: str) -> None:
    program = tmp_path / name
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


OUTPUT = "x\nV-representation\nbegin\n***** 3 rational\n 1 1/2 1\n 1 0 3\nend\n*Totals"
SIMPLE = f"print({OUTPUT!r}, flush=True)\n"


def test_lrs_through_a_program_that_behaves(tmp_path, monkeypatch):
    fake(tmp_path, monkeypatch, "lrs", SIMPLE)
    assert Lrs.rays(QUADRANT, Budget(None, None)) == [(1, 2), (0, 1)]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('out of memory')", "exit status 1: out of memory"),
        (SIMPLE + "import sys; sys.exit(3)", "exit status 3"),
        (SIMPLE.replace("end", ""), "no line 'end'"),
        ("print('hello')", "'V-representation'"),
    ],
)
def test_lrs_through_a_program_that_fails(tmp_path, monkeypatch, script, reason):
    fake(tmp_path, monkeypatch, "lrs", script)
    with pytest.raises(cn.EngineError, match=f"lrs failed.*{reason}"):
        Lrs.rays(QUADRANT, Budget(None, None))


def test_lrs_through_a_program_that_hangs_and_will_not_be_told(tmp_path, monkeypatch):
    from constrained.engines import lrs_

    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    fake(tmp_path, monkeypatch, "lrs", script)
    monkeypatch.setattr(lrs_._stop, "__defaults__", (0.3,))
    start = time.perf_counter()
    with pytest.raises(cn.BudgetExceededError, match="after 0.5 s with 0 rays"):
        Lrs.rays(QUADRANT, Budget(None, 0.5))
    assert time.perf_counter() - start < 10


def test_the_ine_file_is_the_section_in_integers():
    assert list(ine_lines(integer_cone([[-1, 0], [1, -2]], [[3, 5]]))) == [
        "constrained",
        "H-representation",
        "linearity 2 1 2",
        "begin",
        "4 3 integer",
        "-1 0 2",
        "0 3 5",
        "0 1 0",
        "0 -1 2",
        "end",
    ]


def test_integers_of_any_length_survive_the_files():
    huge = 7**6000  # 5071 digits
    lines = list(ine_lines(integer_cone([[-huge, 1], [1, -huge]])))
    assert len(lines[6].split()[1]) > 5000
    text = ["V-representation", "begin", "***** 3 rational", f"1 {lines[6].split()[1]} 1/2", "end"]
    assert list(ext_rays(text, 2)) == [(2 * huge, 1)]


# Printed by lrs 7.1 for a cone with two lines, and by mplrs 7.1 for an empty section (mended by hand).
RECORDED = """
*lrs:lrslib v.7.1 2021.6.2(64bit,lrslong.h,hybrid arithmetic)
*Input taken from  lines.ine
constrained
*lrs:lrslib v.7.1 2021.6.2(128bit,lrslong.h,hybrid arithmetic)
constrained
V-representation
linearity 1  1
begin
***** 4 rational
 0  0  0  1
 1  1/2  0  0
*lrs:lrslib v.7.1 2021.6.2(64bit,lrsgmp.h,hybrid arithmetic) gmp v.6.2
constrained
 1 -3/4  5/6  0
end
*Totals: vertices=2 rays=0 bases=2 integer_vertices=0  linearities=1 vertices+rays+linearities=3
"""


def test_recorded_outputs_are_read():
    assert list(ext_rays(RECORDED.splitlines(), 3)) == [(1, 0, 0), (-9, 10, 0)]
    assert list(ext_rays(["x", "*No feasible solution"], 3)) == []
    assert list(ext_rays(["x", "V-representation", "", "No feasible solution"], 3)) == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("end\n", "", "no line 'end'"),
        ("***** 4", "***** 5", "header with 4 columns"),
        (" 1  1/2", " 2  1/2", "first 0 or 1"),
        ("  5/6  0", "  5/6", "expected 4 numbers"),
        ("5/6", "5/x", "an integer or a fraction"),
        ("V-representation", "H-representation", "'V-representation'"),
    ],
)
def test_damaged_outputs_are_refused(old, new, reason):
    with pytest.raises(cn.EngineError, match=reason):
        list(ext_rays(RECORDED.replace(old, new).splitlines(), 3))


def ext_text(rays: list[tuple[int, ...]], n: int) -> str:
    rows = "\n".join(f" 1 {' '.join(map(str, ray))}" for ray in rays)
    return f"name\nV-representation\nbegin\n***** {n + 1} rational\n{rows}\nend\n"


HAND = {
    "cone": cn.Polyhedron(random_cone(5, 9)),
    "cone with lines": cn.Polyhedron(random_cone(5, 3)),
    "box": cn.Polyhedron.box([0.0, -1.0], [0.5, 2.0]),
    "unbounded": cn.Polyhedron([[1.0, 1.0, 0.0]], b=[2.0], C=[[0.0, 0.0, 1.0]], d=3.0),
}


@needs_lrs
@pytest.mark.parametrize("name", list(HAND))
def test_a_run_by_hand(name, tmp_path):
    P, source, result = HAND[name], tmp_path / "set.ine", tmp_path / "set.ext"
    write_ine(P, source)
    assert os.system(f"lrs {source} {result} 2> {os.devnull}") == 0
    V, expected = read_ext(P, result), cn.generators(P)
    assert V.exact_rays == expected.exact_rays and V.exact_lines == expected.exact_lines
    assert V.exact_vertices == expected.exact_vertices


class TestReadExt:
    """A file of the right shape with the wrong content."""

    P = cn.Polyhedron(random_cone(5, 9))

    @pytest.fixture
    def read(self, tmp_path):
        def read(rays, **options):
            (tmp_path / "x.ext").write_text(ext_text(rays, 5))
            return read_ext(self.P, tmp_path / "x.ext", **options)

        return read

    def test_the_truth_passes(self, read):
        V = cn.generators(self.P)
        rays = [tuple(3 * v for v in ray) for ray in V.exact_rays]
        assert read([*rays[::-1], rays[0]]).exact_rays == V.exact_rays

    def test_a_missing_ray_is_noticed_unless_told_not_to_look(self, read):
        rays = list(cn.generators(self.P).exact_rays)
        with pytest.raises(cn.VerificationError, match="incomplete"):
            read(rays[1:])
        assert len(read(rays[1:], complete=False).rays) == len(rays) - 1

    @pytest.mark.parametrize("complete", [True, False])
    def test_a_wrong_ray_is_noticed(self, read, complete):
        rays = list(cn.generators(self.P).exact_rays)
        middle = tuple(map(sum, zip(*rays, strict=True)))
        with pytest.raises(cn.VerificationError, match="not extreme"):
            read([*rays, middle], complete=complete)
        with pytest.raises(cn.VerificationError, match="breaks a row"):
            read([*rays, tuple(-v for v in rays[0])], complete=complete)
        off = (rays[0][0] + 1, *rays[0][1:])
        with pytest.raises(cn.VerificationError, match="not extreme|breaks a row"):
            read([*rays[1:], off], complete=complete)


@pytest.mark.parametrize("name", list(HAND))
def test_generators_are_recognised_as_those_of_their_set(name):
    check_generators(HAND[name], cn.generators(HAND[name]))
    for other in HAND.keys() - {name}:
        with pytest.raises(cn.VerificationError, match="not the generators"):
            check_generators(HAND[name], cn.generators(HAND[other]))


class TestSoundness:
    """Of the cone over a square pyramid in its coordinates x, y, z, t, cut by the plane z = 0."""

    ROWS = [[1, 0, 0, -1], [-1, 0, 0, -1], [0, 1, 0, -1], [0, -1, 0, -1], [1, 1, 0, -2]]
    CONE = integer_cone(ROWS, [[0, 0, 1, 0]])
    RAYS = [(x, y, 0, 1) for x in (-1, 1) for y in (-1, 1)]

    def test_the_truth_passes(self):
        assert unsound(self.CONE, self.RAYS) is None and unsound(self.CONE, []) is None

    @pytest.mark.parametrize(
        ("ray", "reason"),
        [
            ((0, 1, 0, 1), "ray 4 is not extreme"),  # on an edge
            ((0, 0, 0, 1), "ray 4 is not extreme"),  # inside
            ((1, 1, 1, 1), "ray 4 breaks a row"),  # off the equality
            ((1, 2, 0, 1), "ray 4 breaks a row"),
            ((0, 0, 0, 0), "a ray is 0"),
            ((1, 1, 0, 1), "a ray occurs twice"),
        ],
    )
    def test_anything_else_does_not(self, ray, reason):
        assert unsound(self.CONE, [*self.RAYS, ray]) == reason

    def test_rows_that_vanish_modulo_the_prime(self):
        from constrained.engines._soundness import PRIME

        cone = integer_cone([[-PRIME, 0, 0], [0, -PRIME, 0], [0, 0, -1]])
        assert unsound(cone, [(1, 0, 0), (0, 1, 0), (0, 0, 1)]) is None
        assert unsound(cone, [(1, 1, 0)]) == "ray 0 is not extreme"
