"""Sets read from SciPy and cvxpy: the same members as those libraries say, and clear refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import constrained as cn
from constrained import Polyhedron

cp = pytest.importorskip("cvxpy", reason="the extra 'baselines' is not installed: cvxpy")
optimize = pytest.importorskip("scipy.optimize", reason="the extra 'plan' is not installed: scipy")
sparse = pytest.importorskip("scipy.sparse", reason="the extra 'plan' is not installed: scipy")

INF = np.inf


def test_scipy_constraints_and_bounds_become_rows_in_their_order():
    A = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0], [5.0, 0.0, 0.0]])
    linear = optimize.LinearConstraint(A, [-INF, 2.0, 1.0, -INF], [4.0, 2.0, INF, INF])
    bounds = optimize.Bounds([0.0, -INF, 3.0], [1.0, INF, 3.0])
    P = Polyhedron.from_scipy(linear, bounds)
    assert np.array_equal(P.A, [A[0], A[2], [1, 0, 0]])
    assert np.array_equal(P.b, [4, INF, 1]) and np.array_equal(P.lower, [-INF, 1, 0])
    assert np.array_equal(P.C, [A[1], [0, 0, 1]]) and np.array_equal(P.d, [2, 3])


@given(seed=st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_scipy_says_the_same_of_random_points(seed):
    rng = np.random.default_rng(seed)
    A = rng.integers(-2, 3, (4, 3)).astype(float)
    linear = optimize.LinearConstraint(A, A @ np.ones(3) - rng.integers(0, 3, 4), A @ np.ones(3) + 1)
    bounds = optimize.Bounds(-1, rng.integers(1, 3, 3))
    P = Polyhedron.from_scipy(bounds, linear)
    for x in rng.integers(-1, 3, (20, 3)).astype(float):
        slack = np.concatenate([*linear.residual(x), *bounds.residual(x)])
        assert P.contains(x) == (slack >= 0).all()
        assert P.violation(x) == max(0.0, -slack.min())


def test_scipy_shapes_that_broadcast():
    row = optimize.LinearConstraint([1.0, 2.0], ub=3.0)
    assert Polyhedron.from_scipy(row).n == 2 and Polyhedron.from_scipy(row).b.tolist() == [3]
    table = sparse.csc_array([[1.0, 0.0], [0.0, 2.0]])
    assert Polyhedron.from_scipy(optimize.LinearConstraint(table, 0, 1)).A.tolist() == [[1, 0], [0, 2]]
    assert Polyhedron.from_scipy(optimize.Bounds(0, 1), n=3).m == 3
    assert Polyhedron.from_scipy(optimize.Bounds([0], [1]), n=1).m == 1
    assert Polyhedron.from_scipy(optimize.Bounds(0, 1), row).m == 3
    assert Polyhedron.from_scipy(n=4).m == 0 and Polyhedron.from_scipy(n=4).n == 4
    free = Polyhedron.from_scipy(optimize.Bounds([-INF, 0.0], INF))
    assert free.n == 2 and free.m == 1


@pytest.mark.parametrize(
    ("constraints", "n", "message"),
    [
        ([([[1.0]], 0, 1)], None, "LinearConstraint and Bounds objects; constraint 0 is of type tuple"),
        ([optimize.NonlinearConstraint(sum, 0, 1)], None, "constraint 0 is of type NonlinearConstraint"),
        ([optimize.Bounds(0, 1)], None, "found none: pass n="),
        ([], None, "found none: pass n="),
        ([optimize.Bounds([0, 0], 1)], 3, r"one number n of features; found \[2, 3\]"),
        ([optimize.LinearConstraint(np.eye(2), 0, 1), optimize.Bounds([0] * 3, 1)], None, r"\[2, 3\]"),
        (
            [optimize.Bounds([0, 3.0], 1)],
            None,
            "constraint 0: lb must not exceed ub; entry 1 has lb = 3, ub = 1",
        ),
        ([optimize.LinearConstraint([[1.0]], np.nan, 1)], None, "entry 0 has lb = nan"),
        ([optimize.LinearConstraint([[np.nan]], 0, 1)], None, "A must be finite"),
        ([optimize.Bounds([INF], [INF])], 1, "d must be finite"),
        ([optimize.Bounds(0, 1)], 0, "n must be a whole number of at least 1"),
    ],
)
def test_what_scipy_cannot_mean_is_refused(constraints, n, message):
    with pytest.raises(cn.InvalidInputError, match=message):
        Polyhedron.from_scipy(*constraints, n=n)


def cvxpy_examples():
    """`(constraints, variables)`: all kinds of atoms, shapes and cones."""
    x, X, t = cp.Variable(3, name="x"), cp.Variable((2, 3), name="X"), cp.Variable(name="t")
    p, M = cp.Parameter(3, value=[1.0, -2.0, 0.5]), np.arange(6.0).reshape(2, 3) - 2
    s = cp.Parameter(value=2.0)
    return [
        ([x <= 1, x >= -2, cp.sum(x) == 1], [x]),
        ([M @ x <= [1, 2], p @ x >= -1, s * x[0] + t <= 4], [x, t]),
        ([X <= M, X @ p >= -1, cp.trace(X @ M.T) <= 3, X[0] == X[1][::-1]], [X]),
        ([cp.vec(X, order="F") <= np.arange(6), X[1, 2] + t == 0.5, cp.sum(X, axis=0) >= x], [X, t, x]),
        ([cp.NonNeg(x - 1), cp.Zero(x[0] - x[1]), cp.NonNeg(X.T @ np.ones(2) - x)], [x, X]),
        (
            [cp.diff(x) >= 0, cp.cumsum(x) <= 5, cp.hstack([x, t]) <= 2, cp.kron(np.eye(2), X) >= -9],
            [x, t, X],
        ),
        ([t <= x, cp.reshape(X, (3, 2), order="C") @ np.ones(2) <= 1, -1 <= cp.multiply(M, X)], [t, x, X]),
        ([x[0] <= 3, x[0] <= s**2 * cp.exp(0) * 1, 0 * x[1] <= 1], [x]),
    ]


def flattened(variables):
    return np.concatenate([np.asarray(v.value, dtype=float).ravel() for v in variables])


@pytest.mark.parametrize("example", range(8))
def test_cvxpy_measures_the_same_violation_at_random_points(example):
    constraints, variables = cvxpy_examples()[example]
    P = Polyhedron.from_cvxpy(constraints)
    assert P.n == sum(v.size for v in variables)
    Q = Polyhedron.from_cvxpy(constraints, variables[::-1])
    rng, seen = np.random.default_rng(example), set()
    for scale in np.repeat([0.0, 0.3, 1.0, 5.0], 25):
        for v in variables:
            v.value = scale * rng.integers(-3, 4, v.shape) / 2
        theirs = max(float(np.max(np.abs(c.violation()), initial=0)) for c in constraints)
        ours = P.violation(flattened(variables))
        assert Q.violation(flattened(variables[::-1])) == pytest.approx(ours, abs=1e-12)
        if not any(isinstance(c, cp.NonNeg | cp.Zero) for c in constraints):
            assert ours == pytest.approx(theirs, abs=1e-12)
        assert (ours <= 1e-12) == (theirs <= 1e-12)  # of a cone cvxpy measures the Euclidean distance
        seen.add(theirs > 0)
    assert True in seen


def test_cvxpy_entries_are_in_c_order_and_equalities_in_C():
    X = cp.Variable((2, 3))
    P = Polyhedron.from_cvxpy([X <= np.arange(6.0).reshape(2, 3), X[0, 1] == 4])
    assert np.array_equal(P.A, np.eye(6)) and P.b.tolist() == [0, 1, 2, 3, 4, 5]
    assert P.C.tolist() == [[0, 1, 0, 0, 0, 0]] and P.d.tolist() == [4]


def test_cvxpy_variables_keep_their_values_and_their_declared_bounds():
    x, y = cp.Variable(2, nonneg=True), cp.Variable(2, bounds=[-1.0, np.array([2.0, INF])])
    z = cp.Variable(nonpos=True)
    x.value = [3.0, 4.0]
    P = Polyhedron.from_cvxpy([cp.sum(x) + cp.sum(y) + z <= 10])
    assert x.value.tolist() == [3, 4] and y.value is None
    assert P.contains([[0, 0, 2, 9, 0], [-1, 0, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, -2, 0]]).tolist() == [
        False,
        False,
        False,
        False,
    ]
    assert P.contains([[0, 0, 2, 8, 0], [0, 0, 2, 8, -1], [0, 0, 0, 0, 1]]).tolist() == [True, True, False]
    with pytest.raises(cn.InvalidInputError):
        Polyhedron.from_cvxpy([x <= 1, x**2 <= 1])
    assert x.value.tolist() == [3, 4]


def test_cvxpy_one_constraint_or_variable_needs_no_list():
    x, y = cp.Variable(2), cp.Variable(3)
    assert Polyhedron.from_cvxpy(x <= 1).m == 2
    assert Polyhedron.from_cvxpy([x <= 1], [y, x]).A.tolist() == np.eye(5)[3:].tolist()
    assert Polyhedron.from_cvxpy([], y).n == 3


def test_what_cvxpy_cannot_mean_is_refused():
    x, w = cp.Variable(2, name="x"), cp.Variable(2, name="w")
    k = cp.Parameter(2, name="k")
    refused = {
        r"affine <=, >= or == over the reals; constraint 1, norm1\(x\) <= 1.0, is not": [
            x <= 1,
            cp.norm1(x) <= 1,
        ],
        "constraint 0, SOC": [cp.SOC(x[0], w)],
        "constraint 0, .*Power": [cp.square(x) <= 1],
        "has parameters without a value: k; set .value": [k @ x <= 1],
        "constraint 0 is of type bool": [True],
        "constraint 0 is of type Variable": [x],
        "variable n is declared integer": [cp.Variable(2, name="n", integer=True) <= 1],
        "variable S is declared symmetric": [cp.Variable((2, 2), name="S", symmetric=True) <= 1],
        "variable S is declared PSD": [cp.Variable((2, 2), name="S", PSD=True) <= 1],
        "over the reals": [cp.Variable(2, complex=True) == 1],
        "at least one variable, each once; found none": [],
    }
    for message, constraints in refused.items():
        with pytest.raises(cn.InvalidInputError, match=message):
            Polyhedron.from_cvxpy(constraints)
    with pytest.raises(cn.InvalidInputError, match="variables= lacks x, which the constraints contain"):
        Polyhedron.from_cvxpy([x + w <= 1], [w])
    with pytest.raises(cn.InvalidInputError, match="each once"):
        Polyhedron.from_cvxpy([x <= 1], [x, x])
