"""The sets that people look for, by membership and by their generators."""

import numpy as np
import pytest

import constrained as cn
from constrained import Polyhedron


def inside(P: Polyhedron, *points: list[float]) -> list[bool]:
    return P.contains(np.array(points, dtype=float)).tolist()


def test_box():
    P = Polyhedron.box([0.0, -1.0, -np.inf], 2.0)
    assert inside(P, [0, -1, -99], [2, 2, 2], [-1e-9, 0, 0], [0, 0, 2.1]) == [True, True, False, False]
    with pytest.raises(cn.InvalidInputError, match="row 1 has lower = 3 > b = 2"):
        Polyhedron.box([0.0, 3.0], 2.0)
    with pytest.raises(cn.InvalidInputError, match=r"vector \(n,\); found shape \(\)"):
        Polyhedron.box(0.0, 1.0)
    with pytest.raises(cn.InvalidInputError, match=r"one length; found shapes \(2,\) and \(3,\)"):
        Polyhedron.box([0.0, 0.0], [1.0, 1.0, 1.0])


def test_nonnegative_and_simplex():
    assert inside(Polyhedron.nonnegative(2), [0, 3], [-1, 3]) == [True, False]
    P = Polyhedron.simplex(3, total=2.0)
    assert inside(P, [0.5, 0.5, 1], [2, 0, 0], [3, -1, 0], [0.5, 0.5, 0.5]) == [True, True, False, False]


def test_monotone_and_convex_sequences():
    assert inside(Polyhedron.monotone(3), [1, 1, 2], [1, 0, 2]) == [True, False]
    assert inside(Polyhedron.convex_sequence(4), [4, 1, 0, 1], [0, 1, 1, 0], [1, 2, 3, 4]) == [
        True,
        False,
        True,
    ]
    assert inside(Polyhedron.monotone(1), [5]) == inside(Polyhedron.convex_sequence(2), [5, -5]) == [True]


def test_intersection_has_all_rows():
    P = Polyhedron.intersection(Polyhedron.monotone(3), Polyhedron.simplex(3), Polyhedron.box([0] * 3, 0.6))
    assert (P.n, P.m, P.p) == (3, 2 + 3 + 3, 1)
    points = [0, 0.4, 0.6], [0.6, 0.4, 0], [0, 0.3, 0.7], [0, 0.1, 0.1]
    assert inside(P, *points) == [True, False, False, False]
    with pytest.raises(cn.InvalidInputError, match=r"one dimension n; found \[2, 3\]"):
        Polyhedron.intersection(Polyhedron.monotone(2), Polyhedron.monotone(3))
    with pytest.raises(cn.InvalidInputError, match="found none"):
        Polyhedron.intersection()


def test_product_keeps_the_blocks_apart():
    P = Polyhedron.product(Polyhedron.monotone(2), Polyhedron.simplex(3), Polyhedron.convex_sequence(2))
    assert (P.n, P.m, P.p) == (7, 1 + 3, 1)
    good = [1, 2, 0.2, 0.3, 0.5, 7, -7]
    assert inside(P, good, [2, 1, *good[2:]], [*good[:2], 0.2, 0.3, 0.6, 0, 0]) == [True, False, False]
    with pytest.raises(cn.InvalidInputError, match="found none"):
        Polyhedron.product()


def test_every_constructed_set_can_be_used_at_once():
    pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
    vertices = cn.generators(Polyhedron.simplex(4)).vertices
    assert sorted(map(tuple, vertices)) == sorted(map(tuple, np.eye(4)))
    for P in (Polyhedron.monotone(5), Polyhedron.convex_sequence(5), Polyhedron.nonnegative(5)):
        assert cn.constrain(P).out_features == cn.constrain(P, method="rays").out_features == 5


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
@pytest.mark.parametrize("make", ["nonnegative", "simplex", "monotone", "convex_sequence"])
def test_a_size_that_is_none_is_refused(make, n):
    with pytest.raises(cn.InvalidInputError, match="n must be a whole number of at least 1; found"):
        getattr(Polyhedron, make)(n)
