"""The peers: their processes, and each against what its paper promises."""

import gc
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

from baselines import peers
from baselines.peers import PEERS, PeerError, PeerProcess, PeerTimeoutError, Problem, peer, tuning_points
from baselines.peers._base import cotangent
from baselines.peers._environments import VARIABLE, environments
from baselines.peers._process import _variables
from constrained.errors import (
    EngineError,
    InvalidInputError,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedSetError,
)
from constrained.polyhedron import Polyhedron
from tests import oracles
from tests.baselines.fake_peer import ACTIONS, FakePeer

ROOT = Path(__file__).resolve().parents[2]
BOX = Polyhedron(np.eye(3), np.ones(3))


def needed(name):
    """The peer, or a skip where its environment was not built."""
    entry = peer(name)
    try:
        entry.check_available()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    return entry


def cone(n=12, m=5, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    return A * -np.sign(A @ rng.standard_normal(n))[:, None]


def points(q, n, seed=1):
    return np.random.default_rng(seed).standard_normal((q, n))


# The protocol, with a peer that misbehaves on demand.


@pytest.fixture(scope="module")
def fake():
    with PeerProcess(FakePeer, BOX, dtype="float64", limit=20) as process:
        yield process


def acting(name):
    y = points(2, 3)
    y[0, 0] = ACTIONS[name]
    return y


def test_answers_seconds_and_gradient(fake):
    y = points(5, 3)
    x, seconds, gradient = fake.run(y, backward=True)
    assert np.array_equal(x, np.minimum(y, 1))
    assert np.array_equal(gradient, np.where(y < 1, cotangent(3), 0))
    assert 0 < seconds and 0 < fake.time() and 0 < fake.time(backward=False)
    assert fake.run(y)[2] is None
    assert fake.setup_seconds > 0


def test_the_set_and_the_tuning_points_arrive(fake):
    expected = tuning_points(3)
    mean = pytest.approx(expected.mean())
    assert fake.tuned == {"points": len(expected), "mean": mean, "device": "cpu"}
    assert fake.versions["numpy"] == np.__version__
    assert fake.versions["no-such-distribution"] == "unknown"


def test_the_dtype_is_that_of_the_call(fake):
    assert fake.run(points(2, 3).astype(np.float32))[0].dtype == np.float64
    with PeerProcess(FakePeer, BOX, dtype="float32") as process:
        assert process.run(points(2, 3))[0].dtype == np.float32


def test_nan_is_handed_on(fake):
    y = points(4, 3)
    y[2, 1] = np.nan
    x, _, _ = fake.run(y)
    assert np.array_equal(np.isnan(x), np.isnan(y))


def test_what_a_peer_prints_is_no_answer(fake):
    y = acting("print")
    assert np.array_equal(fake.run(y)[0], np.minimum(y, 1))


def test_an_error_is_told_and_the_process_goes_on(fake):
    with pytest.raises(PeerError, match=r"'fake' failed in 'run': ArithmeticError: the matrix is singular"):
        fake.run(acting("error"))
    assert isinstance(PeerError("x"), EngineError)
    assert fake.run(points(2, 3))[0].shape == (2, 3)


def test_an_error_at_set_up_leaves_no_process():
    with pytest.raises(PeerError, match="seven features are too many"):
        PeerProcess(FakePeer, Polyhedron(np.eye(7), np.ones(7)))


def test_wrong_points_are_refused_here(fake):
    for wrong in (np.zeros((2, 4)), np.zeros(3), np.zeros((0, 3))):
        with pytest.raises(InvalidInputError, match=r"shape \(q, 3\)"):
            fake.run(wrong)
    with pytest.raises(InvalidInputError, match="dtype"):
        PeerProcess(FakePeer, BOX, dtype="float16")  # pyright: ignore[reportArgumentType]


def test_time_before_run_is_refused():
    with PeerProcess(FakePeer, BOX) as process, pytest.raises(InvalidInputError, match="call run"):
        process.time()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_time_limit_ends_the_process():
    process = PeerProcess(FakePeer, BOX, limit=20)
    process.limit = 0.5
    with pytest.raises(PeerTimeoutError, match=r"did not finish 'run' within 0.5 s") as raised:
        process.run(acting("sleep"))
    assert isinstance(raised.value, TimeoutError)
    assert gone(process._process.pid)
    with pytest.raises(PeerError, match="was closed"):
        process.run(points(2, 3))


def test_a_crash_is_told():
    process = PeerProcess(FakePeer, BOX)
    with pytest.raises(PeerError, match=r"ended in 'run' with exit code 3"):
        process.run(acting("crash"))
    assert gone(process._process.pid) and not process._folder.exists()


def test_closing_leaves_nothing():
    process = PeerProcess(FakePeer, BOX)
    pid, folder = process._process.pid, process._folder
    process.close()
    process.close()
    assert gone(pid) and not folder.exists()


def test_dropping_the_object_ends_the_process():
    process = PeerProcess(FakePeer, BOX)
    pid, folder = process._process.pid, process._folder
    del process
    gc.collect()
    deadline = time.monotonic() + 10
    while not gone(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gone(pid) and not folder.exists()


def test_a_set_that_is_not_served_is_refused_with_the_sentence():
    with pytest.raises(UnsupportedSetError, match="without equalities only"):
        PeerProcess(FakePeer, Polyhedron.simplex(3))


def test_threads_are_those_of_the_parent(fake):
    variables = _variables({"PYTHONPATH": "x", "XLA_FLAGS": "--a"}, threads=1, isolated=True)
    assert variables["OMP_NUM_THREADS"] == "1" and "PYTHONPATH" not in variables
    assert variables["XLA_FLAGS"].startswith("--a ")
    assert fake.threads >= 1


# The environments.


def test_a_missing_environment_says_what_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"'pinet' needs .*run `make peers`"):
        peer("pinet").check_available()
    with pytest.raises(MissingDependencyError, match="make peers"):
        PeerProcess(peer("qpth"), BOX)
    assert peers.available() == ["hardnet_aff", "dc3"]


def test_every_peer_has_an_environment_a_citation_and_a_file():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text()))
    for entry in PEERS:
        assert entry.environment in {"", *environments()}
        assert entry.citation in keys, entry.citation
        assert entry.kind in ("projection", "feasible", "correction")
    listed = (ROOT / "baselines" / "peers" / "__init__.py").read_text()
    for path in (ROOT / "baselines" / "peers").glob("*.py"):
        if not path.stem.startswith("_"):
            assert f"from .{path.stem} import" in listed, path
    assert len({entry.name for entry in PEERS}) == len(PEERS)


