"""Why a set is empty: multipliers that add the user's own rows up to a contradiction.

    u, v >= 0,   u A - v A + w C = 0,   u b - v lower + w d = -1      (Farkas; Schrijver, cor. 7.1e)

so that every x of the set would have `0 x <= -1`. The multipliers come from a linear program in
floating point; on their support the same equations are then solved in rational arithmetic, the
entries of the rows being taken as the rational numbers that they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

from ..exact import integer_rows, null_space
from ..polyhedron import Polyhedron
from ._programs import largest_margin
from ._rows import nonzero, one_sided, unit

LABELS = {"b": "row", "lower": "lower bound of row", "equality": "equality"}
SHOWN = 8
EXACT_SIZE = 100_000  # multipliers times features; beyond it the residual is stated in float64


class Term(NamedTuple):
    """`weight` times row `row` of A (kind "b" or "lower") or of C (kind "equality")."""

    kind: str
    row: int
    weight: Fraction


@dataclass(frozen=True)
class Farkas:
    """Multipliers as above, `u (m,)`, `v (m,)` and `w (p,)` in float64, the same as fractions in `terms`.

    Attributes:
        exact: whether the multipliers in `terms` satisfy everything in rational arithmetic.
        residual: the largest entry of `|u A - v A + w C|`, 0 if exact. With a residual the
            certificate says that no point has `|x_1| + ... + |x_n| < 1 / residual`.
    """

    u: np.ndarray = field(repr=False)
    v: np.ndarray = field(repr=False)
    w: np.ndarray = field(repr=False)
    terms: tuple[Term, ...]
    exact: bool
    residual: float

    def check(self, polyhedron: Polyhedron) -> bool:
        """Whether `terms` prove that the set is empty, computed in rational arithmetic."""
        total, value = _combined(polyhedron, self.terms)
        return _signs(self.terms) and not any(total) and value < 0

    def __str__(self) -> str:
        shown = [f"{float(t.weight):+.4g} x {LABELS[t.kind]} {t.row}" for t in self.terms[:SHOWN]]
        more = len(self.terms) - SHOWN
        text = " ".join(shown).replace("+", "+ ").replace(" -", " - ").removeprefix("+ ")
        text += f" and {more} more" if more > 0 else ""
        if self.exact:
            return f"{text} gives 0 <= -1 (checked in exact arithmetic)"
        return (
            f"{text} gives r x <= -1 with all |r_j| <= {self.residual:.1e}, "
            f"so no point has |x_1| + ... + |x_n| < {1 / self.residual:.1e}"
        )


def certificate(polyhedron: Polyhedron) -> Farkas | None:
    """A certificate for an empty set; None where floating point finds no contradiction."""
    best = None
    for terms in _candidates(polyhedron):
        found = _certified(polyhedron, terms)
        if found is not None and (best is None or found.residual < best.residual):
            best = found
        if best is not None and best.exact:
            break
    return best


def _candidates(polyhedron: Polyhedron):
    """Multipliers in floating point, for several ideas of what a right-hand side of size 1 is."""
    labels, G, h = _stacked(polyhedron)
    zero = ~nonzero(G)
    for i in np.flatnonzero(zero & (h < 0)):
        yield [Term(labels[i][0], labels[i][1], Fraction(1))]
    chosen = np.flatnonzero(~zero)
    F, r, norm = unit(G[chosen], h[chosen])
    sizes = np.abs(r[r != 0])
    for scale in dict.fromkeys(float(f(sizes)) for f in (np.max, np.median, np.min) if len(sizes)):
        weights = largest_margin(F, np.clip(r / scale, -1e7, 1e7)).multipliers
        support = np.flatnonzero(weights > 1e-9 * weights.max(initial=0.0))
        named = [
            (*labels[chosen[i]], Fraction(float(weights[i])) / Fraction(float(norm[i]))) for i in support
        ]
        yield [Term(kind, row, weight) for kind, row, weight in named]


def _stacked(polyhedron: Polyhedron) -> tuple[list[tuple[str, int]], np.ndarray, np.ndarray]:
    """Every row as `G x <= h`, an equality as two, with `(kind, row)`; the second of a pair is `~row`."""
    rows, C, d = one_sided(polyhedron), polyhedron.C, polyhedron.d
    labels = [("b" if side > 0 else "lower", i) for i, side in rows.pairs()]
    labels += [("equality", i) for i in range(len(C))] + [("equality", ~i) for i in range(len(C))]
    return labels, np.concatenate([rows.G, C, -C]), np.concatenate([rows.h, d, -d])


def _certified(polyhedron: Polyhedron, terms: Sequence[Term]) -> Farkas | None:
    """The terms made exact if possible and scaled to the value -1; None if they contradict nothing."""
    terms = [t if t.row >= 0 else Term(t.kind, ~t.row, -t.weight) for t in terms]
    small = len(terms) * polyhedron.n <= EXACT_SIZE
    solved = _solved(polyhedron, terms) if small and find_spec("flint") else None
    terms = terms if solved is None else solved
    total, value = _combined(polyhedron, terms) if small else _summed(polyhedron, terms)
    if value >= 0 or not _signs(terms):
        return None
    scaled = tuple(Term(t.kind, t.row, t.weight / -Fraction(value)) for t in terms if t.weight)
    residual = float(max(map(abs, total), default=0) / -value)
    u, v, w = (np.zeros(size) for size in (polyhedron.m, polyhedron.m, polyhedron.p))
    for t in scaled:
        {"b": u, "lower": v, "equality": w}[t.kind][t.row] += float(t.weight)
    return Farkas(u, v, w, scaled, exact=small and not any(total), residual=residual)


def _row(polyhedron: Polyhedron, term: Term) -> tuple[np.ndarray, float]:
    """The row `g x <= h` that the weight of a term multiplies."""
    if term.kind == "equality":
        return polyhedron.C[term.row], float(polyhedron.d[term.row])
    sign, bound = (1, polyhedron.b) if term.kind == "b" else (-1, polyhedron.lower)
    return sign * polyhedron.A[term.row], float(sign * bound[term.row])


def _signs(terms: Sequence[Term]) -> bool:
    return all(t.weight >= 0 or t.kind == "equality" for t in terms)


def _combined(polyhedron: Polyhedron, terms: Sequence[Term]) -> tuple[list[Fraction], Fraction]:
    """`(sum weight g, sum weight h)`, exactly."""
    total, value = [Fraction(0)] * polyhedron.n, Fraction(0)
    for term in terms:
        g, h = _row(polyhedron, term)
        value += term.weight * Fraction(h)
        for j in np.flatnonzero(g):
            total[j] += term.weight * Fraction(float(g[j]))
    return total, value


def _summed(polyhedron: Polyhedron, terms: Sequence[Term]) -> tuple[list[float], float]:
    """The same in float64."""
    weights = np.array([float(t.weight) for t in terms])
    rows = [_row(polyhedron, term) for term in terms]
    return list(weights @ np.array([g for g, _ in rows])), float(weights @ np.array([h for _, h in rows]))


def _solved(polyhedron: Polyhedron, terms: Sequence[Term]) -> list[Term] | None:
    """The multipliers on the same support that add the rows up to 0 exactly, near the given ones."""
    rows = [np.append(g, h) for g, h in (_row(polyhedron, term) for term in terms)]
    whole = integer_rows(np.array(rows))
    ratios = [_ratio(integers, row) for integers, row in zip(whole, rows, strict=True)]
    given = [term.weight / ratio for term, ratio in zip(terms, ratios, strict=True)]
    basis = null_space([tuple(column) for column in zip(*whole, strict=True)][:-1], len(rows))
    if not basis:
        return None
    values = _nearest([[Fraction(v, max(map(abs, b))) for v in b] for b in basis], given)
    return [Term(t.kind, t.row, v * ratio) for t, v, ratio in zip(terms, values, ratios, strict=True)]


def _ratio(integers: Sequence[int], row: np.ndarray) -> Fraction:
    """By what an integer row is a multiple of the user's."""
    j = int(np.flatnonzero(row)[0])
    return integers[j] / Fraction(float(row[j]))


def _nearest(basis: Sequence[Sequence[Fraction]], given: Sequence[Fraction]) -> list[Fraction]:
    """The combination of the basis nearest to `given`, with short rational coefficients."""
    top = max(map(abs, given))
    target = np.array([float(v / top) for v in given])
    table = np.array([[float(v) for v in row] for row in basis])
    weights = np.linalg.lstsq(table.T, target, rcond=None)[0]
    short = [Fraction(float(v)).limit_denominator(10**9) for v in weights / np.abs(weights).max()]
    return [
        sum((c * row[j] for c, row in zip(short, basis, strict=True)), Fraction(0)) for j in range(len(given))
    ]
