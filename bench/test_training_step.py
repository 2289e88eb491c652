"""Training step: forward and backward, problem x method x device, run by `pytest --benchmark-only`."""

import pytest

from bench._replay import REPLAY, replay

TABLE = "training_step"


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_training_step(bench, table, cell, device, method, benchmark):
    row = bench.row(table, cell, device, method)
    replay(row, {"linear": bench.find(table, cell, device, "linear")}, benchmark)
