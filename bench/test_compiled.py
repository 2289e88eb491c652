"""Eager against `torch.compile` and CUDA graphs: problem x map x device, run by `pytest --benchmark-only`."""

import pytest

from bench._replay import REPLAY, replay

TABLE = "compiled"


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_compiled(bench, table, cell, device, method, benchmark):
    row = bench.row(table, cell, device, method)
    eager = method.removesuffix("_compiled").removesuffix("_graph")
    replay(row, {"eager": bench.find(table, cell, device, eager)} if eager != method else {}, benchmark)
