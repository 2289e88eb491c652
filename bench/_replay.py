"""Hands measured rounds to pytest-benchmark: a clock that advances by what was measured.

pytest-benchmark times one function after the other and cannot interleave them, so the rounds come
from `bench/timing.py`; replaying them under this clock puts exactly those numbers into its table,
its JSON and its comparisons.
"""

from __future__ import annotations


class Replay:
    """`clock` is the timer and `play` the function under test."""

    def __init__(self) -> None:
        self._now, self._rounds = 0.0, iter(())

    def load(self, seconds: list[float]) -> int:
        """Take the rounds to play next; returns how many."""
        self._rounds = iter(seconds)
        return len(seconds)

    def clock(self) -> float:
        """The time on this clock."""
        return self._now

    def play(self) -> None:
        """Advance the clock by one measured round."""
        self._now += next(self._rounds)


REPLAY = Replay()
