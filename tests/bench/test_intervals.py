"""Intervals: drifts cancel, coverage is what it says, and a result is the same each time."""

import numpy as np
import pytest

from bench import intervals


def rounds(rng, count, scale=1.0, drift=0.0, spread=0.05):
    """Seconds of rounds spread evenly over a stretch in which the machine gets slower by a factor e^drift."""
    place = (np.arange(count) + 0.5) / count
    return list(scale * np.exp(drift * place + rng.normal(0, spread, count)))


def test_the_ratio_is_that_of_the_medians_and_the_interval_holds_it():
    rng = np.random.default_rng(1)
    slow, fast = rounds(rng, 50, 3.0), rounds(rng, 50)
    ratio, low, high = intervals.ratio_interval(slow, fast)
    assert low < ratio < high and 2.8 < low and high < 3.2
    assert intervals.ratio_interval(slow, fast) == (ratio, low, high)


@pytest.mark.parametrize("counts", [(200, 200), (200, 7), (3, 200)])
def test_a_common_drift_cancels(counts):
    """The machine ends up e^2 = 7.4 times as slow as it began; the medians of all rounds hide less."""
    rng = np.random.default_rng(2)
    slow, fast = rounds(rng, counts[0], 3.0, drift=2.0), rounds(rng, counts[1], drift=2.0)
    ratio, low, high = intervals.ratio_interval(slow, fast)
    assert low < 3 < high and ratio == pytest.approx(3, rel=0.1)
    assert high / low < (1.1 if min(counts) > 100 else 1.6)


@pytest.mark.parametrize("counts", [(3, 3), (3, 200), (10, 200), (200, 200)])
@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_coverage(counts, drift):
    """Of 95 % intervals at least 87 of 100 hold the truth, whatever the number of rounds."""
    rng = np.random.default_rng(3)
    pairs = ([rounds(rng, count, drift=drift) for count in counts] for _ in range(200))
    held = [low <= 1 <= high for _, low, high in (intervals.ratio_interval(*pair) for pair in pairs)]
    assert np.mean(held) >= 0.87


def test_the_ratio_is_not_biased():
    rng = np.random.default_rng(4)
    pairs = ([rounds(rng, 3, 2.0, spread=0.2), rounds(rng, 150, spread=0.2)] for _ in range(300))
    ratios = [intervals.ratio_interval(*pair)[0] for pair in pairs]
    assert np.exp(np.mean(np.log(ratios))) == pytest.approx(2.0, rel=0.03)


def test_a_single_round_is_its_own_interval():
    assert intervals.ratio_interval([4.0], [2.0, 2.0, 3.0]) == (2.0, 2.0, 2.0)


def test_the_median_has_an_interval_too():
    median, low, high = intervals.median_interval(rounds(np.random.default_rng(5), 100, 5.0))
    assert 4.8 < low < median < high < 5.2


def test_stability_follows_the_spread():
    assert intervals.is_stable([1.0, 1.01, 0.99])
    assert not intervals.is_stable([1.0, 2.0, 1.0])
    assert not intervals.is_stable([1.0])
