"""The contract of every problem family, and what is known about each."""

import numpy as np
import pytest

from bench.problems import FAMILIES, family
from bench.problems.checkerboard import (
    checkerboard,
    checkerboard_box,
    project_checkerboard,
    project_checkerboard_box,
)
from bench.problems.random_cone import random_cone
from bench.problems.random_polytope import random_polytope
from constrained.errors import InvalidInputError, UnknownNameError

CASES = [(entry, size) for entry in FAMILIES for size in entry.sizes]
BATCH = 200
RNG = np.random.default_rng(0)


def features_and_rows(name, size):
    """(n, m), from the size alone."""
    if name == "checkerboard":
        height, width, tile = size
        return height * width, (height // tile) * (width // tile)
    if len(size) == 1:
        return size[0], size[0] - (name == "monotone")
    return size


@pytest.mark.parametrize(("entry", "size"), CASES, ids=[f"{e.name}-{s}" for e, s in CASES])
class TestFamily:
    def test_sizes_and_name(self, entry, size):
        instance = entry().generate(size, BATCH)
        n, m = features_and_rows(entry.name, size)
        assert instance.polyhedron.A.shape == (m, n)
        assert instance.points.shape == (BATCH, n)
        assert instance.points.dtype == np.float64
        assert instance.name == f"{entry.name}-{n}x{m}"

    def test_seed(self, entry, size):
        first, same, other = (entry().generate(size, BATCH, seed) for seed in (3, 3, 4))
        assert first.points.tobytes() == same.points.tobytes()
        assert first.polyhedron.A.tobytes() == same.polyhedron.A.tobytes()
        assert first.points.tobytes() != other.points.tobytes()

    def test_interior(self, entry, size):
        P, interior = (lambda made: (made.polyhedron, made.interior))(entry().generate(size, BATCH, seed=1))
        if interior is None:
            assert P.p, "a family without equalities knows a point or direction inside"
            return
        assert (P.A @ interior < P.b).all() and (P.A @ interior > P.lower).all()

    def test_points_are_worth_projecting(self, entry, size):
        instance = entry().generate(size, BATCH, seed=2)
        assert (instance.polyhedron.violation(instance.points) > 0).mean() > 0.3

    def test_same_set_in_float32(self, entry, size):
        P = entry().generate(size, 1).polyhedron
        for value in (P.A, P.b, P.C, P.d, P.lower):
            assert np.array_equal(value, value.astype(np.float32))


def test_seed_of_random_cone_changes_the_set():
    assert not np.array_equal(random_cone(8, 4, 0).A, random_cone(8, 4, 1).A)


def test_rows_are_independent_of_each_other():
    # Had one sign been chosen for the whole matrix, half of all cones would miss e.
    signs = [np.sign(random_cone(1, 9, seed).A[:, 0]) for seed in range(20)]
    assert all(len(set(row)) == 1 for row in signs)
    assert len({row[0] for row in signs}) == 2


def test_random_polytope_is_a_ball_and_more_around_its_point():
    for seed in range(5):
        instance = family("random_polytope").generate((6, 24), 4, seed)
        P = instance.polyhedron
        assert np.allclose(np.linalg.norm(P.A, axis=1), 1, atol=1e-6)
        slack = P.b - P.A @ instance.interior
        assert slack.min() > 0.1 - 1e-6 and slack.max() < 1 + 1e-6 and slack.std() > 0.1
        assert not np.array_equal(P.A, random_polytope(6, 24, seed + 1).A) and not P.is_cone


def test_random_polytopes_of_many_rows_are_bounded_and_of_few_rows_are_not():
    from scipy.optimize import linprog

    for (n, m), bounded in (((8, 32), True), ((128, 256), True), ((64, 32), False)):
        P = random_polytope(n, m)
        results = [
            linprog(sign * np.eye(n)[i], P.A, P.b, bounds=(None, None)).status
            for i in (0, n - 1)
            for sign in (-1, 1)
        ]
        assert (3 in results) != bounded and set(results) <= {0, 3}


def test_checkerboard_matches_a_loop_over_pixels():
    A = np.zeros((16, 28, 28))
    for row in range(28):
        for column in range(28):
            i, j = row // 7, column // 7
            A[4 * i + j, row, column] = 1 if (i + j) % 2 == 0 else -1
    assert np.array_equal(checkerboard().A, A.reshape(16, 784))
    assert checkerboard().is_cone


def test_checkerboard_of_unequal_sides():
    P = checkerboard(2, 6, 2)
    assert P.A.tolist() == [
        [1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0],
        [0, 0, -1, -1, 0, 0, 0, 0, -1, -1, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1],
    ]


def test_box_rows():
    P = checkerboard_box(4, 4, 2)
    assert P.A.shape == (4 + 16, 16)
    assert P.contains(np.zeros(16))
    assert P.contains(-checkerboard(4, 4, 2).A.sum(0))
    assert P.violation(-3 * checkerboard(4, 4, 2).A.sum(0)) == 2.0
    assert P.violation(0.25 * checkerboard(4, 4, 2).A.sum(0)) == 1.0


def test_closed_form_of_the_instance_is_the_projection():
    for size in family("checkerboard").sizes:
        instance = family("checkerboard").generate(size, 50, seed=5)
        y, A = instance.points, instance.polyhedron.A
        check_optimality(y, instance.project(y), A, np.zeros(len(A)))


@pytest.mark.parametrize("size", [(28, 28, 7), (4, 6, 2), (5, 5, 1), (3, 3, 3)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_boxed_projection_is_the_projection(size, scale):
    y = scale * RNG.standard_normal((40, size[0] * size[1])) + 0.3 * scale
    check_optimality(y, project_checkerboard_box(y, *size), *stacked(size))


def stacked(size):
    """`G x <= h` of the boxed cone."""
    A, n = checkerboard(*size).A, size[0] * size[1]
    return np.concatenate([A, np.eye(n), -np.eye(n)]), np.concatenate([np.zeros(len(A)), np.ones(2 * n)])


def check_optimality(y, x, G, h):
    """Feasible, and `y - x` a non-negative combination of the tight rows (found by NNLS)."""
    from scipy.optimize import nnls

    scale = 1 + np.abs(y).max()
    assert x.shape == y.shape
    for point, nearest in zip(y[:5], x[:5], strict=True):
        slack = h - G @ nearest
        assert slack.min() >= -1e-12 * scale
        _, distance = nnls(G[slack < 1e-9 * scale].T, point - nearest)
        assert distance < 1e-9 * scale


def test_boxed_projection_agrees_with_daqp():
    daqp = pytest.importorskip("daqp", reason="daqp is optional")
    size = (6, 6, 3)
    y = 1.5 * RNG.standard_normal((30, 36))
    G, h = stacked(size)
    below, sense = np.full(len(h), -1e30), np.zeros(len(h), dtype=np.int32)
    for point, nearest in zip(y, project_checkerboard_box(y, *size), strict=True):
        x, _, flag, _ = daqp.solve(np.eye(36), -point, G, h, below, sense)
        assert flag == 1
        np.testing.assert_allclose(nearest, x, atol=1e-8)


def test_boxed_projection_of_edge_cases():
    inside = -0.5 * checkerboard().A.sum(0)
    corner = checkerboard().A.sum(0)
    y = np.stack([inside, corner, 1e9 * corner, np.zeros(784), np.full(784, 5.0)])
    x = project_checkerboard_box(y)
    np.testing.assert_array_equal(x[0], inside)
    np.testing.assert_allclose(x[1], 0, atol=1e-15)
    np.testing.assert_allclose(x[2], 0, atol=1e-6)
    np.testing.assert_array_equal(x[3], 0)
    np.testing.assert_allclose(x[4], np.where(corner > 0, 0, 1), atol=1e-15)
    assert project_checkerboard_box(np.zeros((0, 784))).shape == (0, 784)


def test_projections_leave_their_argument_alone_and_cross_chunks():
    y = RNG.standard_normal((600, 16))
    before = y.copy()
    for project in (project_checkerboard, project_checkerboard_box):
        whole = project(y, 4, 4, 2)
        np.testing.assert_allclose(whole[550], project(y[550:551], 4, 4, 2)[0], atol=1e-14)
    assert np.array_equal(y, before)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: checkerboard(28, 28, 5), "tile must divide"),
        (lambda: checkerboard(0, 28, 7), "height must be an int"),
        (lambda: checkerboard(28, 28, 7.0), "tile must be an int"),
        (lambda: checkerboard_box(28, 27, 7), "tile must divide"),
        (lambda: project_checkerboard_box(np.zeros((1, 784)), 28, 28, 5), "tile must divide"),
        (lambda: random_cone(0, 3), "n must be an int"),
        (lambda: random_cone(3, True), "m must be an int"),
        (lambda: random_cone(3, -1), "m must be an int"),
        (lambda: family("random_cone").generate((3, 4), 0), "batch must be an int"),
        (lambda: family("random_cone").generate((3, 4, 5), 1), "a size of random_cone is"),
        (lambda: random_polytope(0, 3), "n must be an int"),
        (lambda: random_polytope(3, 2.0), "m must be an int"),
        (lambda: family("random_polytope").generate((3,), 1), "a size of random_polytope is"),
        (lambda: family("box").generate((3, 4), 1), "a size of box is"),
        (lambda: family("simplex").generate((0,), 1), "n must be an int"),
        (lambda: family("checkerboard").generate((28, 28), 1), "a size of checkerboard is"),
    ],
)
def test_bad_sizes(call, named):
    with pytest.raises(InvalidInputError, match=named):
        call()


def test_unknown_family_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="'checkerboard', 'random_cone'"):
        family("cube")
