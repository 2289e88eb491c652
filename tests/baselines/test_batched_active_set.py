"""What is peculiar to the batched active set: its certificate, its paths, dependent rows, warm starts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import torch

import baselines
import baselines._compiled
import baselines._dual
import baselines._one_point
import baselines._pivoting
import baselines.batched_active_set as module
from baselines import Status
from baselines._dual import dual_of
from baselines._pivoting import kkt_residual, scale_of
from baselines.batched_active_set import BatchedActiveSet
from constrained.errors import InfeasibleError
from constrained.polyhedron import Polyhedron


def cone(n, m, seed=0):
    rng = np.random.default_rng(seed)
    e, A = rng.standard_normal(n), rng.standard_normal((m, n))
    return -np.sign(A @ e)[:, None] * A


def normal(batch, n, seed=1, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((batch, n))).to(dtype)


def two_sided(n, m, seed=2):
    rng = np.random.default_rng(seed)
    A, c = rng.standard_normal((m, n)), 3 * rng.standard_normal(n)
    high, low = A @ c + rng.uniform(0, 1, m), A @ c - rng.uniform(0, 1, m)
    high[::3], low[1::3] = np.inf, -np.inf
    return Polyhedron(A, high, lower=low)


def check(polyhedron, y, accuracy=1e-10, **options):
    """Certified, and by an independent test feasible and optimal."""
    result = BatchedActiveSet(polyhedron, **options)(y)
    assert set(result.status) == {Status.SOLVED}
    assert (result.info["kkt"] <= 1e-9).all()
    size = np.maximum(float(y.abs().max()), np.abs(polyhedron.b[np.isfinite(polyhedron.b)]).max(initial=0.0))
    for point, x in zip(y.numpy(), result.x.numpy(), strict=True):
        assert not_optimal(polyhedron, point, x, accuracy * size) <= accuracy * size
    return result.x


def not_optimal(polyhedron, y, x, tol):
    """The distance of `y - x` from the cone of the rows active at `x`; infinite where one is broken."""
    A, C = polyhedron.A, polyhedron.C
    rows = np.concatenate([A, -A, C, -C])
    bounds = np.concatenate([polyhedron.b, -polyhedron.lower, polyhedron.d, -polyhedron.d])
    norms = np.linalg.norm(rows, axis=1)
    used = np.isfinite(bounds) & (norms > 0)
    rows, slack = rows[used] / norms[used, None], (bounds[used] - rows[used] @ x) / norms[used]
    if (slack < -tol).any():
        return np.inf
    active = rows[slack <= tol]
    if not len(active):
        return float(np.linalg.norm(y - x))
    return float(scipy.optimize.nnls(active.T, y - x, maxiter=100 * len(active))[1])


@pytest.fixture
def in_the_batch(monkeypatch):
    """No set is left to the compiled method."""
    monkeypatch.setattr(baselines._dual, "MOST_COMPILED", -1)


@pytest.fixture
def no_daqp(monkeypatch):
    monkeypatch.setattr(baselines._one_point, "find_spec", lambda name: None)


SETS = {
    "orthogonal rows": Polyhedron(np.eye(20)[:9] * np.arange(1, 10)[:, None]),
    "few rows": Polyhedron(cone(90, 12)),
    "more features than rows": Polyhedron(cone(40, 30)),
    "more rows than features": Polyhedron(cone(10, 40)),
    "many rows": Polyhedron(cone(40, 90)),
    "two-sided": two_sided(12, 30),
    "two-sided, more features": two_sided(60, 50),
    "isotonic": Polyhedron.monotone(40),
    "polytope": Polyhedron.box(-np.ones(9), np.ones(9)),
}


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_optimal_at_any_scale(polyhedron, scale):
    check(polyhedron, scale * normal(70, polyhedron.n))


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_optimal_in_the_batch(polyhedron, in_the_batch):
    check(polyhedron, normal(300, polyhedron.n))


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_optimal_without_the_optional_solver(polyhedron, in_the_batch, no_daqp):
    check(polyhedron, normal(40, polyhedron.n))


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_optimal_by_pivoting_alone(polyhedron, in_the_batch, monkeypatch):
    """From no guess at all, with nothing left to another method."""
    if polyhedron.m > polyhedron.n:
        pytest.skip("without a guess, exchanges in blocks can cycle where rows depend on each other")
    monkeypatch.setattr(module, "_guess", lambda dual, e, start: torch.zeros_like(e))
    monkeypatch.setattr(baselines._pivoting, "SMALL", 0)
    monkeypatch.setattr(baselines._pivoting.Pivoting, "_one_by_one", lambda self, todo: None)
    check(polyhedron, normal(50, polyhedron.n))


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_compiled_method_needs_no_other(polyhedron, monkeypatch):
    """Every certificate is the compiled method's own, to rounding; in one thread or in several."""

    def refuse(*arguments):
        raise AssertionError("left to the batch")

    monkeypatch.setattr(module, "_pivoted", refuse)
    y = normal(300, polyhedron.n)
    x = check(polyhedron, y, 1e-11)
    for part in (slice(0, 1), slice(150, 153), slice(299, 300)):
        torch.testing.assert_close(BatchedActiveSet(polyhedron)(y[part]).x, x[part], rtol=0, atol=1e-12)