def test_requirements_are_pinned():
    for path in (ROOT / "baselines" / "peers" / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line), line


def test_an_unknown_name_lists_those_that_exist():
    with pytest.raises(UnknownNameError, match="'rayen'"):
        peer("no such peer")


# The problem, as the adapters see it.


def test_inequalities_and_bounds():
    A = np.array([[1.0, 0, 0], [-2.0, 0, 0], [1, 1, 0], [0, 0, 1]])
    b, lower = np.array([3.0, 2, 4, np.inf]), np.array([-np.inf, -np.inf, -4, 1])
    problem = Problem(A, b, lower, np.zeros((0, 3)), np.zeros(0))
    G, h = problem.inequalities()
    assert np.array_equal(G, np.concatenate([A[:3], -A[2:]]))
    assert np.array_equal(h, [3, 2, 4, 4, -1])
    rest, low, high = problem.without_bounds()
    assert np.array_equal(rest.A, A[2:3])
    assert np.array_equal(low, [-1, -np.inf, 1]) and np.array_equal(high, [3, np.inf, np.inf])
    x = np.array([[5.0, 0, 1], [0, 0, 0]])
    assert problem.violation(x) == pytest.approx([2, 1])


SENTENCES = {
    "hardnet_aff": (Polyhedron(np.ones((2, 3))), "must be linearly independent"),
    "qpth": (Polyhedron(np.zeros((0, 3)), C=np.ones((1, 3))), "at least one inequality"),
    "cvxpylayers": (Polyhedron(np.zeros((0, 3))), "at least one constraint"),
    "pinet": (Polyhedron(np.zeros((0, 3))), "at least one constraint"),
    "linsat": (Polyhedron(cone()), "non-negative points only"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence_of_a_set_that_a_peer_does_not_serve(name):
    polyhedron, sentence = SENTENCES[name]
    assert sentence in (peer(name).accepts(Problem.of(polyhedron)) or "")


def test_linsat_serves_positive_bounded_sets_only():
    def reason(P):
        return peer("linsat").accepts(Problem.of(P))

    assert reason(Polyhedron.simplex(4)) is None
    assert "non-negative" in (reason(Polyhedron.box(-1.0 * np.ones(3), 1.0)) or "")
    assert "upper bound" in (reason(Polyhedron.nonnegative(3)) or "")
    mixed = Polyhedron.intersection(Polyhedron.nonnegative(2), Polyhedron([[1.0, -1.0]], 1.0))
    assert "must not be negative" in (reason(mixed) or "")


# What the papers' formulas give, on small sets.


def test_hardnet_is_its_formula():
    A, C = cone(9, 3), points(2, 9, seed=3)
    P = Polyhedron(A, b=np.arange(3.0), lower=np.array([-np.inf, 0.5, -1]), C=C, d=np.array([1.0, -2]))
    y = 3 * points(20, 9)
    rows = np.concatenate([A, C])
    clamped = np.clip(y @ rows.T, np.r_[P.lower, P.d], np.r_[P.b, P.d])
    expected = y + (clamped - y @ rows.T) @ np.linalg.pinv(rows).T
    with PeerProcess(needed("hardnet_aff"), P, dtype="float64") as process:
        x, _, gradient = process.run(y, backward=True)
    assert x == pytest.approx(expected, abs=1e-12)
    assert P.violation(x).max() < 1e-12
    inside = (y @ A.T > P.lower) & (y @ A.T < P.b)
    moved = np.concatenate([~inside, np.ones((20, 2), bool)], axis=1)
    w = cotangent(9)
    expected = w - (moved * (w @ np.linalg.pinv(rows))) @ rows
    assert gradient == pytest.approx(expected, abs=1e-12)


def test_dc3_is_its_formula_and_completes_the_equalities():
    A, C, d = cone(8, 6), np.array([[1.0] * 8, [0, 1, 0, 2, 0, 0, 0, 1], [2.0] * 8]), np.array([1.0, 2, 2])
    y = 2 * points(30, 8)
    P = Polyhedron(A, b=1.0, C=C, d=d)  # the third equality repeats the first
    with PeerProcess(needed("dc3"), P, dtype="float64") as process:
        x, _, gradient = process.run(y, backward=True)
        tuned = process.tuned
    assert np.abs(x @ C.T - d).max() < 1e-12
    assert np.isfinite(gradient).all()
    # The same in x: steps along the null space of C that leave the completed entries to follow.
    free = np.flatnonzero(np.abs(gradient).max(axis=0) > 0)
    assert len(free) == 6
    rest = np.setdiff1d(np.arange(8), free)
    M = np.zeros((8, 6))
    M[free] = np.eye(6)
    M[rest] = -np.linalg.solve(C[:2][:, rest], C[:2][:, free])
    o = np.zeros(8)
    o[rest] = np.linalg.solve(C[:2][:, rest], d[:2])
    z, step = y[:, free], np.zeros((30, 6))
    start = P.violation(z @ M.T + o)
    for _ in range(tuned["steps"]):
        slope = 2 * np.maximum((z @ M.T + o) @ A.T - 1, 0) @ A @ M
        step = tuned["rate"] * slope + tuned["momentum"] * step
        z = z - step
    assert x == pytest.approx(z @ M.T + o, abs=1e-10)
    assert P.violation(x).mean() < 0.2 * start.mean()


# Each installed peer, on a set with and on one without equalities.

SETS = {"cone": Polyhedron(cone()), "simplex": Polyhedron.simplex(6)}
FEASIBLE = {"pinet": 1e-4, "linsat": 0.1}
"""Violation allowed, in float32; 2e-5 for one that is not here. LinSAT's default iterations are few."""
NEAR = {"pinet": 1e-4}
"""Distance allowed from the nearest point, for projections; 2e-5 for one that is not here."""
SLOPE = {"pinet": 2e-2}
"""Error allowed in the gradient of a projection; 1e-3 for one that is not here."""


def nearest(name, y):
    """(nearest points, gradients: the cotangent projected onto the face that holds the nearest point)."""
    P = SETS[name]
    x = oracles.project_cone(P.A, y) if name == "cone" else oracles.project_simplex(y)
    gradients = []
    for active in np.abs(x @ P.A.T - P.b) < 1e-9:
        rows = np.concatenate([P.A[active], P.C])
        gradients.append(cotangent(P.n) - np.linalg.pinv(rows) @ (rows @ cotangent(P.n)))
    return x, np.array(gradients)


@pytest.mark.parametrize("case", SETS)
@pytest.mark.parametrize("name", [entry.name for entry in PEERS])
def test_a_peer_keeps_its_promise(name, case):
    entry, P = needed(name), SETS[case]
    y = points(24, P.n)
    if entry.accepts(Problem.of(P)) is not None:
        with pytest.raises(UnsupportedSetError):
            PeerProcess(entry, P)
        return
    with PeerProcess(entry, P, limit=120) as process:
        x, seconds, gradient = process.run(y, backward=True)
        alone, _, _ = process.run(y)
        assert process.versions["python"]
    assert x.shape == gradient.shape == y.shape
    assert x.dtype == gradient.dtype == np.float32
    assert seconds > 0 and np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    assert alone == pytest.approx(x, abs=1e-5)
    if entry.kind != "correction":
        assert P.violation(x.astype(np.float64)).max() < FEASIBLE.get(name, 2e-5)
    if entry.kind == "projection":
        expected, slopes = nearest(case, y)
        assert x == pytest.approx(expected, abs=NEAR.get(name, 2e-5))
        assert gradient == pytest.approx(slopes, abs=SLOPE.get(name, 1e-3))
