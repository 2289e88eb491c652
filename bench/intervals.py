"""How certain: confidence intervals of medians and of their ratios, by the bootstrap.

    pairs       both lists of rounds cut into the same number of consecutive blocks, ratios of block medians
    ratio       the median of the pairs
    interval    percentile bootstrap over the pairs, made wider for few of them

The rounds of two methods are spread evenly over the same stretch of time (`bench/timing.py`), so blocks at
the same place are pairs that met the same machine: a common drift cancels. With few pairs the percentiles of
resamples are too narrow, of three they cannot reach 95 %; so the ends of the interval are moved outwards, in
the logarithm, by `sqrt(k / (k - 1)) t_{k-1} / z` (after Hesterberg, What teachers should know about the
bootstrap, 2015, who widens the percentiles by the same factor).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

BLOCKS = 20
"""Pairs that a ratio rests on, at most: rounds next to each other are not independent."""
CAUTION = 1.25
"""Intervals are wider by this factor: blocks next to each other share states of the machine too. Without it a
method against itself, beside other work on two cores, is covered in about 92 of 100 passes instead of 95."""


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], level: float = 0.95, resamples: int = 1000
) -> tuple[float, float, float]:
    """(ratio of the medians of rounds near in time, lower, upper).

    Args:
        numerator: seconds of each round of one method, in their order.
        denominator: those of another method of the same interleaved pass; the counts may differ.
        level: the confidence of the interval; that of a single round is the ratio itself.
        resamples: of the bootstrap, from a fixed seed.
    """
    count = min(len(numerator), len(denominator), BLOCKS)
    ratios = _block_medians(numerator, count) / _block_medians(denominator, count)
    return _median_interval(ratios, level, resamples)


def median_interval(
    seconds: Sequence[float], level: float = 0.95, resamples: int = 1000
) -> tuple[float, float, float]:
    """(median, lower, upper) of the rounds of one method; see `ratio_interval`."""
    return _median_interval(_block_medians(seconds, min(len(seconds), BLOCKS)), level, resamples)


def _block_medians(values: Sequence[float], count: int) -> np.ndarray:  # (count,)
    """The medians of so many consecutive blocks, as equal in length as can be."""
    edges = np.linspace(0, len(values), count + 1).round().astype(int)
    return np.array([np.median(values[start:end]) for start, end in zip(edges, edges[1:], strict=False)])


def _median_interval(values: np.ndarray, level: float, resamples: int) -> tuple[float, float, float]:
    count, median = len(values), float(np.median(values))
    if count == 1:
        return median, median, median
    drawn = np.random.default_rng(0).integers(0, count, (resamples, count))
    ends = np.quantile(np.median(values[drawn], axis=1), [(1 - level) / 2, (1 + level) / 2])
    tail = (1 + level) / 2
    wider = CAUTION * np.sqrt(count / (count - 1)) * stats.t.ppf(tail, count - 1) / stats.norm.ppf(tail)
    low, high = median * (ends / median) ** wider
    return median, float(low), float(high)


def mean_interval(values: Iterable[float], name: str) -> dict[str, float | None]:
    """Mean and ends of Student's 95 % interval over seeds, as three columns; one value has no interval."""
    known = np.array(list(values), dtype=float)
    mean = float(known.mean()) if len(known) else None
    half = float(stats.t.ppf(0.975, len(known) - 1) * stats.sem(known)) if len(known) > 1 else None
    ends = (None, None) if half is None or mean is None else (mean - half, mean + half)
    return {name: mean, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def is_stable(seconds: Sequence[float]) -> bool:
    """pyperf's rule for a number to be trusted: standard deviation under 10 % of the mean."""
    return len(seconds) > 1 and float(np.std(seconds, ddof=1)) < 0.1 * float(np.mean(seconds))
