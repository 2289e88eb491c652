"""Every projection under the contract, against each other, and what is peculiar to each."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

import baselines
from baselines import PROJECTIONS, AbstractProjection, Status
from baselines._pointwise import AbstractPointwise
from baselines.cvxpy_ import TOLERANCES
from constrained.errors import (
    EngineError,
    InfeasibleError,
    InvalidInputError,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedSetError,
)
from constrained.polyhedron import Polyhedron
from tests import oracles
from tests.contracts.projection import CASES, EMPTY, ProjectionContract, close, points, served, set_up, size

pytest.importorskip("scipy", reason="the oracles need scipy")

ACCURACY = {
    "daqp": 1e-10,
    "osqp": 2e-6,
    "quadprog": 1e-10,
    "closed_box": 1e-13,
    "closed_simplex": 1e-13,
    "closed_isotonic": 1e-13,
    "closed_orthogonal": 1e-13,
    "closed_knapsack": 1e-13,
}
"""Of the points, relative to their size; 1e-6 for a projection that is not here."""


def installed(entry):
    missing = entry.name not in baselines.available()
    reason = f"not installed: one of {', '.join(entry.requires)}"
    return pytest.param(entry, id=entry.name, marks=pytest.mark.skipif(missing, reason=reason))


ALL = [installed(entry) for entry in PROJECTIONS]
GENERAL = [
    installed(entry)
    for entry in PROJECTIONS
    if not entry.wraps and entry.accepts(CASES["two-sided rows"].polyhedron) is None
]
"""Those that serve any set and are not there to model for another one."""


@pytest.fixture(scope="module", params=GENERAL)
def method(request):
    return request.param


@pytest.fixture(scope="module")
def accuracy(method):
    return ACCURACY.get(method.name, 1e-6)


class TestContract(ProjectionContract):
    methods, accuracies = ALL, ACCURACY


def checkerboard():
    """(16, 784): on each 7x7 tile of a 28x28 image the sum is at most 0, at least 0 on every other."""
    signs = np.kron((-1.0) ** np.add.outer(range(4), range(4)), np.ones((7, 7)))
    tiles = np.kron(np.arange(16).reshape(4, 4), np.ones((7, 7)))
    return np.stack([(signs * (tiles == t)).ravel() for t in range(16)])


def random_cone(n, m, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    return A * -np.sign(A @ rng.standard_normal(n))[:, None]


@pytest.mark.parametrize(("n", "m"), [(30, 12), (15, 15), (8, 16), (6, 40)])
def test_random_cones(method, n, m):
    A, y = random_cone(n, m, seed=n), 3 * np.random.default_rng(m).standard_normal((40, n))
    result = method(Polyhedron(A))(torch.from_numpy(y))
    close(result.x, torch.from_numpy(oracles.project_cone(A, y)), 1e-6)


def test_checkerboard(method):
    A, y = checkerboard(), np.random.default_rng(0).uniform(-1, 1, (10, 784))
    x = method(Polyhedron(A))(torch.from_numpy(y)).x
    close(x, torch.from_numpy(oracles.project_orthogonal_rows(A, y)), 1e-6)


def test_checkerboard_with_the_box(method):
    """Also where many features end on the box. Each tile by bisection on the multiplier of its row."""
    A, y = checkerboard(), np.random.default_rng(0).uniform(-1.5, 1.5, (4, 784))
    low, high = np.zeros((4, 16)), np.full((4, 16), 10.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = np.clip(y - middle @ A, -1, 1) @ A.T > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    infinite = np.full(16, -np.inf)
    P = Polyhedron(
        np.concatenate([A, np.eye(784)]),
        np.concatenate([np.zeros(16), np.ones(784)]),
        lower=np.concatenate([infinite, -np.ones(784)]),
    )
    x = method(P)(torch.from_numpy(y)).x
    close(x, torch.from_numpy(np.clip(y - high @ A, -1, 1)), 1e-6)


DEGENERATE = {
    "duplicate rows": [[1.0, 2.0, 0.0], [1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [0.0, 1.0, -1.0]],
    "zero row": [[0.0, 0.0, 0.0], [1.0, -1.0, 0.5]],
    "redundant rows": [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 2.0], [2.0, 1.0, 3.0]],
    "a subspace": [[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]],
    "only the origin": [*np.eye(3), [-1.0, -1.0, -1.0]],
    "four rows meet in a line": [[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 0.5, 0.0], [1.0, -0.5, 0.0]],
    "rows of unequal size": [[1e-3, 2e-3, 0.0], [1e3, -1e3, 1e3], [1.0, 0.0, 1.0]],
}


@pytest.mark.parametrize("name", list(DEGENERATE))
def test_degenerate_cones(method, accuracy, name):
    A = np.array(DEGENERATE[name])
    y = 2 * np.random.default_rng(1).standard_normal((50, 3))
    result = method(Polyhedron(A))(torch.from_numpy(y))
    close(result.x, torch.from_numpy(oracles.project_cone(A, y)), accuracy * np.abs(y).max())


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_apex_boundary_and_inside(method, accuracy, scale):
    A = random_cone(4, 9, seed=2)
    rows = A / np.linalg.norm(A, axis=1, keepdims=True)
    outward = rows.sum(0)  # in the polar cone: its nearest point is the apex
    edge = oracles.project_cone(A, np.random.default_rng(3).standard_normal((20, 4)))
    y = scale * np.concatenate([outward[None], 2 * outward[None], edge, np.zeros((1, 4))])
    expected = scale * np.concatenate([np.zeros((2, 4)), edge, np.zeros((1, 4))])
    x = method(Polyhedron(A))(torch.from_numpy(y)).x
    close(x, torch.from_numpy(expected), accuracy * max(1.0, scale * np.abs(outward).max()))


def test_daqp_far_from_the_origin():
    """Rounding exceeds an absolute tolerance there; the set must not be called empty for it."""
    pytest.importorskip("daqp", reason="not installed: daqp")
    rng = np.random.default_rng(4)
    for _ in range(20):
        center, A = 1e6 * rng.integers(-3, 4, 6), rng.integers(-2, 3, (9, 6)) * 1.0
        C = rng.integers(-2, 3, (3, 6)) * 1.0
        C = np.concatenate([C, C[:1] + C[1:2]])
        P = Polyhedron(A, A @ center + rng.integers(0, 2, 9), C, C @ center)
        y = np.concatenate([rng.standard_normal((10, 6)), center + rng.standard_normal((10, 6))])
        project = baselines.projection("daqp")(P)
        result = project(torch.from_numpy(y))
        assert set(result.status.tolist()) == {Status.SOLVED}
        assert P.violation(result.x).max() <= 1e-12 * 1e7
        close(project(result.x).x, result.x, 1e-12 * 1e7)

        y = torch.from_numpy(1e9 * rng.standard_normal((10, 6)))
        project = baselines.projection("daqp")(Polyhedron(A, C=C))
        assert set(project(y).status.tolist()) == {Status.SOLVED}
        close(project(y).x / 1e9, project(y / 1e9).x, 1e-9)


def test_all_agree():
    for case in CASES.values():
        y = points(case, count=30)
        entries = [baselines.projection(name) for name in baselines.available()]
        answers = [
            entry(case.polyhedron)(y).x
            for entry in entries
            if not entry.wraps and entry.accepts(case.polyhedron) is None
        ]
        for x in answers:
            close(x, answers[0], 1e-6 * max(1.0, size(y)))


def test_daqp_does_not_carry_answers_over():
    """One workspace for all points against a fresh one for each, on hundreds of points and sets."""
    daqp = pytest.importorskip("daqp", reason="not installed: daqp")
    rng = np.random.default_rng(9)
    for n, m in [(3, 9), (6, 20), (10, 10), (12, 5)] * 3:
        A = rng.integers(-2, 3, (m, n)) * 1.0
        y = rng.standard_normal((30, n)) * 10.0 ** rng.integers(-2, 3, (30, 1))
        x = baselines.projection("daqp")(Polyhedron(A, 1.0))(torch.from_numpy(y)).x
        for point, found in zip(y, x.numpy(), strict=True):
            fresh, _, flag, _ = daqp.solve(
                np.eye(n), -point, A, np.ones(m), np.full(m, -1e30), np.zeros(m, np.intc), primal_tol=1e-11
            )
            assert flag == 1 and np.abs(found - fresh).max() <= 1e-10 * max(1.0, np.abs(point).max())


def test_a_point_found_refutes_the_claim_that_the_set_is_empty():
    class Confused(AbstractProjection):
        name, citation, default_tol = "confused", "", 1e-6

        def setup(self, polyhedron, tol):
            return None

        def solve(self, state, y):
            x = np.where(y[:, :1] > 0, y, np.nan)
            return x, [Status.SOLVED if first > 0 else Status.INFEASIBLE for first in y[:, 0]]

    project = Confused(CASES["box"].polyhedron)
    result = project(torch.tensor([[1.0], [-1.0]]).expand(2, 5))
    assert result.status.tolist() == [Status.SOLVED, Status.FAILED]
    with pytest.raises(InfeasibleError, match="confused reports"):
        project(-torch.ones(2, 5))


def test_an_error_of_the_solver_is_wrapped():
    class Broken(AbstractProjection):
        name, citation, default_tol = "broken", "", 1e-6

        def setup(self, polyhedron, tol):
            return None

        def solve(self, state, y):
            raise RuntimeError("out of luck")

    with pytest.raises(EngineError, match="broken failed: RuntimeError: out of luck"):
        Broken(CASES["box"].polyhedron)(torch.ones(2, 5))


def test_proxqp_in_parallel_is_told_the_threads_that_torch_has(monkeypatch):
    """Without it OpenMP's number of threads, which torch shares, is halved for all that follows."""
    proxqp = pytest.importorskip("proxsuite", reason="not installed: proxsuite").proxqp
    told, run = [], proxqp.dense.solve_in_parallel
    monkeypatch.setattr(
        proxqp.dense,
        "solve_in_parallel",
        lambda whole, *threads: told.append(threads) or run(whole, *threads),
    )
    baselines.projection("proxqp_batch")(CASES["box"].polyhedron)(points(CASES["box"]))
    assert set(told) == {(torch.get_num_threads(),)}


