"""How far a map moves points, certified; and how `refined` chooses its penalty and its number of steps.

Random points around the set, y; by weak duality, for every mu >= 0, the distance to `{A x <= b}` is at least

    (q mu) / ||A^T mu||,    q = A y - b,    and so at least max_i q_i / ||a_i||

The distance that a map moves a point, divided by this bound, is an upper bound on its distortion, the
factor by which it moves the point farther than the orthogonal projection would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..analysis import Analysis
from ._interior import unit_rows
from ._moves import Scaling, Shifting

POINTS = 24
SPREADS = (1.0, 4.0, 16.0)
"""Standard deviations of the points, as multiples of the median depth of the interior point."""
SEED = 190201785
RELAXATION = 1.9
"""Over-relaxation between 1.8 and 1.9 was the best on every family of sets tried, cones and polytopes."""
PENALTIES = 6
CHECKPOINTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100, 140, 200)


@dataclass(frozen=True)
class Rows:
    """Unit rows within the affine hull, `A x <= b`, and the target of a move, with its depths."""

    A: np.ndarray  # (m, n)
    b: np.ndarray  # (m,)
    target: np.ndarray  # (n,)
    depths: np.ndarray  # (m,)
    shifting: bool

    def move(self, x: np.ndarray) -> np.ndarray:  # (..., n) -> (..., n)
        """The point moved into the set by its level."""
        h = np.maximum(((x @ self.A.T - self.b) / self.depths).max(-1, keepdims=True), 0)
        return x + h * self.target if self.shifting else self.target + (x - self.target) / (1 + h)


def deep_rows(analysis: Analysis, shifting: bool) -> Rows:
    """The unit rows within the hull, with the deepest direction or the interior point as target."""
    A, b = unit_rows(analysis)
    across = A @ analysis.hull.Q.T  # constant on the hull, Q x = f
    A, b = A - across @ analysis.hull.Q, b - across @ analysis.hull.f
    target = analysis.direction if shifting else analysis.interior_point
    assert target is not None
    depths = (Shifting if shifting else Scaling).depths(A, b, target)
    return Rows(A, b, target, np.where(A.any(1), depths, 1.0), shifting)


@dataclass(frozen=True)
class Iteration:
    """`v <- q start + (1 - RELAXATION / 2) v + |v| factor`, `steps` times; the distortion it ends with."""

    start: np.ndarray  # (m, m)
    factor: np.ndarray  # (m, m)
    steps: int
    distortion: float


def sample_points(analysis: Analysis) -> np.ndarray:  # (groups, POINTS, n)
    """Seeded normal points: around the apex of a cone, nearer and farther around the centre of other sets."""
    hull, point = analysis.hull, analysis.interior_point
    cone = analysis.polyhedron.is_cone
    groups = np.random.default_rng(SEED).standard_normal((len(SPREADS), POINTS, len(point)))
    if not cone:
        G, h = analysis.inequalities.G, analysis.inequalities.h
        depth = float(np.median((h - G @ point) / analysis.norms)) if len(G) else 1.0
        groups = point + depth * np.reshape(SPREADS, (-1, 1, 1)) * groups
    groups = groups - (groups @ hull.Q.T - hull.f) @ hull.Q
    return groups.reshape(1, -1, len(point)) if cone else groups


def distance_bound(A: np.ndarray, q: np.ndarray, mu: np.ndarray) -> np.ndarray:  # (..., m), (..., m)
    """A lower bound on the distance of each point from the set."""
    tiny = np.finfo(float).tiny
    together = (q * mu).sum(-1) / np.maximum(np.linalg.norm(mu @ A, axis=-1), tiny)
    alone = (q / np.maximum(np.linalg.norm(A, axis=-1), tiny)).max(-1)  # one row's multiplier
    return np.maximum(together, alone)


def distortion(moved: np.ndarray, bound: np.ndarray) -> float:  # (groups, points), twice
    """The median of moved / bound over the points outside the set, the worst of the groups; 1 if none is."""
    outside = bound > 1e-9 * moved.max(initial=0)
    medians = [np.median(m[o] / b[o]) for m, b, o in zip(moved, bound, outside, strict=True) if o.any()]
    return float(max(medians, default=1.0))


def calibrate(rows: Rows, points: np.ndarray, rtol: float, steps: int | None) -> Iteration:
    """The penalty and the fewest steps with a distortion of at most `1 + rtol`.

    With `steps` given, the penalty that is best after so many.
    """
    candidates = list(_candidates(rows.A))
    q = points @ rows.A.T - rows.b
    starts = [q @ start for start, _ in candidates]
    best = Iteration(*candidates[0], 0, np.inf)
    states = [np.zeros_like(q) for _ in candidates]
    done = 0
    for k in CHECKPOINTS if steps is None else (steps,):
        for i, (start, factor) in enumerate(candidates):
            states[i] = _iterate(states[i], starts[i], factor, k - done)
            reached = _distortion(rows, points, q, np.maximum(states[i], 0))
            if reached < best.distortion:
                best = Iteration(start, factor, k, reached)
        done = k
        if best.distortion <= 1 + rtol:
            break
    return best


def _distortion(rows: Rows, points: np.ndarray, q: np.ndarray, mu: np.ndarray) -> float:
    """As `refined` moves them: no farther by the steps than by the move alone."""
    step = mu @ rows.A
    farthest = np.linalg.norm(rows.move(points) - points, axis=-1)
    length = np.linalg.norm(step, axis=-1)
    t = np.divide(farthest, length, out=np.ones_like(length), where=length > farthest)
    moved = np.linalg.norm(rows.move(points - t[..., None] * step) - points, axis=-1)
    return distortion(moved, distance_bound(rows.A, q, mu))


def _iterate(v: np.ndarray, start: np.ndarray, factor: np.ndarray, steps: int) -> np.ndarray:
    for _ in range(steps):
        v = start + (1 - RELAXATION / 2) * v + np.abs(v) @ factor
    return v


def _candidates(A: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`alpha M` and `alpha rho M - alpha / 2` for penalties rho across the spectrum of A A^T."""
    values, vectors = np.linalg.eigh(A @ A.T)
    positive = values[values > 1e-10 * values[-1]] if values[-1] > 0 else np.ones(1)
    low = max(positive[0], 1e-3 * positive[-1])
    for rho in np.geomspace(low, max(min(positive[-1], 2.0), low), PENALTIES):
        M = (vectors / (values + rho)) @ vectors.T
        yield RELAXATION * M, RELAXATION * rho * M - RELAXATION / 2 * np.eye(len(A))
