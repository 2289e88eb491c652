"""Hands measured rounds to pytest-benchmark: a clock that advances by what was measured.

pytest-benchmark times one function after the other and cannot interleave them, so the rounds come
from `bench/timing.py`; replaying them under this clock puts exactly those numbers into its table,
its JSON and its comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .intervals import median_interval, ratio_interval


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


def replay(row: dict[str, Any], references: Mapping[str, dict[str, Any] | None], benchmark: Any) -> None:
    """Hand a row to pytest-benchmark, with its speed-up over each reference; without times, skip or xfail."""
    if row["status"] in ("failed", "crashed"):
        pytest.xfail(f"{row['method']}: {row['reason']}")
    if row["status"] != "ok":
        pytest.skip(f"{row['method']}: {row['status']}: {row['reason']}")
    benchmark.group = f"{row['table']} {row['cell']} {row['device']}"
    benchmark.extra_info.update({k: v for k, v in row.items() if not isinstance(v, list)})
    benchmark.extra_info["median_interval"] = list(median_interval(row["seconds"]))
    for name, other in references.items():
        if other is not None and other["status"] == "ok":
            ratio, low, high = ratio_interval(other["seconds"], row["seconds"])
            benchmark.extra_info[f"speedup_{name}"] = [low, ratio, high]
    benchmark.pedantic(REPLAY.play, rounds=REPLAY.load(row["seconds"]), iterations=1)
