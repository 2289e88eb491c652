"""Set-up: planning by the size of the set, run by `pytest --benchmark-only`.

The set-up of every method at every cell is in the rows of inference.
"""

import pytest

from bench._replay import REPLAY, replay

TABLE = "planning"


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_planning(bench, table, cell, device, method, benchmark):
    replay(bench.row(table, cell, device, method), {}, benchmark)
