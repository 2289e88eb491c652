"""Sets written for other libraries: SciPy's linear constraints and cvxpy's affine ones.

Both are read into `{x : lower <= A x <= b, C x = d}`, rows in the order given; rows without any bound
are left out, and rows whose two bounds are equal go to C, d.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ._arrays import count, real
from .errors import InvalidInputError, require
from .polyhedron import Polyhedron

LINEAR_ATTRIBUTES = ("nonneg", "nonpos", "bounds")  # of a cvxpy variable, kept as rows


class Rows(NamedTuple):
    """`lower <= A x <= upper`, (m, n) and (m,), (m,)."""

    A: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def polyhedron_of(parts: Sequence[Rows], n: int) -> Polyhedron:
    """The set of all rows."""
    empty = Rows(np.zeros((0, n)), np.zeros(0), np.zeros(0))
    A, lower, upper = (np.concatenate(values) for values in zip(empty, *parts, strict=True))
    equal, free = lower == upper, np.isneginf(lower) & np.isposinf(upper)
    keep = ~equal & ~free
    return Polyhedron(A[keep], upper[keep], A[equal], upper[equal], lower[keep])


def from_scipy(*constraints: Any, n: int | None = None) -> Polyhedron:
    """See `Polyhedron.from_scipy`."""
    size = _scipy_size(constraints, n)
    return polyhedron_of([_scipy_rows(k, value, size) for k, value in enumerate(constraints)], size)


def _scipy_size(constraints: Sequence[Any], n: int | None) -> int:
    """The number of features that all agree on; a `Bounds` of one entry, as of two numbers, fits any."""
    from scipy.optimize import Bounds, LinearConstraint

    sizes = set() if n is None else {count("n", n)}
    for k, value in enumerate(constraints):
        if isinstance(value, LinearConstraint):
            sizes.add(value.A.shape[-1])
        elif isinstance(value, Bounds):
            sizes |= {size for side in (value.lb, value.ub) if (size := np.size(side)) > 1}
        else:
            raise InvalidInputError(
                f"expected scipy.optimize LinearConstraint and Bounds objects; "
                f"constraint {k} is of type {type(value).__name__}"
            )
    if len(sizes) != 1:
        raise InvalidInputError(
            f"expected constraints on one number n of features; found {sorted(sizes) or 'none'}"
            + ("" if sizes else ": pass n=")
        )
    return sizes.pop()


def _scipy_rows(k: int, value: Any, n: int) -> Rows:
    matrix = getattr(value, "A", None)
    matrix = np.eye(n) if matrix is None else matrix.toarray() if hasattr(matrix, "toarray") else matrix
    A = np.atleast_2d(real(f"constraint {k}: A", matrix))
    bounds = (real(f"constraint {k}: {side}", getattr(value, side)) for side in ("lb", "ub"))
    lower, upper = (np.broadcast_to(bound, len(A)) for bound in bounds)
    if not (bad := lower <= upper).all():
        i = int(np.flatnonzero(~bad)[0])
        raise InvalidInputError(
            f"constraint {k}: lb must not exceed ub; entry {i} has lb = {lower[i]:g}, ub = {upper[i]:g}"
        )
    return Rows(A, lower, upper)


def from_cvxpy(constraints: Sequence[Any], variables: Sequence[Any] | None = None) -> Polyhedron:
    """See `Polyhedron.from_cvxpy`."""
    require("cvxpy", "baselines")
    constraints = list(constraints) if isinstance(constraints, Sequence) else [constraints]
    for k, constraint in enumerate(constraints):
        _check_affine(k, constraint)
    found = _cvxpy_variables(constraints, variables)
    parts = [_attribute_rows(found, variable) for variable in found]
    with _at_zero(found):
        parts += [_constraint_rows(found, constraint) for constraint in constraints]
    return polyhedron_of(parts, sum(variable.size for variable in found))


def _check_affine(k: int, constraint: Any) -> None:
    """Raise `InvalidInputError`, with the constraint in its text, unless it is affine with known numbers."""
    from cvxpy.constraints.constraint import Constraint
    from cvxpy.constraints.nonpos import Inequality, NonNeg, NonPos
    from cvxpy.constraints.zero import Equality, Zero

    if not isinstance(constraint, Constraint):
        raise InvalidInputError(
            f"expected cvxpy constraints; constraint {k} is of type {type(constraint).__name__}"
        )
    text = f"constraint {k}, {constraint}"
    affine = isinstance(constraint, Inequality | Equality | NonNeg | NonPos | Zero)
    if not affine or not all(a.is_affine() and a.is_real() for a in constraint.args):
        raise InvalidInputError(f"expected affine <=, >= or == over the reals; {text}, is not")
    missing = [parameter.name() for parameter in constraint.parameters() if parameter.value is None]
    if missing:
        raise InvalidInputError(f"{text}, has parameters without a value: {', '.join(missing)}; set .value")


def _cvxpy_variables(constraints: Sequence[Any], variables: Sequence[Any] | None) -> list[Any]:
    """The variables that make up the features, in order."""
    used = list({v.id: v for constraint in constraints for v in constraint.variables()}.values())
    found = used if variables is None else list(variables) if isinstance(variables, Sequence) else [variables]
    if missing := [v.name() for v in used if v.id not in {w.id for w in found}]:
        raise InvalidInputError(f"variables= lacks {', '.join(missing)}, which the constraints contain")
    if not found or len({v.id for v in found}) < len(found):
        raise InvalidInputError(
            "expected at least one variable, each once; found " + (str(found) if found else "none")
        )
    for variable in found:
        others = [key for key, value in variable.attributes.items() if _is_set(value)]
        if refused := [key for key in others if key not in LINEAR_ATTRIBUTES]:
            raise InvalidInputError(
                f"variable {variable.name()} is declared {', '.join(refused)}; only real variables, "
                f"with {', '.join(LINEAR_ATTRIBUTES)} at most, can be read: state the rest as constraints"
            )
    return found


def _is_set(value: Any) -> bool:
    return value is not None and value is not False and not (isinstance(value, list | tuple) and not value)


def _attribute_rows(variables: Sequence[Any], variable: Any) -> Rows:
    """The bounds that a variable was declared with."""
    lower, upper = np.full(variable.shape, -np.inf), np.full(variable.shape, np.inf)
    attributes = variable.attributes
    if attributes.get("nonneg"):
        lower = np.maximum(lower, 0.0)
    if attributes.get("nonpos"):
        upper = np.minimum(upper, 0.0)
    if _is_set(bounds := attributes.get("bounds")):
        low, high = (getattr(bound, "value", bound) for bound in bounds)
        lower = np.maximum(lower, -np.inf if low is None else low)
        upper = np.minimum(upper, np.inf if high is None else high)
    columns = _columns(variables)[variable.id]
    A = np.zeros((variable.size, sum(v.size for v in variables)))
    A[np.arange(variable.size), columns.ravel()] = 1.0
    return Rows(A, lower.ravel(), upper.ravel())


def _columns(variables: Sequence[Any]) -> dict[int, np.ndarray]:
    """The features of each variable, in its own shape: its entries in C order."""
    ends = np.cumsum([v.size for v in variables])
    return {
        v.id: np.arange(end - v.size, end).reshape(v.shape) for v, end in zip(variables, ends, strict=True)
    }


@contextmanager
def _at_zero(variables: Sequence[Any]) -> Iterator[None]:
    """All variables at 0 inside, back at the user's values after."""
    values = [variable.value for variable in variables]
    try:
        for variable in variables:
            variable.save_value(np.zeros(variable.shape))
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.save_value(value)


