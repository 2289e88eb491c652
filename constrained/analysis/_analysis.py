"""The analysis of a set: each property is computed when it is first asked for, and once.

Decisions are made in float64 to a relative tolerance of about 1e-9: bounds closer than that count as
equal, a set whose rows contradict each other by less counts as not empty. Every row is measured at
unit norm, so its scale does not matter. No property changes the set.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from ..errors import InfeasibleError
from ..polyhedron import Polyhedron
from . import _structure
from ._decide import Decision, centre_of, decide, direction_of
from ._distance import shortest
from ._farkas import Farkas, certificate
from ._redundancy import redundant
from ._rows import Hull, Inequalities, unit


class Analysis:
    """What is known of the polyhedron `{x : lower <= A x <= b, C x = d}`; see each property.

    Asking an empty set for anything but its rows raises `InfeasibleError`.
    """

    def __init__(self, polyhedron: Polyhedron) -> None:
        self.polyhedron = polyhedron

    def __repr__(self) -> str:
        return f"Analysis({self.polyhedron})"

    def __str__(self) -> str:
        from ._report import report

        return report(self)

    @cached_property
    def _found(self) -> Decision | None:
        return decide(self.polyhedron)

    @property
    def _decision(self) -> Decision:
        self.check_not_empty()
        assert self._found is not None
        return self._found

    @property
    def is_empty(self) -> bool:
        """Whether the set has no point."""
        return self._found is None

    @cached_property
    def certificate(self) -> Farkas | None:
        """Why the set is empty, for the user's own rows; None if it is not."""
        return certificate(self.polyhedron) if self.is_empty else None

    def check_not_empty(self) -> None:
        """Raise `InfeasibleError`, with the certificate in its text, if the set is empty."""
        if self.is_empty:
            why = self.certificate or "its rows contradict each other by about the rounding error"
            raise InfeasibleError(f"{self.polyhedron} is empty: {why}; relax b, lower or d")

    @property
    def inequalities(self) -> Inequalities:
        """The rows `G x <= h` that the set satisfies strictly somewhere and its hull does not everywhere.

        One-sided, finite, in the user's scale; no zero rows, implicit equalities or rows constant on
        the hull.
        """
        return self._decision.reduced.rows

    @cached_property
    def norms(self) -> np.ndarray:  # (q,)
        """Euclidean norms of the rows of `inequalities`."""
        return unit(self.inequalities.G, self.inequalities.h)[2]

    @property
    def hull(self) -> Hull:
        """The affine hull `{x : Q x = f}`: C, d and the implicit equalities; rows of Q orthonormal."""
        return self._decision.reduced.hull

    @property
    def implicit(self) -> tuple[tuple[int, int], ...]:
        """`(row, side)` of the inequalities that hold with equality at every point; side +1 b, -1 lower."""
        return tuple(sorted(self._decision.reduced.on_hull.pairs()))

    @property
    def dimension(self) -> int:
        """Dimension of the affine hull, `n - r`."""
        return self.polyhedron.n - len(self.hull.f)

    @cached_property
    def direction(self) -> np.ndarray | None:  # (n,)
        """The deepest direction, the shortest e with `Q e = 0` and `g_i e <= -|g_i|` for all rows, or None.

        None if no e has `G e < 0` by more than rounding; no rows give e = 0. Every point moves into
        the set along e, by `max_i (g_i x - h_i) / |g_i|` at most.
        """
        decision = self._decision
        return decision.direction if decision.sought else direction_of(decision.reduced)

    @cached_property
    def interior_point(self) -> np.ndarray:  # (n,)
        """A point c of the set, deep inside all its inequalities.

        The margin of c is `min_i (h_i - g_i c) / |g_i|`. If it can be arbitrarily large (there is a
        `direction`), c is the shortest point whose margin is the median distance of the hull's
        point nearest to the origin to the rows' hyperplanes; 1 if those distances are all 0 (a
        cone: c is the direction). Otherwise c is the analytic centre of the set shrunk by about
        half of its largest margin: see `_centre.py` for why not the point of largest margin.
        """
        reduced = self._decision.reduced
        if not len(reduced.r):
            return reduced.x0
        y = self._central() if self.direction is None else self._shifted(self.direction)
        return reduced.x0 + y - reduced.hull.Q.T @ (reduced.hull.Q @ y)

    def _central(self) -> np.ndarray:
        decision = self._decision
        if decision.sought:
            return decision.y
        y = centre_of(decision.reduced)
        return decision.y if y is None else y

    def _shifted(self, e: np.ndarray) -> np.ndarray:
        F, r = self._decision.reduced.F, self._decision.reduced.r
        if not r.any():
            return e
        bound = r - float(np.median(np.abs(r[r != 0])))
        y = shortest(F, bound)
        y = np.zeros(len(e)) if y is None else y
        return y + max(0.0, float((F @ y - bound).max())) * e

    @cached_property
    def margin(self) -> float:
        """`min_i (h_i - g_i c) / |g_i|` of the interior point c; inf without rows."""
        G, h, _ = unit(self.inequalities.G, self.inequalities.h)
        return float((h - G @ self.interior_point).min(initial=np.inf))

    @cached_property
    def is_bounded(self) -> bool:
        """Whether the set lies in some ball: whether its recession cone is the origin alone."""
        reduced = self._decision.reduced
        if self.lineality_dim or (self.direction is not None and self.dimension):
            return False
        return _structure.held(reduced) or not _structure.has_proper_recession(reduced.F)

    @property
    def recession(self) -> Polyhedron:
        """The recession cone: finite bounds and d become 0. For a set that is not empty, its directions."""
        P = self.polyhedron
        b, lower = (np.where(np.isfinite(bound), 0.0, bound) for bound in (P.b, P.lower))
        return Polyhedron(P.A, b, P.C, 0.0, lower)

    @cached_property
    def redundant(self) -> tuple[tuple[int, int], ...]:
        """`(row, side)` of inequalities that can be left out, all at once, without changing the set.

        Implicit equalities are not among them. Of equal rows the first is kept. One linear program
        for each row that a cheaper test leaves open.
        """
        return redundant(self)

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, int]:
        return _structure.spectrum(self.polyhedron)

    @property
    def rank(self) -> int:
        """Rank of the rows of A that have a finite bound together with those of C."""
        return int((self._spectrum[0] > 0).sum())

    @property
    def condition(self) -> float:
        """Condition number of those rows at unit norm; inf if they are dependent, 1 without rows."""
        size, count = self._spectrum
        if not count:
            return 1.0
        return float(size[0] / size[-1]) if len(size) == count and size[-1] > 0 else np.inf

    @property
    def lineality_dim(self) -> int:
        """Dimension of the lineality space, `n - rank`."""
        return self.polyhedron.n - self.rank

    @cached_property
    def lineality(self) -> np.ndarray:  # (l, n)
        """Orthonormal basis of the directions along which every row is constant."""
        return _structure.lineality(self.polyhedron, self.rank)

    @cached_property
    def blocks(self) -> tuple[np.ndarray, ...]:
        """Feature indices of the independent blocks, in order of their first feature.

        Features in one row (of A with a finite bound, or of C) are in one block; features in no row
        are a block together.
        """
        return _structure.blocks(self.polyhedron)

    @cached_property
    def orthogonal_rows(self) -> bool:
        """Whether those rows are pairwise orthogonal: `|a_i a_j| <= n eps |a_i| |a_j|`."""
        return _structure.orthogonal(self.polyhedron)


@lru_cache(maxsize=16)
def analyse(polyhedron: Polyhedron) -> Analysis:
    """The analysis of a set; nothing is computed until it is asked for. The last few are kept."""
    return Analysis(polyhedron)
