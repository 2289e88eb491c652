"""Inference: problem x method x batch size x device, run by `pytest --benchmark-only`."""

import pytest

from bench._replay import REPLAY
from bench.timing import ratio_interval

LARGEST_VIOLATION = 1e-3
"""Far above float32 rounding at every size of the grids, far below a map that is wrong."""


@pytest.mark.benchmark(timer=REPLAY.clock)
def test_inference(bench, cell, device, method, benchmark):
    row = bench.row(cell, device, method)
    if row["status"] == "failed":
        pytest.xfail(f"{method}: {row['reason']}")
    if row["status"] != "ok":
        pytest.skip(f"{method}: {row['status']}: {row['reason']}")
    benchmark.group = f"{cell} {row['device']}"
    benchmark.extra_info.update({k: v for k, v in row.items() if not isinstance(v, list)})
    for reference in ("linear", "osqp"):
        other = bench.row(cell, device, reference)
        if other["status"] == "ok":
            ratio, low, high = ratio_interval(other["seconds"], row["seconds"])
            benchmark.extra_info[f"speedup_{reference}"] = [low, ratio, high]
    benchmark.pedantic(REPLAY.play, rounds=REPLAY.load(row["seconds"]), iterations=1)
    assert (row.get("violation") or 0.0) <= LARGEST_VIOLATION
