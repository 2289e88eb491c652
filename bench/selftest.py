"""`python -m bench selftest`: does the stopwatch tell the truth here and now?

    clock    busy loops of known length, 1 us to 100 ms: what the harness says of them, and its error
    alias    a method against itself: the interval of the ratio must contain 1, in 95 of 100 passes
    gate     a method made 30 % slower must be found by the rule of the regression gate, one made 5 %
             slower must not

The busy loop itself cannot end between two ticks, so its own clock says how long it was; the error is that of
the harness against it. All of it holds beside other work too, since what is compared is interleaved.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch

from .intervals import ratio_interval
from .timing import measure, timed

LENGTHS = (1e-6, 1e-5, 1e-3, 1e-1)
"""Seconds of the busy loops."""
LARGEST_ERROR = {1e-6: 0.5, 1e-5: 0.1, 1e-3: 0.02, 1e-1: 0.02}
"""What the harness may be off, as a share: a call in Python takes a tenth of a microsecond or two."""
WORK_SECONDS = 1e-4
"""Of the method that is compared with itself and with slower ones."""
TOLERANCE = 0.25
"""That of the regression gate: slower is what is beyond it with its whole interval."""
NEEDED = 0.95
"""The share of passes that must come out right."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, what was found, and whether that is as it should be."""

    name: str
    text: str
    holds: bool

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'FAILED':7} {self.name:22} {self.text}"


class Spin:
    """A busy loop of known length, which adds up how long it really was."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent: list[float] = []

    def __call__(self) -> None:
        """Until the time is over."""
        start = now = perf_counter()
        end = start + self.seconds
        while now < end:
            now = perf_counter()
        self.spent.append(now - start)


def clock(seconds: float, budget: float = 0.5) -> Finding:
    """What the harness says of a busy loop, against the loop's own clock in the calls that were timed."""
    spin = Spin(seconds)
    timing = measure({"spin": spin}, CPU, budget)["spin"]
    shape = len(timing.seconds), timing.ahead + timing.calls
    own = np.array(spin.spent[-shape[0] * shape[1] :]).reshape(shape)[:, timing.ahead :].mean(axis=1)
    said, true = float(np.median(timing.seconds)), float(np.median(own))
    error = said / true - 1
    text = f"harness {said * 1e6:.2f} us, loop {true * 1e6:.2f} us, error {error:+.2%}"
    return Finding(f"clock {seconds * 1e6:g} us", text, abs(error) <= LARGEST_ERROR[seconds])


def work(seconds: float) -> Callable[[float], Callable[[], None]]:
    """A fixed amount of computing that takes about so long, as a function of a factor to make it slower by.

    Unlike a busy loop on a clock it slows down beside other work, as methods do.
    """
    steps = 1000
    while (taken := timed(partial(_compute, steps), CPU)) < seconds:
        steps *= 2
    return lambda factor: partial(_compute, round(factor * steps * seconds / taken))


def _compute(steps: int) -> None:
    total = 0
    for step in range(steps):
        total += step


def ratios(factor: float, passes: int, budget: float) -> list[tuple[float, float, float]]:
    """Ratios with intervals of a method made slower by the factor to the method itself, one a pass."""
    made = work(WORK_SECONDS)
    calls = {"slower": made(factor), "plain": made(1.0)}
    found = []
    for _ in range(passes):
        timings = measure(calls, CPU, budget)
        found.append(ratio_interval(timings["slower"].seconds, timings["plain"].seconds))
    return found


def alias(passes: int = 100, budget: float = 0.05) -> Finding:
    """A method against itself under two names."""
    held = sum(low <= 1 <= high for _, low, high in ratios(1.0, passes, budget))
    text = f"1 is in {held} of {passes} intervals of a method against itself"
    return Finding("alias", text, held >= NEEDED * passes)


def gate(factor: float, passes: int = 20, budget: float = 0.2) -> Finding:
    """Whether a slower method is called slower by the rule of the gate, and another one is not."""
    found = ratios(factor, passes, budget)
    called = sum(low > 1 + TOLERANCE for _, low, _ in found)
    median = float(np.median([ratio for ratio, _, _ in found]))
    text = f"called slower in {called} of {passes} passes, median ratio {median:.3f}"
    holds = called >= NEEDED * passes if factor > 1 + TOLERANCE else called <= (1 - NEEDED) * passes
    return Finding(f"{factor - 1:.0%} slower", text, holds)


def selftest(passes: int = 100) -> Iterator[Finding]:
    """Every check, as each is done; `passes` is the number of those of a method against itself."""
    yield from map(clock, LENGTHS)
    yield alias(passes)
    yield from (gate(factor, max(1, passes // 5)) for factor in (1.30, 1.05))


def main(argv: Sequence[str] | None = None) -> int:
    """From the command line: 0 if everything holds, 1 if not; see `--help`."""
    parser = argparse.ArgumentParser(
        "python -m bench selftest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passes", type=int, default=100, help="of a method against itself (default: 100)")
    options = parser.parse_args(argv)
    if options.passes < 1:
        parser.error(f"--passes must be at least 1; found {options.passes}")
    holds = True
    for finding in selftest(options.passes):
        print(finding, flush=True)
        holds &= finding.holds
    return 0 if holds else 1
