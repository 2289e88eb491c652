"""Inference: problem x method x batch size x device, run by `pytest --benchmark-only`."""

import pytest

from bench._replay import REPLAY, replay

TABLE = "inference"
LARGEST_VIOLATION = 1e-3
"""Far above float32 rounding at every size of the grids, far below a map that is wrong."""


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_inference(bench, table, cell, device, method, benchmark):
    row = bench.row(table, cell, device, method)
    references = {name: bench.find(table, cell, device, name) for name in ("linear", "floor", "osqp")}
    replay(row, references, benchmark)
    # What other papers' layers break, and rounding to half precision, is a result, not an error of the suite.
    if row["role"] != "peer" and row["dtype"] in ("float32", "float64"):
        assert (row.get("violation") or 0.0) <= LARGEST_VIOLATION
    assert not row["plain"] or row["broken_share"] == 0
