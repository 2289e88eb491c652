"""The contract that every projection keeps; a method's own test adds what is peculiar to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from baselines import AbstractProjection, Status
from constrained.errors import InfeasibleError, InvalidInputError
from constrained.polyhedron import Polyhedron
from tests import oracles


@dataclass(frozen=True)
class Case:
    """A set, a point strictly inside its inequalities, and its projection where a formula gives it."""

    polyhedron: Polyhedron
    inside: np.ndarray
    project: Callable[[np.ndarray], np.ndarray] | None = None


def cone(n: int, m: int, p: int = 0, seed: int = 3) -> Case:
    """`A x <= 0, C x = 0` around a known direction; against an oracle where there is no equality."""
    rng = np.random.default_rng(seed)
    inside, C = rng.standard_normal(n), rng.standard_normal((p, n))
    inside = oracles.project_affine(C, np.zeros(p), inside[None])[0]
    A = rng.standard_normal((m, n))
    A *= -np.sign(A @ inside)[:, None]
    return Case(Polyhedron(A, C=C), inside, None if p else lambda y: oracles.project_cone(A, y))


def two_sided(n: int, m: int, p: int, bounded: int = 0, seed: int = 4) -> Case:
    """General rows with some bounds missing, `bounded` features in a box, equalities, away from 0."""
    rng = np.random.default_rng(seed)
    inside, C = 2 * rng.standard_normal(n), rng.standard_normal((p, n))
    A = np.concatenate([rng.standard_normal((m, n)), -3 * np.eye(n)[:bounded]])
    b, lower = A @ inside + rng.uniform(0.1, 1, len(A)), A @ inside - rng.uniform(0.1, 1, len(A))
    b[::3], lower[1::3] = np.inf, -np.inf
    return Case(Polyhedron(A, b, C, C @ inside, lower), inside)


def box() -> Case:
    low, high = np.array([-1.0, 0.0, -np.inf, 2.0, -3.0]), np.array([1.0, 0.5, -1.0, np.inf, -3.0 + 0.25])
    inside = np.array([0.0, 0.2, -2.0, 3.0, -2.9])
    return Case(Polyhedron(np.eye(5), high, lower=low), inside, lambda y: oracles.project_box(low, high, y))


def half_space() -> Case:
    a = np.array([1.0, -2.0, 0.5, 3.0])
    return Case(Polyhedron([a], -1.0), -a, lambda y: oracles.project_half_space(a, -1.0, y))


def affine() -> Case:
    C, d = np.random.default_rng(5).standard_normal((2, 6)), np.array([1.0, -2.0])
    inside = np.linalg.lstsq(C, d)[0]
    return Case(Polyhedron(np.zeros((0, 6)), C=C, d=d), inside, lambda y: oracles.project_affine(C, d, y))


def monotone() -> Case:
    n = 6
    return Case(Polyhedron.monotone(n), np.arange(n) / 2.0, lambda y: oracles.project_monotone(y))


def orthogonal_rows() -> Case:
    """Rows +-1 of unequal size, two-sided, one-sided, and an equality twice."""
    signs = np.array([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    A = np.concatenate([signs, np.zeros((4, 2))], axis=1)[:3] * np.array([[1.0], [3.0], [0.5]])
    C = np.concatenate([signs, np.zeros((4, 2))], axis=1)[3:] * np.array([[2.0], [-1.0]])
    low, high = np.array([-1.0, -np.inf, -2.0]), np.array([0.5, 1.0, np.inf])
    inside = np.array([0.25, -0.25, -0.25, 0.25, 1.0, -2.0])
    d = C @ inside

    def project(y: np.ndarray) -> np.ndarray:
        y = oracles.project_affine(C[:1], d[:1], y)
        y = oracles.project_orthogonal_rows(A[:2], y, high[:2])
        return oracles.project_orthogonal_rows(-A[[0, 2]], y, -low[[0, 2]])

    return Case(Polyhedron(A, high, C, d, low), inside, project)


def simplex() -> Case:
    n = 7
    return Case(Polyhedron(-np.eye(n), C=np.ones((1, n)), d=1.0), np.full(n, 1 / n), oracles.project_simplex)


def knapsack() -> Case:
    """Rows of unequal size and weights without a common feature: two-sided, one-sided, an equality; a
    feature in none; bounds of all kinds."""
    a = np.zeros((3, 10))
    a[0, [0, 4, 7]], a[1, [1, 2, 8, 9]], a[2, [3, 5]] = [1.0, -2.0, 0.5], [3.0, 1.0, 1.0, -1.0], [1.0, 1.0]
    low = np.array([-1.0, 0.0, -np.inf, 0.0, -1.0, 0.0, -0.5, -np.inf, -2.0, -1.0])
    high = np.array([1.0, 2.0, 1.0, 0.75, np.inf, 1.0, 0.5, np.inf, 2.0, 1.0])
    inside = np.array([0.1, 0.5, 0.2, 0.4, 0.1, 0.6, 0.0, 0.3, -0.5, 0.0])
    lower, upper = np.array([-0.5, -np.inf, 1.0]), np.array([0.5, 1.5, 1.0])
    rows, most, least = np.vstack([a[:2], np.eye(10)]), np.append(upper[:2], high), np.append(lower[:2], low)
    P = Polyhedron(rows, most, a[2:], upper[2:], least)
    return Case(P, inside, lambda y: oracles.project_knapsack(a, lower, upper, low, high, y))


# Unequal n, m, p, so that a swap of two of them cannot pass.
CASES: dict[str, Case] = {
    "cone, m < n": cone(7, 3),
    "cone, m = n": cone(5, 5),
    "cone, m > n": cone(4, 9),
    "cone, with equalities": cone(6, 4, p=2),
    "box": box(),
    "half-space": half_space(),
    "affine set": affine(),
    "simplex": simplex(),
    "monotone": monotone(),
    "orthogonal rows": orthogonal_rows(),
    "knapsack": knapsack(),
    "two-sided rows": two_sided(6, 4, p=1),
    "two-sided rows and a box": two_sided(5, 9, p=2, bounded=3),
    "whole space": Case(Polyhedron(np.zeros((0, 3))), np.ones(3), lambda y: y),
}

WITH_ORACLE = {name: case for name, case in CASES.items() if case.project is not None}

EMPTY: dict[str, Polyhedron] = {
    "rows": Polyhedron([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]], [1.0, -2.0]),
    "bounds": Polyhedron([[1.0, 0.0], [-2.0, 0.0]], [0.0, -1.0]),
    "equalities": Polyhedron(np.zeros((0, 3)), C=[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0]], d=[1.0, 3.0]),
    "row of zeros": Polyhedron([[0.0, 0.0], [1.0, 2.0]], [-1.0, 1.0]),
    "simplex cut off": Polyhedron([*-np.eye(3), [1.0, 1.0, 1.0]], [0.0, 0.0, 0.0, -0.5]),
}


# What a projection is tried on that is there to compare a modelling language with the solver below it:
# the model is one for all sets, so one set of each kind of row tells, at a millisecond and more a point.
FOR_WRAPPERS = ("cone, with equalities", "simplex", "two-sided rows")


def served(method: type[AbstractProjection], sets: Iterable[str]) -> list[str]:
    """Names of the sets that a projection is tried on: those that it accepts."""
    known = {name: case.polyhedron for name, case in CASES.items()} | EMPTY
    names = [name for name in sets if not method.wraps or name in FOR_WRAPPERS or name in EMPTY]
    return [name for name in names if method.accepts(known[name]) is None]


class ProjectionContract:
    """Tests of `methods`, classes of projections or pytest parameters of them.

    Each is tried on the sets that it accepts. A subclass states `methods`, and `accuracies` where that
    of the points is not 1e-6, by name, relative to `max(1, largest entry of y)`.
    """

    methods: ClassVar[Sequence[Any]]
    accuracies: ClassVar[Mapping[str, float]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        sets = {"case": CASES, "known": WITH_ORACLE, "empty": EMPTY}
        names = [name for name in sets if name in metafunc.fixturenames]
        entries = [entry if hasattr(entry, "marks") else pytest.param(entry) for entry in self.methods]
        if not names:
            found = [pytest.param(*e.values, id=e.values[0].name, marks=e.marks) for e in entries]
            metafunc.parametrize("method", found)
            return
        (name,) = names
        pairs = [
            pytest.param(*e.values, value, id=f"{e.values[0].name}-{value}", marks=e.marks)
            for e in entries
            for value in served(e.values[0], sets[name])
        ]
        metafunc.parametrize(("method", name), pairs, indirect=[name])

    @pytest.fixture
    def case(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture
    def known(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]

    @pytest.fixture
    def empty(self, request: pytest.FixtureRequest) -> Polyhedron:
        return EMPTY[request.param]

    @pytest.fixture
    def accuracy(self, method: type[AbstractProjection]) -> float:
        return self.accuracies.get(method.name, 1e-6)

    @pytest.fixture
    def project(self, method: type[AbstractProjection], request: pytest.FixtureRequest) -> AbstractProjection:
        name = "known" if "known" in request.fixturenames else "case"
        return set_up(method, request.getfixturevalue(name).polyhedron)

    def test_feasible(self, project, case, accuracy):
        for scale in (0.1, 1.0, 1e3):
            y = points(case, scale)
            result = project(y)
            assert result.x.shape == y.shape and result.status.shape == y.shape[:-1]
            assert set(result.status.tolist()) == {Status.SOLVED}
            assert result.info["solver_seconds"] >= 0
            sizes = np.maximum(np.linalg.norm(rows_of(case.polyhedron), axis=1), 1.0).max(initial=1.0)
            assert case.polyhedron.violation(result.x).max() <= accuracy * sizes * max(1.0, size(y))

    def test_idempotent(self, project, case, accuracy):
        x = project(points(case)).x
        close(project(x).x, x, accuracy * max(1.0, size(x)))

    def test_non_expansive(self, project, case, accuracy):
        y, z = points(case, seed=1), points(case, seed=2)
        moved, apart = (project(y).x - project(z).x).norm(dim=-1), (y - z).norm(dim=-1)
        assert (moved <= apart + 10 * accuracy * max(1.0, size(y), size(z))).all()

    def test_variational_inequality(self, project, case, accuracy):
        """(y - p).(x - p) <= 0 for every x of the set, which no other point p of it satisfies."""
        y, x = points(case), torch.from_numpy(feasible_points(case))
        p = project(y).x
        products = ((y - p)[:, None] * (x[None] - p[:, None])).sum(-1)
        scale = (y - p).norm(dim=-1)[:, None] + (x[None] - p[:, None]).norm(dim=-1)
        assert (products <= 10 * accuracy * max(1.0, size(y)) * (1 + scale)).all()

    def test_points_of_the_set_are_fixed(self, project, case, accuracy):
        x = torch.from_numpy(feasible_points(case))
        close(project(x).x, x, accuracy * max(1.0, size(x)))

    def test_closed_form(self, project, known, accuracy):
        case = known
        for scale in (0.1, 1.0, 10.0):
            y = torch.cat([points(case, scale), torch.from_numpy(feasible_points(case))])
            close(project(y).x, torch.from_numpy(case.project(y.numpy())), accuracy * max(1.0, size(y)))

    def test_batch_shapes(self, project, case, accuracy):
        y = points(case)[:6]
        x = project(y).x
        stacked, one, none = project(y.reshape(2, 1, 3, -1)), project(y[4]), project(y[:0])
        assert stacked.x.shape == (2, 1, 3, y.shape[1]) and stacked.status.shape == (2, 1, 3)
        assert one.status.shape == () and one.status[()] is Status.SOLVED
        assert none.x.shape == (0, y.shape[1]) and none.status.shape == (0,)
        close(stacked.x.reshape(y.shape), x, 2 * accuracy * max(1.0, size(y)))
        close(one.x, x[4], 2 * accuracy * max(1.0, size(y)))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
    def test_dtype_is_kept(self, project, case, accuracy, dtype):
        y = points(case)[:4].to(dtype).requires_grad_()
        x = project(y).x
        assert x.dtype == dtype and not x.requires_grad
        close(x.double(), project(y.double()).x, (accuracy + torch.finfo(dtype).eps) * max(1.0, size(y)))

    def test_order_of_the_points_does_not_matter(self, project, case, accuracy):
        y = torch.cat([points(case), points(case, 1e3, seed=8)])
        close(project(y.flip(0)).x.flip(0), project(y).x, 2 * accuracy * size(y))

    def test_nan_is_flagged_and_alone(self, project, case, accuracy):
        y = points(case)[:4]
        clean = project(y).x
        y[1, 0], y[3, -1] = torch.nan, torch.inf
        result = project(y)
        assert result.status.tolist() == [Status.SOLVED, Status.FAILED, Status.SOLVED, Status.FAILED]
        assert result.x[[1, 3]].isnan().all()
        close(result.x[[0, 2]], clean[[0, 2]], 2 * accuracy * max(1.0, size(clean)))

    def test_bad_points_are_refused(self, project, case):
        n = case.polyhedron.n
        with pytest.raises(InvalidInputError, match=rf"y must have shape \(\*batch, {n}\).*found"):
            project(torch.zeros(2, n + 1))
        with pytest.raises(InvalidInputError, match="y must have shape"):
            project(torch.tensor(1.0))
        with pytest.raises(InvalidInputError, match="floating dtype; found torch.int64"):
            project(torch.zeros(2, n, dtype=torch.int64))
        with pytest.raises(InvalidInputError, match="torch.Tensor, found ndarray"):
            project(np.zeros((2, n)))

    def test_silent(self, project, case, capfd):
        project(torch.cat([points(case), torch.from_numpy(feasible_points(case))]))
        assert capfd.readouterr() == ("", "")

    def test_empty_set(self, method, empty):
        project = method(empty)
        with pytest.raises(InfeasibleError, match=rf"{method.name} reports that .* is empty"):
            project(torch.zeros(2, empty.n))
        with pytest.raises(InfeasibleError):
            project(torch.full((1, empty.n), 20.0))

    def test_settings_are_accuracies_by_name(self, method):
        assert set(method.settings) >= {"default", "mid", "high"}
        assert method.settings["mid"] == 1e-6 and method.settings["high"] == 1e-9
        P = CASES[served(method, CASES)[0]].polyhedron
        for name, tol in method.settings.items():
            assert method(P, tol=name).tol == tol
        with pytest.raises(InvalidInputError, match="number or one of 'default', 'mid', 'high'; found 'low'"):
            method(P, tol="low")

    def test_bad_arguments_are_refused(self, method):
        P = CASES[served(method, CASES)[0]].polyhedron
        for tol in (0.0, -1e-6, 1.0, float("nan")):
            with pytest.raises(InvalidInputError, match="tol must lie between 0 and 1"):
                method(P, tol=tol)
        with pytest.raises(TypeError, match="no_such_option"):
            method(P, no_such_option=1)
        with pytest.raises(InvalidInputError, match="expected a constrained.Polyhedron, found ndarray"):
            method(P.A)


@cache
def set_up(method: type[AbstractProjection], polyhedron: Polyhedron) -> AbstractProjection:
    """Once for all tests: compiling a problem may take longer than solving it."""
    return method(polyhedron)


def points(case: Case, scale: float = 1.0, seed: int = 0, count: int = 20) -> torch.Tensor:  # (count, n)
    """Points around the set, most of them outside."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(case.inside + 2 * scale * rng.standard_normal((count, case.polyhedron.n)))


def feasible_points(case: Case, count: int = 20) -> np.ndarray:  # (count, n)
    """From the inner point along directions of the equalities, part of the way to the first row met."""
    rng = np.random.default_rng(6)
    P, (G, h) = case.polyhedron, case.polyhedron.inequalities()
    steps = rng.standard_normal((count, P.n))
    steps -= steps @ np.linalg.pinv(P.C) @ P.C if P.p else 0.0
    speed = steps @ G.T
    with np.errstate(divide="ignore"):
        furthest = np.where(speed > 0, (h - G @ case.inside) / speed, np.inf).min(-1, initial=5.0)
    return case.inside + (rng.uniform(0, 0.99, count) * furthest)[:, None] * steps


def rows_of(P: Polyhedron) -> np.ndarray:
    return np.concatenate([P.A, P.C])


def size(y: torch.Tensor) -> float:
    return float(y.detach().abs().max())


def close(found: torch.Tensor, expected: torch.Tensor, tol: float) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= tol