def test_compiled_method_hands_on_what_it_cannot_certify(monkeypatch):
    """Whatever it returns, the certificate decides, and the batch repairs."""
    P = SETS["more rows than features"]
    y = normal(50, P.n)
    truth = BatchedActiveSet(P)(y)
    compiled = baselines._compiled.Compiled.__call__

    def spoilt(self, e, norm):
        u, kkt = compiled(self, e, norm)
        u[::2], kkt[::2] = 0.0, torch.nan
        return u, kkt

    monkeypatch.setattr(baselines._compiled.Compiled, "__call__", spoilt)
    result = BatchedActiveSet(P)(y)
    torch.testing.assert_close(result.x, truth.x, rtol=0, atol=1e-8)
    assert (result.info["kkt"] <= 1e-9).all()


def test_compiled_method_does_not_need_a_folder_to_keep_it():
    """As in a container where nothing may be written."""
    program = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = caching.CompileResultCacheImpl._locator_classes = []
import numpy as np, torch
from baselines import projection
from constrained import Polyhedron
print(projection("batched_active_set")(Polyhedron(np.eye(3)))(torch.ones(2, 3)).x.abs().max().item())
"""
    root = Path(baselines.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.stdout == "0.0\n", done.stderr


@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_certificate_of_the_compiled_method_is_that_of_the_batch(polyhedron):
    from baselines._goldfarb_idnani import _kkt

    dual, y = dual_of(polyhedron), normal(40, polyhedron.n)
    e = dual.onto_hull(y) @ dual.A.mT - dual.h
    size = scale_of(dual, e, y.norm(dim=-1, keepdim=True))
    width, bounds = dual.width.numpy(), dual.bounds.numpy()
    for u in (normal(40, len(dual.h), seed=5), normal(40, len(dual.h), seed=6).relu(), torch.zeros_like(e)):
        s = e - u @ dual.gram[:-1, :-1]
        rows = zip(s.numpy(), u.numpy(), size[:, 0].tolist(), strict=True)
        found = torch.tensor([_kkt(row, v, width, bounds, norm) for row, v, norm in rows], dtype=e.dtype)
        assert (found > 1e-3).any()
        torch.testing.assert_close(found, kkt_residual(dual, e, u, size), rtol=1e-9, atol=1e-14)


DEGENERATE = {
    "duplicate rows": np.repeat(cone(6, 5), 3, axis=0),
    "duplicate rows, other scales": np.concatenate([cone(6, 5), 1e4 * cone(6, 5), 1e-4 * cone(6, 5)]),
    "sums of rows": np.concatenate([cone(6, 5), cone(6, 5)[:4] + cone(6, 5)[1:]]),
    "zero row": np.concatenate([cone(6, 5), np.zeros((1, 6))]),
    "opposite rows": np.concatenate([cone(6, 5), -cone(6, 5)[:1]]),
    "nearly the same rows": np.concatenate([cone(6, 5), cone(6, 5) + 1e-9]),
    "a single point": np.concatenate([np.eye(6), -np.eye(6)]),
    "condition 1e8": np.geomspace(1e-4, 1e4, 12)[:, None] * cone(6, 12),
}


@pytest.mark.parametrize("A", DEGENERATE.values(), ids=list(DEGENERATE))
@pytest.mark.parametrize("compiled", [True, False])
def test_degenerate(A, compiled, request):
    if not compiled:
        request.getfixturevalue("in_the_batch")
    P = Polyhedron(A)
    x = check(P, normal(60, 6))
    # Points of the set, on its boundary and at the apex, stay where they are.
    again = torch.cat([x, torch.zeros(1, 6, dtype=x.dtype)])
    torch.testing.assert_close(BatchedActiveSet(P)(again).x, again, rtol=0, atol=1e-10)


def test_equalities_that_depend_on_each_other():
    rng = np.random.default_rng(4)
    C = rng.standard_normal((2, 7))
    P = Polyhedron(np.eye(7), 1.0, np.concatenate([C, C[:1] + C[1:], np.zeros((1, 7))]), 0.0)
    x = check(P, normal(50, 7))
    assert P.violation(x).max() < 1e-12


def test_bounds_that_leave_no_room_are_equalities():
    rows = np.array([[1.0, 2.0, 0.0], [-2.0, -4.0, 0.0], [0.0, 1.0, 1.0]])
    P = Polyhedron(rows, [3.0, -6.0, 1.0])
    dual = dual_of(P)
    assert len(dual.Q) == 1 and len(dual.h) == 1
    check(P, normal(30, 3))


@pytest.mark.parametrize("seed", range(3))
def test_empty(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((5, 4))
    weights = rng.uniform(0.1, 1, 5)
    empty = Polyhedron(np.concatenate([A, -(weights @ A)[None]]), np.append(np.zeros(5), -1.0))
    with pytest.raises(InfeasibleError):
        BatchedActiveSet(empty)(normal(3, 4))


def test_certificate_tells_a_wrong_answer():
    P = Polyhedron(cone(9, 6))
    y, dual = normal(20, 9), dual_of(P)
    e = y @ dual.A.mT - dual.h
    size = scale_of(dual, e, y.norm(dim=-1, keepdim=True))
    x = BatchedActiveSet(P)(y).x
    u = torch.linalg.lstsq(dual.A.mT, (y - x).mT).solution.mT
    assert (kkt_residual(dual, e, u, size) < 1e-12).all()
    outside = (u > 0.1).any(-1)
    assert outside.sum() > 10
    wrong = {
        "too short": 0.999 * u,
        "too long": 1.001 * u,
        "a negative multiplier": u - 0.001,
        "a multiplier of a row that is not active": u + 0.001,
        "none": torch.zeros_like(u),
        "not a number": u * torch.nan,
    }
    for name, value in wrong.items():
        assert (kkt_residual(dual, e, value, size)[outside] > 1e-8).all(), name


def test_what_is_not_certified_is_flagged(monkeypatch, in_the_batch):
    """With every exact part switched off, no sample passes for solved that is not."""
    P = Polyhedron(cone(40, 30))
    y = normal(50, 40)
    truth = BatchedActiveSet(P)(y).x
    monkeypatch.setattr(module, "_guess", lambda dual, e, start: (e > 1).float())
    monkeypatch.setattr(baselines._pivoting.Pivoting, "run", lambda self: None)
    monkeypatch.setattr(baselines._pivoting.Pivoting, "_one_by_one", lambda self, todo: None)
    result = BatchedActiveSet(P)(y)
    wrong = (result.x - truth).norm(dim=-1) > 1e-6
    assert wrong.any()
    assert set(result.status[wrong.numpy()]) == {Status.INACCURATE}
    assert (result.info["kkt"][wrong] > 1e-9).all()


def test_one_bad_point_does_not_spoil_the_others():
    P = Polyhedron(cone(9, 6))
    y = normal(5, 9)
    spoilt = y.clone()
    spoilt[2, 3] = torch.nan
    spoilt[4, 0] = torch.inf
    result = BatchedActiveSet(P)(spoilt)
    assert [str(s) for s in result.status] == ["solved", "solved", "failed", "solved", "failed"]
    assert torch.isnan(result.info["kkt"][[2, 4]]).all() and torch.isnan(result.x[[2, 4]]).all()
    torch.testing.assert_close(result.x[[0, 1, 3]], BatchedActiveSet(P)(y).x[[0, 1, 3]])


@pytest.mark.parametrize("P", SETS.values(), ids=list(SETS))
@pytest.mark.parametrize("compiled", [True, False])
def test_what_overflows_is_flagged(P, compiled, request):
    """A norm that is infinite would make any residual relative to it 0."""
    if not compiled:
        request.getfixturevalue("in_the_batch")
    y = normal(6, P.n)
    y[::2] *= 1e200
    result = BatchedActiveSet(P)(y)
    assert [s == Status.SOLVED for s in result.status] == [False, True] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "polyhedron", [SETS["few rows"], SETS["more rows than features"]], ids=["few", "many"]
)
def test_narrow_dtypes_are_rounded_at_the_end_only(polyhedron, dtype):
    y = normal(40, polyhedron.n, dtype=dtype)
    result = BatchedActiveSet(polyhedron)(y)
    assert result.x.dtype == dtype and (result.info["kkt"] <= 1e-9).all()
    exact = BatchedActiveSet(polyhedron)(y.double()).x
    torch.testing.assert_close(result.x.double(), exact, rtol=0, atol=8 * torch.finfo(dtype).eps)


def test_warm_start_gives_the_same_answers(in_the_batch):
    P = Polyhedron(cone(40, 90))
    warm, cold = BatchedActiveSet(P, warm_start=True), BatchedActiveSet(P)
    y = normal(60, 40)
    for step in range(4):
        near = y + 0.02 * step
        torch.testing.assert_close(warm(near).x, cold(near).x, rtol=0, atol=1e-10)
    torch.testing.assert_close(warm(y[:7]).x, cold(y[:7]).x, rtol=0, atol=1e-10)  # another number of points


def test_warm_start_needs_fewer_steps(monkeypatch, in_the_batch):
    """The steps that the samples make together, counted."""
    P = Polyhedron(cone(40, 90))
    count = 0
    mirror = baselines._dual.Dual.mirror

    def counting(self, w):
        nonlocal count
        count += len(w)
        return mirror(self, w)

    monkeypatch.setattr(baselines._dual.Dual, "mirror", counting)
    made = {}
    for warm in (False, True):
        project = BatchedActiveSet(P, warm_start=warm)
        project(normal(60, 40))
        count = 0
        project(normal(60, 40) + 1e-4)
        made[warm] = count
    assert made[True] < 0.75 * made[False]


def test_no_rows_and_no_points():
    y = normal(4, 3)
    assert torch.equal(BatchedActiveSet(Polyhedron(np.zeros((0, 3))))(y).x, y)
    assert BatchedActiveSet(Polyhedron(cone(3, 5)))(y[:0]).x.shape == (0, 3)


@pytest.mark.cuda
@pytest.mark.parametrize("polyhedron", SETS.values(), ids=list(SETS))
def test_the_same_on_a_cuda_device(polyhedron):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    y = normal(300, polyhedron.n)
    result = BatchedActiveSet(polyhedron)(y.cuda())
    assert result.x.is_cuda and (result.info["kkt"] <= 1e-9).all()
    torch.testing.assert_close(result.x.cpu(), BatchedActiveSet(polyhedron)(y).x, rtol=0, atol=1e-10)