def _constraint_rows(variables: Sequence[Any], constraint: Any) -> Rows:
    """An affine `f(x) = J x + f(0)` in a constraint `f <= 0`, `f >= 0` or `f = 0`, entries in C order."""
    from cvxpy.constraints.nonpos import NonNeg
    from cvxpy.constraints.zero import Equality, Zero

    two = len(constraint.args) == 2
    expression = constraint.args[0] - constraint.args[1] if two else constraint.args[0]
    J = _jacobian(variables, expression)
    at_zero = np.asarray(_dense(expression.value), dtype=np.float64).ravel()
    unbounded = np.full(len(J), np.inf)
    if isinstance(constraint, NonNeg):
        return Rows(J, -at_zero, unbounded)
    equality = isinstance(constraint, Equality | Zero)
    return Rows(J, -at_zero if equality else -unbounded, -at_zero)


def _jacobian(variables: Sequence[Any], expression: Any) -> np.ndarray:
    """Rows: entries of the expression in C order. cvxpy's own order is Fortran's on both sides."""
    columns, J = _columns(variables), np.zeros((expression.size, sum(v.size for v in variables)))
    order = np.arange(expression.size).reshape(expression.shape, order="F").ravel()
    for variable, gradient in expression.grad.items():
        table = np.reshape(_dense(gradient), (variable.size, expression.size))
        J[:, columns[variable.id].ravel(order="F")] = table[:, order].T
    return J


def _dense(value: Any) -> np.ndarray:
    return value.toarray() if hasattr(value, "toarray") else np.asarray(value)