def test_osqp_flags_a_point_it_gave_up():
    pytest.importorskip("osqp", reason="not installed: osqp")
    case = CASES["two-sided rows"]
    result = baselines.projection("osqp")(case.polyhedron, max_iter=2)(points(case))
    assert set(result.status.tolist()) == {Status.INACCURATE}
    assert result.x.isfinite().all()


@pytest.mark.parametrize("solver", sorted(TOLERANCES))
def test_cvxpy_with_other_solvers(solver):
    cvxpy = pytest.importorskip("cvxpy", reason="not installed: cvxpy")
    if solver not in cvxpy.installed_solvers():
        pytest.skip(f"cvxpy finds no {solver} here")
    case = CASES["simplex"]
    x = baselines.projection("cvxpy")(case.polyhedron, solver=solver)(points(case)).x
    close(x, torch.from_numpy(case.project(points(case).numpy())), 1e-5)
    if solver not in ("DAQP", "HIGHS"):  # active-set solvers, exact at any tolerance
        # Points far away: near ones OSQP's polishing makes exact at any tolerance too.
        case = CASES["two-sided rows"]
        tight, loose = (
            baselines.projection("cvxpy")(case.polyhedron, tol=tol, solver=solver)(points(case, 1e3)).x
            for tol in (1e-6, 1e-2)
        )
        assert (loose - tight).abs().max() > 1e-8, "tol does not reach the solver"


