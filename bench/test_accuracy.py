"""Accuracy: problem x projection x setting x device, run by `pytest --benchmark-only`."""

import pytest

from bench._replay import REPLAY, replay

TABLE = "accuracy"


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_accuracy(bench, table, cell, device, method, benchmark):
    row = bench.row(table, cell, device, method)
    replay(row, {}, benchmark)
