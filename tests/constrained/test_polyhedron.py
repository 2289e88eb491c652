"""The set: validation, membership, immutability."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch

import constrained as cn

A = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": [[1.0, np.nan]]}, r"A must be finite; A\[0, 1\] is nan"),
        ({"A": [[1.0], [np.inf]]}, r"A must be finite; A\[1, 0\] is inf"),
        ({"A": np.zeros((3, 0))}, "no columns"),
        ({"A": [1.0, 2.0]}, "must be a matrix.*1 dimension"),
        ({"A": np.zeros((2, 3, 4))}, "must be a matrix.*3 dimension"),
        ({"A": [["a", "b"]]}, "real numbers"),
        ({"A": [[1j]]}, "real numbers.*complex"),
        ({"A": [[True, False]]}, "real numbers.*bool"),
        ({"A": [[1.0], [2.0, 3.0]]}, "rectangular"),
        ({"A": [[2**53 + 1]]}, "beyond 2\\^53"),
        ({"A": A, "b": [1.0]}, r"b must have shape \(2,\); found \(1,\)"),
        ({"A": A, "b": [1.0, np.nan]}, r"b must be finite or \+inf; b\[1\] is nan"),
        ({"A": A, "b": -np.inf}, r"b\[0\] is -inf"),
        ({"A": A, "lower": [1.0, -1.0]}, "row 0 has lower = 1 > b = 0.*defaults to 0"),
        ({"A": A, "C": [[1.0, 2.0]]}, "as many columns as A, 3; found 2"),
        ({"A": A, "d": 1.0}, "d was given without C"),
        ({"A": A, "C": [[1.0, 2.0, 3.0]], "d": np.inf}, r"d must be finite; d\[0\] is inf"),
    ],
)
def test_bad_input_names_the_argument_and_what_was_found(arguments, message):
    with pytest.raises(cn.InvalidInputError, match=message):
        cn.Polyhedron(**arguments)


def test_every_error_is_a_constraint_error_and_a_value_error():
    for name in cn.__all__:
        entry = getattr(cn, name)
        if isinstance(entry, type) and issubclass(entry, Exception):
            assert issubclass(entry, cn.ConstraintError) and issubclass(entry, ValueError)
    assert issubclass(cn.MissingDependencyError, ImportError)


def test_defaults_are_the_homogeneous_cone():
    P = cn.Polyhedron(torch.tensor(A, dtype=torch.float32))
    assert (P.n, P.m, P.p) == (3, 2, 0) and P.is_cone and P.one_sided
    assert np.array_equal(P.A, A) and P.A.dtype == np.float64
    assert not P.b.any() and np.isneginf(P.lower).all() and P.C.shape == (0, 3)


def test_violation_is_the_largest_broken_row():
    P = cn.Polyhedron(np.eye(3), b=[1.0, np.inf, 0.0], lower=[0.0, -1.0, -np.inf], C=[[1.0, 1.0, 1.0]], d=0.5)
    points = np.array([[0.5, 0.0, 0.0], [2.0, -1.5, 0.0], [0.0, -4.0, 1.0], [0.5, 0.0, np.nan]])
    expected = [0.0, 1.0, 3.5, np.nan]
    assert np.array_equal(P.violation(points), expected, equal_nan=True)
    assert P.contains(points).tolist() == [True, False, False, False]
    assert P.contains(points, tol=1.0).tolist() == [True, True, False, False]
    assert P.residual(points).shape == (4, 4)


def test_tensor_in_tensor_out_and_any_batch():
    P = cn.Polyhedron(A)
    x = torch.zeros(2, 5, 3, dtype=torch.float16)
    violation = P.violation(x)
    assert isinstance(violation, torch.Tensor) and violation.dtype == torch.float64
    assert violation.shape == (2, 5) and bool(P.contains(x).all())
    assert isinstance(P.violation([0, 0, 0]), np.ndarray) and P.violation([0, 0, 0]).shape == ()
    with pytest.raises(cn.InvalidInputError, match=r"\(\*batch, 3\)"):
        P.contains(np.zeros((3, 2)))


def test_it_is_immutable_and_owns_its_numbers():
    mine = A.copy()
    P = cn.Polyhedron(mine)
    mine[0, 0] = 99.0
    assert P.A[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        P.A[0, 0] = 5.0
    with pytest.raises(AttributeError, match="immutable"):
        P.A = mine


@pytest.mark.parametrize("copy", [deepcopy, lambda P: pickle.loads(pickle.dumps(P))])
def test_copies_are_equal(copy):
    P = cn.Polyhedron(A, b=1.0, C=[[1.0, 1.0, 1.0]], d=2.0, lower=-1.0)
    Q = copy(P)
    assert all(np.array_equal(getattr(P, v), getattr(Q, v)) for v in ("A", "b", "C", "d", "lower"))


def test_inequalities_are_the_finite_bounds():
    P = cn.Polyhedron(A, b=[1.0, np.inf], lower=[-3.0, -2.0])
    G, h = P.inequalities()
    assert np.array_equal(G, [A[0], -A[0], -A[1]]) and np.array_equal(h, [1.0, 3.0, 2.0])
