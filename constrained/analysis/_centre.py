"""A deep and central point of `{y : F y <= r}` by a primal-dual interior-point method.

The largest margin is the linear program `max s : F y + s <= r`. Its central path,

    (y, s)(mu) = argmin  -s - mu sum_i log(r_i - f_i y - s),

is at every mu the analytic centre of the set shrunk by s(mu), and `s* - s(mu) <= q mu`. It is followed
until that gap is at most s, so the point keeps at least half of the largest margin s*, and left
there: the maximiser of the margin itself is often an extreme and far from unique point (a cube in a
corner of a long box), while the analytic centre is in the middle of every direction, which is what
keeps a scaling towards it from distorting. Steps: Mehrotra 1992, here from an interior start. Each
Newton matrix has `mu / R^2` added, R = max r, so that in an unbounded set the point goes out by some R only.

Cost: O(q k^2 + k^3) a step with k = min(q, n), some 10 to 25 steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MAX_STEPS = 60
CENTRING_STEPS = 20
NO_DIGITS = 1e-13


def central_point(F: np.ndarray, r: np.ndarray) -> np.ndarray:  # (q, n), (q,) -> (n,)
    """A point with at least about half of the largest margin; the caller checks that it is positive.

    Needs q >= 1 rows and r >= 0: the origin is a point of the set, and best one near the middle.
    """
    scale = float(r.max()) or 1.0
    rows, basis = _coordinates(F)
    # A last row `s <= 2` only keeps the program bounded when the margin is unbounded after all.
    rows, bound = np.concatenate([rows, np.zeros((1, rows.shape[1]))]), np.append(r / scale, 2.0)
    state = _follow(rows, bound)
    y = (_centred(rows, state) if state.s > 0 else state).y
    return scale * (y if basis is None else basis @ y)


def _coordinates(F: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """With fewer rows than features only their span matters: `F = rows basis'`, rows (q, q)."""
    if len(F) >= F.shape[1]:
        return F, None
    basis, upper = np.linalg.qr(F.T)
    return upper.T, basis


class _State(NamedTuple):
    y: np.ndarray  # (k,)
    s: float
    w: np.ndarray  # (q,) slacks r - F y - s, > 0
    lam: np.ndarray  # (q,) multipliers, > 0

    def moved(self, step: _Step) -> _State:
        """As far along as both stay positive."""
        primal, dual = _length(self.w, step.w), _length(self.lam, step.lam)
        return _State(
            self.y + primal * step.y,
            self.s + primal * step.s,
            self.w + primal * step.w,
            self.lam + dual * step.lam,
        )


class _Step(NamedTuple):
    y: np.ndarray
    s: float
    w: np.ndarray
    lam: np.ndarray


def _follow(F: np.ndarray, r: np.ndarray) -> _State:
    """Along the central path until the gap is at most s, or has no digits left."""
    s = float(r.min()) - 1.0
    state = _State(np.zeros(F.shape[1]), s, r - s, np.full(len(F), 1 / len(F)))
    for _ in range(MAX_STEPS):
        gap = float(state.w @ state.lam)
        if gap + _error(F, state) <= state.s or gap <= NO_DIGITS:
            break
        state = _predicted(F, state, gap / len(F))
    return state


def _error(F: np.ndarray, state: _State) -> float:
    """By about how much the gap is off while the multipliers are: `|F' lam|` times the size of the set."""
    size = 1 + 10 * float(np.linalg.norm(state.y))
    return size * float(np.linalg.norm(state.lam @ F)) + abs(float(state.lam.sum()) - 1)


def _predicted(F: np.ndarray, state: _State, mu: float) -> _State:
    """A predictor and a corrector; the correction is bounded, or it throws a short step far off."""
    newton = _Newton(F, state, mu)
    aside = newton.step(np.zeros(len(F)))
    primal, dual = _length(state.w, aside.w), _length(state.lam, aside.lam)
    target = mu * max(1 - min(primal, dual), 1e-3) ** 2
    return state.moved(newton.step(target - np.clip(primal * dual * aside.w * aside.lam, -target, target)))


def _centred(F: np.ndarray, state: _State) -> _State:
    """Newton steps at a fixed mu, onto the path."""
    mu = float(state.w @ state.lam) / len(F)
    for _ in range(CENTRING_STEPS):
        step = _Newton(F, state, mu).step(np.full(len(F), mu))
        state = state.moved(step)
        if np.abs(step.w / state.w).max() < 1e-3:
            break
    return state


class _Newton:
    """Directions of `F' lam = 0, 1' lam = 1, lam w = target`, with D = lam / w.

    (F' D F + mu I) dy + F' D 1 ds = -F' (target / w),    1' D (F dy + ds) = 1 - 1' (target / w)
    """

    def __init__(self, F: np.ndarray, state: _State, mu: float) -> None:
        self.F, self.state, self.D = F, state, state.lam / state.w
        k = F.shape[1]
        M = np.sqrt(self.D)[:, None] * np.column_stack([F, np.ones(len(F))])
        H = M.T @ M
        H[np.arange(k), np.arange(k)] += mu
        self.factor = _factor(H)

    def step(self, target: np.ndarray) -> _Step:
        """The direction towards products `lam w` of `target`, (q,)."""
        from scipy.linalg import cho_solve

        aim = target / self.state.w
        move = cho_solve(self.factor, np.append(-aim @ self.F, 1 - aim.sum()), check_finite=False)
        dw = -self.F @ move[:-1] - move[-1]
        return _Step(move[:-1], float(move[-1]), dw, aim - self.state.lam - self.D * dw)


def _factor(H: np.ndarray) -> tuple[np.ndarray, bool]:
    """Cholesky's, of H with its diagonal raised by as little as makes it succeed."""
    from scipy.linalg import LinAlgError, cho_factor

    diagonal = np.diag(H).copy()
    for raised in (1e-14, 1e-11, 1e-8, 1e-5):
        np.fill_diagonal(H, diagonal * (1 + raised))
        try:
            return cho_factor(H, check_finite=False)
        except LinAlgError:
            continue
    return cho_factor(np.diag(diagonal), check_finite=False)


def _length(value: np.ndarray, change: np.ndarray) -> float:
    """The largest step up to 1 that keeps 1/200 of every entry."""
    falling = change < 0
    return float(min(1.0, 0.995 * (-value[falling] / change[falling]).min(initial=np.inf)))