def test_cvxpy_keeps_its_warnings_to_itself():
    cvxpy = pytest.importorskip("cvxpy", reason="not installed: cvxpy")
    if "OSQP" not in cvxpy.installed_solvers():
        pytest.skip("cvxpy finds no OSQP here")
    case = CASES["two-sided rows"]
    result = baselines.projection("cvxpy")(case.polyhedron, tol=1e-18, solver="OSQP")(points(case)[:3])
    assert Status.INACCURATE in result.status and result.x.isfinite().all()


def test_cvxpy_refuses_solvers():
    pytest.importorskip("cvxpy", reason="not installed: cvxpy")
    P = CASES["box"].polyhedron
    with pytest.raises(UnknownNameError, match=r"unknown cvxpy solver 'NOPE'; installed: .*'CLARABEL'"):
        baselines.projection("cvxpy")(P, solver="NOPE")
    with pytest.raises(InvalidInputError, match="'SCIPY' cannot solve a quadratic problem"):
        baselines.projection("cvxpy")(P, solver="SCIPY")


@pytest.mark.parametrize("name", ["proxqp", "proxqp_batch", "piqp", "clarabel", "qpalm", "scs"])
def test_tol_reaches_the_solver(name):
    """1e-2 leaves another point than the default. Active-set solvers and a polished OSQP are exact at any."""
    if name not in baselines.available():
        pytest.skip(f"not installed: {name}")
    case, method = CASES["two-sided rows"], baselines.projection(name)
    loose = method(case.polyhedron, tol=1e-2)(points(case)).x
    assert (loose - set_up(method, case.polyhedron)(points(case)).x).abs().max() > 1e-9


def test_a_point_outside_is_never_solved():
    """Whatever a solver claims, its points are looked at."""

    class Liar(AbstractPointwise):
        name, citation, default_tol = "liar", "", 1e-6

        def start(self, rows, tol):
            return None

        def nearest(self, solver, point):
            return point, Status.SOLVED

    project = Liar(CASES["simplex"].polyhedron)
    assert set(project(points(CASES["simplex"])).status.tolist()) == {Status.INACCURATE}
    with pytest.raises(InfeasibleError, match="liar reports"):
        Liar(EMPTY["rows"])(torch.full((1, 3), 20.0))


def test_a_false_claim_that_the_set_is_empty_is_refuted():
    class Pessimist(AbstractPointwise):
        name, citation, default_tol = "pessimist", "", 1e-6

        def start(self, rows, tol):
            return None

        def nearest(self, solver, point):
            return None, Status.INFEASIBLE

    for case in CASES.values():
        if case.polyhedron.m or case.polyhedron.p:
            result = Pessimist(case.polyhedron)(points(case))
            assert set(result.status.tolist()) == {Status.FAILED} and result.x.isnan().all()


