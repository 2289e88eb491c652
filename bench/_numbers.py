"""Numbers as text, the same in figures, tables and sentences: three significant digits, a dash for none."""

from __future__ import annotations

import math

NONE = "–"


def number(value: float | None) -> str:
    """Three significant digits; from 1000 on, whole. A value that is missing is a dash."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if abs(value) >= 999.5:
        return f"{value:.0f}"
    return f"{value:.2e}" if abs(value) < 1e-3 else f"{value:#.3g}".rstrip(".")


def count(value: float | None) -> str:
    """A whole number."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.0f}"


def times(value: float | None) -> str:
    """A ratio: whole from 10 on, two decimals from 1 on, two significant digits below."""
    if value is None or not math.isfinite(value):
        return NONE
    if value >= 0.995:
        return f"{value:.0f}" if value >= 9.995 else f"{value:.2f}"
    return f"{value:#.2g}".rstrip(".")


def error(value: float | None) -> str:
    """A rounding error: one digit and its power of ten; 0 is exact, and so is a violation below 0."""
    if value is None or not math.isfinite(value):
        return NONE
    return "0" if value <= 0 else f"{value:.1e}"


def share(value: float | None) -> str:
    """A share in percent; never rounded to 0 % or 100 % when it is neither."""
    if value is None or not math.isfinite(value):
        return NONE
    percent = 100 * value
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.3g} %"


def interval(value: float | None, low: float | None, high: float | None, text=times) -> str:
    """A value with its interval, "12 [11, 13]"; without the interval where an end is missing."""
    ends = [text(low), text(high)]
    return text(value) if NONE in ends or text(value) == NONE else f"{text(value)} [{', '.join(ends)}]"


def speedup(ratio: float | None, other: str) -> str:
    """A ratio in words: "12 times faster than osqp", "2.0 times slower than daqp"."""
    if ratio is None or not 0 < ratio < math.inf:
        return f"not comparable with {other}"
    if ratio >= 1:
        return f"{times(ratio)} times faster than {other}"
    return f"{times(1 / ratio)} times slower than {other}"
