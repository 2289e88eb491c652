"""Rational linear algebra for the ray engines: integer rows, ranks, null spaces, orthogonal parts.

A float64 number is a rational number, so a matrix of them is scaled row by row to integers without
any rounding. Ranks and null spaces are FLINT's (through python-flint).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np

from .errors import require

Vector = tuple[int, ...]
PRIMES = (2**61 - 1, 2**31 - 1, 2**19 - 1, 2**17 - 1)


def primitive(vector: Sequence[int]) -> Vector:
    """The integer vector divided by the greatest common divisor of its entries."""
    divisor = gcd(*vector) or 1
    return tuple(vector) if divisor == 1 else tuple(v // divisor for v in vector)


def integer_rows(matrix: np.ndarray) -> list[Vector]:  # (m, n)
    """Each row scaled by a positive rational to a primitive integer vector, without rounding."""
    rows = []
    for row in matrix:
        ratios = [value.as_integer_ratio() for value in row.tolist()]
        scale = max((denominator for _, denominator in ratios), default=1)
        rows.append(primitive([numerator * (scale // denominator) for numerator, denominator in ratios]))
    return rows


def dot(u: Sequence[int], v: Sequence[int]) -> int:
    """The exact inner product."""
    return sum(a * b for a, b in zip(u, v, strict=True) if a and b)


def to_unit(vectors: Sequence[Sequence[int]], n: int) -> np.ndarray:  # (k, n)
    """Integer vectors as float64 rows of unit norm; entries of any size, no vector of zeros."""
    try:
        array = np.array(vectors, dtype=np.float64).reshape(len(vectors), n)
    except OverflowError:  # an entry beyond the largest float
        rows = [[v / top for v in vector] for vector in vectors if (top := max(map(abs, vector)))]
        array = np.array(rows, dtype=np.float64).reshape(len(rows), n)
    _, exponents = np.frexp(np.abs(array).max(1, initial=0.0, keepdims=True))
    array = np.ldexp(array, -exponents)  # so that no square overflows
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def to_float(points: Sequence[Sequence[Fraction]], n: int) -> np.ndarray:  # (k, n)
    """Rational points as float64 rows, each entry correctly rounded."""
    return np.array([[float(v) for v in point] for point in points], dtype=np.float64).reshape(-1, n)


def _matrix(rows: Sequence[Sequence[int]], n: int) -> Any:
    require("flint", "rays")
    import flint

    return flint.fmpz_mat(len(rows), n, [v for row in rows for v in row])


def rank(rows: Sequence[Sequence[int]], n: int) -> int:
    """The rank over the rationals."""
    return _matrix(rows, n).rank() if rows else 0


def null_space(rows: Sequence[Sequence[int]], n: int) -> list[Vector]:
    """A basis of `{x : rows x = 0}`: the reduced echelon form's, as primitive integer vectors."""
    if not rows:
        return [tuple(int(i == j) for j in range(n)) for i in range(n)]
    basis, nullity = _matrix(rows, n).nullspace()
    columns = basis.transpose().tolist()[:nullity]
    return sorted(primitive([int(v) for v in column]) for column in columns)


def independent_rows(rows: Sequence[Vector], n: int) -> list[int]:
    """Indices of a maximal linearly independent selection of the rows, first come first kept.

    Elimination runs modulo a prime, where independence implies independence over the rationals; the
    rank over the integers says whether the selection is maximal, otherwise the next prime is tried.
    """
    if not rows:
        return []
    import flint

    size, primes = rank(rows, n), iter(PRIMES)
    while True:
        prime = next(primes)
        transposed = flint.nmod_mat(n, len(rows), [row[j] % prime for j in range(n) for row in rows], prime)
        reduced, found = transposed.rref()
        if found == size:
            table = reduced.tolist()
            return [next(j for j, v in enumerate(line) if int(v)) for line in table[:size]]


def orthogonal_part(
    vectors: Sequence[Sequence[int]],  # k vectors
    row_space: Sequence[Vector],  # r linearly independent rows B
    n: int,
) -> list[Vector]:
    """The directions of the orthogonal projections `B^T (B B^T)^-1 B x` onto the row space of `B`."""
    if not vectors or not row_space:
        return [(0,) * n for _ in vectors]
    import flint

    B, X = _matrix(row_space, n), _matrix(vectors, n)
    numerator, _ = flint.fmpq_mat((B * B.transpose()).solve(B * X.transpose())).numer_denom()  # _ > 0
    table = (B.transpose() * numerator).transpose().tolist()
    return [primitive([int(v) for v in row]) for row in table]


def combine(coefficients: Sequence[int], rows: Sequence[Vector], n: int) -> Vector:
    """The primitive integer vector along `sum_i coefficients_i rows_i`."""
    pairs = [(c, row) for c, row in zip(coefficients, rows, strict=True) if c]
    return primitive([sum(c * row[j] for c, row in pairs) for j in range(n)])


def product(vectors: Sequence[Sequence[int]], rows: Sequence[Vector], n: int) -> list[list[int]]:
    """The inner products of each of k vectors with each of m rows, (k, m)."""
    if not vectors or not rows:
        return [[] for _ in vectors]
    table = (_matrix(vectors, n) * _matrix(rows, n).transpose()).tolist()
    return [[int(v) for v in line] for line in table]
