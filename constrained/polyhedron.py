"""The set: `P = {x : lower <= A x <= b, C x = d}`, with `A x <= 0` as the default.

A `Polyhedron` holds numbers and answers questions about membership; it knows nothing of the
methods that produce points of it. Everything is kept in float64 and read-only: both sides of a
comparison are given this very object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from torch import Tensor

from ._arrays import ArrayLike, Numbers, block_diagonal, bound, count, matrix, real
from .errors import InvalidInputError

if TYPE_CHECKING:
    from scipy.optimize import Bounds, LinearConstraint

    from .analysis import Analysis

FIELDS = ("A", "b", "C", "d", "lower")


class Polyhedron:
    """The polyhedron `{x in R^n : lower <= A x <= b, C x = d}`.

    Args:
        A: (m, n) real matrix of the inequalities, finite. `m = 0` is the whole space.
        b: (m,) or a number, upper bounds, `+inf` for none. Default: 0, the cone `A x <= 0`.
        C: (p, n) real matrix of the equalities, finite. Default: none.
        d: (p,) or a number, right-hand side of the equalities. Default: 0.
        lower: (m,) or a number, lower bounds, `-inf` for none. Default: none.

    NumPy arrays, tensors and nested lists of real numbers are accepted and copied to float64.

    Attributes:
        A, b, C, d, lower: read-only float64 arrays of the shapes above.
        n, m, p: number of features, of inequality rows, of equality rows.

    Raises:
        InvalidInputError: wrong rank, shape or dtype, NaN or infinity, no columns, `lower > b`.

    Example:
        >>> P = Polyhedron([[1.0, -1.0], [0.0, 1.0]])        # x1 <= x2 <= 0
        >>> P.contains([[-2.0, -1.0], [1.0, 0.0]])
        array([ True, False])
    """

    __slots__ = ("A", "C", "b", "d", "lower")

    A: np.ndarray
    b: np.ndarray
    C: np.ndarray
    d: np.ndarray
    lower: np.ndarray

    def __init__(
        self,
        A: ArrayLike,  # (m, n)
        b: ArrayLike | None = None,  # (m,)
        C: ArrayLike | None = None,  # (p, n)
        d: ArrayLike | None = None,  # (p,)
        lower: ArrayLike | None = None,  # (m,)
    ) -> None:
        A_ = matrix("A", A)
        m, n = A_.shape
        C_ = np.zeros((0, n)) if C is None else matrix("C", C)
        if C_.shape[1] != n:
            raise InvalidInputError(
                f"C must have as many columns as A, {n}; found {C_.shape[1]} (shape {C_.shape})"
            )
        if C is None and d is not None:
            raise InvalidInputError("d was given without C; pass the equality matrix C as well")
        b_ = bound("b", 0.0 if b is None else b, m, infinite=np.inf)
        lower_ = bound("lower", -np.inf if lower is None else lower, m, infinite=-np.inf)
        d_ = bound("d", 0.0 if d is None else d, len(C_), infinite=None)
        if (bad := np.flatnonzero(lower_ > b_)).size:
            i = int(bad[0])
            raise InvalidInputError(
                f"lower must not exceed b; row {i} has lower = {lower_[i]:g} > b = {b_[i]:g}"
                + (" (b defaults to 0: pass b=np.inf for no upper bound)" if b is None else "")
            )
        for name, value in zip(FIELDS, (A_, b_, C_, d_, lower_), strict=True):
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Polyhedron is immutable; build a new one instead of setting {name!r}")

    def __reduce__(self) -> tuple:
        return Polyhedron, (self.A, self.b, self.C, self.d, self.lower)

    def __repr__(self) -> str:
        kind = "cone" if self.is_cone else "polyhedron"
        return f"Polyhedron({kind}, n={self.n}, m={self.m}, p={self.p})"

    @property
    def n(self) -> int:
        """Number of features of a point."""
        return self.A.shape[1]

    @property
    def m(self) -> int:
        """Number of inequality rows."""
        return self.A.shape[0]

    @property
    def p(self) -> int:
        """Number of equality rows."""
        return self.C.shape[0]

    @property
    def is_cone(self) -> bool:
        """Whether every finite right-hand side is 0, so that the set is closed under scaling."""
        return all(not v[np.isfinite(v)].any() for v in (self.b, self.lower, self.d))

    @property
    def one_sided(self) -> bool:
        """Whether no inequality row has a finite lower bound."""
        return not np.isfinite(self.lower).any()

    @classmethod
    def box(cls, lower: ArrayLike, upper: ArrayLike) -> Polyhedron:
        """`{x : lower <= x <= upper}` for vectors (n,), or one vector and one number; infinities allowed."""
        low, high = real("lower", lower), real("upper", upper)
        if low.ndim and high.ndim and low.shape != high.shape:
            raise InvalidInputError(
                f"lower and upper must have one length; found shapes {low.shape} and {high.shape}"
            )
        low, high = np.broadcast_arrays(low, high)
        if low.ndim != 1:
            raise InvalidInputError(f"lower and upper must give a vector (n,); found shape {low.shape}")
        return cls(np.eye(len(low)), b=high, lower=low)

    @classmethod
    def nonnegative(cls, n: int) -> Polyhedron:
        """The cone `{x in R^n : x >= 0}`."""
        return cls(-np.eye(count("n", n)))

    @classmethod
    def simplex(cls, n: int, total: float = 1.0) -> Polyhedron:
        """`{x in R^n : x >= 0, sum_i x_i = total}`: the probability simplex by default."""
        return cls(-np.eye(count("n", n)), C=np.ones((1, n)), d=total)

    @classmethod
    def monotone(cls, n: int) -> Polyhedron:
        """The cone of non-decreasing sequences, `{x in R^n : x_1 <= ... <= x_n}`."""
        eye = np.eye(count("n", n))
        return cls(eye[:-1] - eye[1:])

    @classmethod
    def convex_sequence(cls, n: int) -> Polyhedron:
        """The cone of convex sequences, `{x in R^n : 2 x_i <= x_{i-1} + x_{i+1}}`."""
        eye = np.eye(count("n", n))
        return cls(2 * eye[1:-1] - eye[:-2] - eye[2:])

    @classmethod
    def intersection(cls, *polyhedra: Polyhedron) -> Polyhedron:
        """The points that lie in all of the polyhedra, which have the same number n of features."""
        if len(sizes := {P.n for P in polyhedra}) != 1:
            raise InvalidInputError(f"expected polyhedra of one dimension n; found {sorted(sizes) or 'none'}")
        A, b, C, d, lower = (np.concatenate([getattr(P, v) for P in polyhedra]) for v in FIELDS)
        return cls(A, b, C, d, lower)

    @classmethod
    def product(cls, *polyhedra: Polyhedron) -> Polyhedron:
        """`{(x_1, x_2, ...) : x_k in P_k}`, the features one after the other."""
        if not polyhedra:
            raise InvalidInputError("expected at least one polyhedron; found none")
        A, C = (block_diagonal([getattr(P, v) for P in polyhedra]) for v in ("A", "C"))
        b, d, lower = (np.concatenate([getattr(P, v) for P in polyhedra]) for v in ("b", "d", "lower"))
        return cls(A, b, C, d, lower)

    @classmethod
    def from_scipy(cls, *constraints: LinearConstraint | Bounds, n: int | None = None) -> Polyhedron:
        """The points that satisfy all of SciPy's `LinearConstraint` and `Bounds` objects.

        `n` is needed where nothing else gives the number of features. Rows with `lb == ub` become
        equalities; `keep_feasible` is ignored.
        """
        from .conversions import from_scipy

        return from_scipy(*constraints, n=n)

    @classmethod
    def from_cvxpy(cls, constraints: Sequence, variables: Sequence | None = None) -> Polyhedron:
        """The points that satisfy a list of affine cvxpy constraints (`<=`, `>=`, `==`).

        The features are the entries of the variables one after the other, each in C order (cvxpy's
        own flattening is Fortran's): in the order of `variables`, by default of first appearance.
        `nonneg`, `nonpos` and `bounds` of a variable become rows. Parameters count with their values.

        Raises:
            InvalidInputError: a constraint is not affine (its text is quoted), a parameter has no
                value, a variable is missing or declared integer, symmetric, ...
        """
        from .conversions import from_cvxpy

        return from_cvxpy(constraints, variables)

    def describe(self) -> Analysis:
        """The analysis of the set; printed, it is a report of about a dozen lines. Needs SciPy."""
        from .analysis import analyse

        return analyse(self)

    def inequalities(self) -> tuple[np.ndarray, np.ndarray]:
        """`(G, h)`, (q, n) and (q,), with `{x : lower <= A x <= b} = {x : G x <= h}`: the finite bounds."""
        above, below = np.isfinite(self.b), np.isfinite(self.lower)
        return (
            np.concatenate([self.A[above], -self.A[below]]),
            np.concatenate([self.b[above], -self.lower[below]]),
        )

    @overload
    def residual(self, x: Tensor) -> Tensor: ...
    @overload
    def residual(self, x: Numbers) -> np.ndarray: ...
    def residual(self, x: ArrayLike) -> np.ndarray | Tensor:  # (*batch, n) -> (*batch, m + p)
        """By how much each row is exceeded, in float64: `max(A x - b, lower - A x)`, then `|C x - d|`.

        An inequality that holds with room to spare has a negative entry. A tensor gives a tensor on
        its own device, anything else an array. NaN in `x` gives NaN.
        """
        point = self._points(x)
        A, b, C, d, lower = (
            torch.tensor(v, device=point.device) for v in (self.A, self.b, self.C, self.d, self.lower)
        )
        product = point @ A.mT
        inequality = torch.maximum(product - b, lower - product)
        residual = torch.cat([inequality, (point @ C.mT - d).abs()], -1)
        return residual if isinstance(x, Tensor) else residual.numpy()

    @overload
    def violation(self, x: Tensor) -> Tensor: ...
    @overload
    def violation(self, x: Numbers) -> np.ndarray: ...
    def violation(self, x: ArrayLike) -> np.ndarray | Tensor:  # (*batch, n) -> (*batch,)
        """The largest amount by which a row is broken, in float64; 0 if none is, NaN for NaN in `x`."""
        residual = self.residual(self._points(x))
        floor = residual.new_zeros(*residual.shape[:-1], 1)
        worst = torch.cat([residual, floor], -1).amax(-1)
        return worst if isinstance(x, Tensor) else worst.numpy()

    @overload
    def contains(self, x: Tensor, tol: float = 0.0) -> Tensor: ...
    @overload
    def contains(self, x: Numbers, tol: float = 0.0) -> np.ndarray: ...
    def contains(self, x: ArrayLike, tol: float = 0.0) -> np.ndarray | Tensor:  # (*batch, n) -> (*batch,)
        """Whether each point's `violation` is at most `tol`; False for a point with NaN."""
        inside = self.violation(self._points(x)) <= tol
        return inside if isinstance(x, Tensor) else inside.numpy()

    def _points(self, x: ArrayLike) -> Tensor:
        """`x` as a float64 tensor of checked shape, on its own device."""
        tensor = x if isinstance(x, Tensor) else torch.from_numpy(np.array(x, dtype=np.float64))
        tensor = tensor if tensor.is_floating_point() else tensor.double()
        check_points(self, tensor)
        return tensor.double()


def check_points(polyhedron: Polyhedron, x: Tensor | np.ndarray, name: str = "x") -> None:
    """Raise `InvalidInputError` unless `x` has a real floating dtype and shape (*batch, n)."""
    check_features(polyhedron.n, x, name, f"A is {polyhedron.m}x{polyhedron.n}")


def check_features(size: int, x: Tensor | np.ndarray, name: str, why: str) -> None:
    """Raise `InvalidInputError` unless `x` has a real floating dtype and `size` entries last."""
    if x.ndim < 1 or x.shape[-1] != size:
        raise InvalidInputError(
            f"{name} must have shape (*batch, {size}) since {why}; found {tuple(x.shape)}"
        )
    floating = x.is_floating_point() if isinstance(x, Tensor) else np.issubdtype(x.dtype, np.floating)
    if not floating:
        raise InvalidInputError(
            f"{name} must have a real floating dtype; found {x.dtype}: convert it, e.g. with .float()"
        )
