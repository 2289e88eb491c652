"""Extreme rays by trying every subset of rows, in fractions; imports nothing of ours."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import gcd, lcm

Row = list[Fraction]


def reduced(rows: list[Row]) -> tuple[list[Row], list[int]]:
    """Reduced row echelon form and its pivot columns."""
    rows, pivots = [row[:] for row in rows], []
    for column in range(len(rows[0]) if rows else 0):
        lead = len(pivots)
        found = next((i for i in range(lead, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[lead], rows[found] = rows[found], rows[lead]
        rows[lead] = [v / rows[lead][column] for v in rows[lead]]
        for i, row in enumerate(rows):
            if i != lead and row[column]:
                rows[i] = [v - row[column] * w for v, w in zip(row, rows[lead], strict=True)]
        pivots.append(column)
    return rows[: len(pivots)], pivots


def kernel(rows: list[Row], n: int) -> list[Row]:
    """A basis of the null space."""
    echelon, pivots = reduced(rows)
    basis = []
    for free in (j for j in range(n) if j not in pivots):
        vector = [Fraction(int(j == free)) for j in range(n)]
        for row, pivot in zip(echelon, pivots, strict=True):
            vector[pivot] = -row[free]
        basis.append(vector)
    return basis


def primitive(vector: Row) -> tuple[int, ...]:
    scale = lcm(*(v.denominator for v in vector))
    whole = [int(v * scale) for v in vector]
    divisor = gcd(*whole)
    return tuple(v // divisor for v in whole)


def extreme_rays(A: list[list[int]], n: int) -> tuple[set[tuple[int, ...]], int]:
    """(extreme rays orthogonal to the lineality space, dimension of that space) of `{A x <= 0}`."""
    rows = [[Fraction(v) for v in row] for row in A]
    lines = kernel(rows, n)
    rays = set()
    for subset in combinations(rows, n - len(lines) - 1) if len(lines) < n else []:
        solution = kernel([*subset, *lines], n)
        if len(solution) != 1:
            continue
        for sign in (1, -1):
            ray = [sign * v for v in solution[0]]
            if all(sum(a * v for a, v in zip(row, ray, strict=True)) <= 0 for row in rows):
                rays.add(primitive(ray))
    return rays, len(lines)
