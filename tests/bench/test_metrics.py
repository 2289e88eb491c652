"""The judge, against numbers worked out by hand, and the certified reference projection."""

from fractions import Fraction
from operator import mul

import numpy as np
import pytest

from bench import exact_projection, metrics
from bench.problems import family
from bench.problems._base import Instance
from constrained import EngineError, InfeasibleError, Polyhedron
from tests.oracles import project_box, project_orthogonal_rows, project_simplex


def pool_adjacent_violators(y):
    from scipy.optimize import isotonic_regression

    return np.array([isotonic_regression(row).x for row in y])


CLOSED = {
    "box": lambda y: project_box(np.array(-1.0), np.array(1.0), y),
    "simplex": project_simplex,
    "monotone": pool_adjacent_violators,
}
"""Projections by other means."""

P = Polyhedron([[1.0, 1.0], [0.0, 1.0]], b=[1.0, np.inf], lower=[-np.inf, 0.0], C=[[1.0, -1.0]], d=0.5)


def test_violation_takes_the_worst_row_of_any_kind():
    x = np.array([[0.5, 0.0], [2.0, 1.5], [-1.0, -1.5], [3.0, 0.0], [np.nan, 0.0], [np.inf, 0.0]])
    assert metrics.violations(P, x).tolist() == [0.0, 2.5, 1.5, 2.5, np.inf, np.inf]
    assert metrics.infeasible_share(P, x) == pytest.approx(5 / 6)
    assert metrics.broken_share(P, x) == pytest.approx(5 / 6)
    off = np.array([[0.25, 0.0]])  # x1 - x2 is 0.25, not 0.5
    assert metrics.infeasible_share(P, off) == 1 and metrics.broken_share(P, off) == 0


def test_no_tolerance_is_granted():
    cone = Polyhedron([[1.0, 0.0]])
    assert metrics.infeasible_share(cone, np.array([[5e-324, 0.0], [0.0, 0.0]])) == 0.5


def test_the_sign_is_decided_exactly():
    """Against fractions, on right-hand sides that are the rounded products: each sign is a coin toss."""
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((5, 7)), rng.standard_normal((60, 7))
    A[0, 3:] = 0
    wrong = 0
    for point in x:
        b = A @ point
        exact = [
            sum(map(mul, map(Fraction, row), map(Fraction, point))) - Fraction(v)
            for row, v in zip(A, b, strict=True)
        ]
        above = metrics.violations(Polyhedron(A, b=b), point[None])[0]
        below = metrics.violations(Polyhedron(A, b=np.inf, lower=b), point[None])[0]
        assert above == max(0.0, *map(float, exact)) and below == max(0.0, *(-float(v) for v in exact))
        wrong += (above > 0) != bool((A @ point - b > 0).any())
    assert wrong > 20  # what the product alone gets wrong


def test_distance_is_relative_for_far_points_and_absolute_for_near_ones():
    near = np.array([[0.0, 0.0], [30.0, 40.0]])
    assert metrics.distance(near + [[0.1, 0.0], [0.5, 0.0]], near) == pytest.approx(0.1)
    assert metrics.distance(np.full((1, 2), np.nan), near[:1]) == np.inf


def test_excess_is_one_for_the_projection_and_ignores_points_inside():
    y = np.array([[2.0, 0.0], [-1.0, 0.0]])
    nearest = np.array([[0.0, 0.0], [-1.0, 0.0]])
    assert metrics.excess(y, nearest, nearest) == 1.0
    assert metrics.excess(y, nearest - [[4.0, 0.0], [0.0, 0.0]], nearest) == 3.0
    assert np.isnan(metrics.excess(nearest, nearest, nearest))


class TestExactProjection:
    RNG = np.random.default_rng(0)

    def test_closed_forms(self):
        y = 3 * self.RNG.standard_normal((40, 6))
        rows = np.linalg.qr(self.RNG.standard_normal((6, 4)))[0].T
        cone = Instance("cone", Polyhedron(rows), y)
        assert np.allclose(exact_projection.nearest_points(cone, y), project_orthogonal_rows(rows, y))
        box = Instance("box", Polyhedron(np.eye(6), b=1.0, lower=-0.5), y)
        assert np.allclose(
            exact_projection.nearest_points(box, y), project_box(np.array(-0.5), np.array(1.0), y)
        )

    def test_equalities_and_no_rows(self):
        y = self.RNG.standard_normal((5, 3))
        plane = Instance("plane", Polyhedron(np.zeros((0, 3)), C=[[1.0, 1.0, 1.0]], d=1.0), y)
        assert np.allclose(exact_projection.nearest_points(plane, y).sum(1), 1.0)
        space = Instance("space", Polyhedron(np.zeros((0, 3))), y)
        assert np.array_equal(exact_projection.nearest_points(space, y), y)

    @pytest.mark.parametrize("name", ["random_polytope", "box", "simplex", "monotone"])
    def test_every_family_without_a_closed_form_is_certified(self, name):
        entry = family(name)
        for size in [size for size in entry.sizes if size[0] <= 128]:
            instance = entry.generate(size, 3, seed=1)
            x = exact_projection.nearest_points(instance, instance.points)
            assert instance.polyhedron.violation(x).max() < 1e-9
            if name in CLOSED:
                assert np.allclose(x, CLOSED[name](instance.points), atol=1e-9)

    def test_an_empty_set_has_no_nearest_point(self):
        empty = Instance("empty", Polyhedron([[1.0], [-1.0]], b=[0.0, -1.0]), np.zeros((1, 1)))
        with pytest.raises(InfeasibleError):
            exact_projection.nearest_points(empty, empty.points)

    def test_a_wrong_point_is_not_certified(self, monkeypatch):
        y = np.array([[1.0, 2.0]])
        cone = Instance("cone", Polyhedron([[1.0, 0.0]]), y)
        honest = exact_projection._moreau
        monkeypatch.setattr(
            exact_projection, "_moreau", lambda G, y: (honest(G, y)[0] - 1e-6, honest(G, y)[1])
        )
        with pytest.raises(EngineError, match="no certified projection"):
            exact_projection.nearest_points(cone, y)