def test_sets_without_a_closed_form_are_refused_with_a_reason():
    cases = {
        "closed_box": ("simplex", "1 rows have more than one non-zero entry"),
        "closed_simplex": ("box", "expected one equality, with the same coefficient"),
        "closed_isotonic": ("box", "expected the rows x_i - x_{i\\+1} <= 0"),
        "closed_orthogonal": ("cone, m = n", "not orthogonal: a cosine of"),
        "closed_knapsack": ("cone, m = n", "5 rows with several entries share feature 0"),
    }
    for name, (case, reason) in cases.items():
        with pytest.raises(UnsupportedSetError, match=f"{name}' cannot serve .*{reason}"):
            baselines.projection(name)(CASES[case].polyhedron)


def test_closed_forms_on_empty_sets():
    for name, P in [
        ("closed_box", EMPTY["bounds"]),
        ("closed_simplex", Polyhedron(-np.eye(3), [-1.0, -1.0, -1.0], C=[[1.0, 1.0, 1.0]], d=2.0)),
        ("closed_orthogonal", EMPTY["equalities"]),
        ("closed_knapsack", EMPTY["simplex cut off"]),
        ("closed_knapsack", Polyhedron(np.eye(2), 1.0, C=[[1.0, 1.0]], d=2.5)),
    ]:
        with pytest.raises(InfeasibleError, match=f"{name} reports"):
            baselines.projection(name)(P)(torch.zeros(2, P.n))


KNAPSACKS = [pytest.param(True, id="compiled"), pytest.param(False, id="torch")]


@pytest.mark.parametrize("compiled", KNAPSACKS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0, 1e8])
def test_closed_knapsack_on_hard_points(compiled, scale):
    """Ties, points on breakpoints, all features on bounds, magnitudes of all kinds; both ways to compute."""
    if compiled:
        pytest.importorskip("numba", reason="not installed: numba")
    case, rng = CASES["knapsack"], np.random.default_rng(7)
    y = scale * rng.standard_normal((60, 10))
    y[1::4], y[2::4] = np.round(2 * y[1::4]) / 2, scale * np.sign(y[2::4])
    y[3::4] *= 10 ** rng.uniform(-8, 0, (15, 10))
    project = baselines.projection("closed_knapsack")(case.polyhedron, compiled=compiled)
    x = project(torch.from_numpy(y)).x
    close(x, torch.from_numpy(case.project(y)), 1e-12 * max(1.0, scale))
    assert case.polyhedron.violation(x).max() <= 1e-13 * max(1.0, scale)


def test_quadprog_believes_in_emptiness_only_twice():
    """At an apex rounding makes quadprog call one set in a hundred empty."""
    pytest.importorskip("quadprog", reason="not installed: quadprog")
    A = np.array(DEGENERATE["only the origin"])
    result = baselines.projection("quadprog")(Polyhedron(A))(
        2 * torch.randn(2000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert set(result.status.tolist()) == {Status.SOLVED}
    assert result.x.abs().max() <= 1e-12


def test_proxqp_pool_of_any_batch_size():
    pytest.importorskip("proxsuite", reason="not installed: proxsuite")
    case = CASES["two-sided rows"]
    y, one = points(case, count=37), baselines.projection("proxqp")(case.polyhedron)
    project = baselines.projection("proxqp_batch")(case.polyhedron)
    for count in (1, 15, 16, 17, 37):
        close(project(y[:count]).x, one(y[:count]).x, 1e-6 * size(y))


def test_unknown_name():
    with pytest.raises(UnknownNameError, match=r"unknown projection 'oqsp'; available: 'osqp', 'daqp'"):
        baselines.projection("oqsp")


@pytest.mark.parametrize("entry", [e for e in PROJECTIONS if e.requires], ids=lambda entry: entry.name)
def test_missing_solver_names_the_extra(entry, monkeypatch):
    found = importlib.util.find_spec
    absent = entry.requires[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else found(name))
    with pytest.raises(
        MissingDependencyError, match=rf"'{absent}' .* pip install 'constrained\[baselines\]'"
    ):
        baselines.projection(entry.name)(CASES[served(entry, CASES)[0]].polyhedron)
    assert entry.name not in baselines.available()


def test_import_needs_no_solver():
    modules = sorted({module for entry in PROJECTIONS for module in entry.requires})
    code = f"import sys, baselines; assert not set({modules}) & set(sys.modules); baselines.available()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_unique_and_capabilities_are_stated():
    assert len({entry.name for entry in PROJECTIONS}) == len(PROJECTIONS)
    for entry in PROJECTIONS:
        assert entry.citation and 0 < entry.default_tol < 1 and entry.__doc__
