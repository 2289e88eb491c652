"""The limits of a device: what is computed from the times, and what is said where there is no device."""

import pytest
import torch

from bench import cuda_limits
from bench.cuda_limits import DTYPES, MAPS, main, map_rows, yardsticks

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def limits():
    return yardsticks(CPU, side=64, copied=2**12, seconds=1e-3)


def test_yardsticks_are_amounts_a_second(limits):
    assert set(limits) == {"copy", "float32", "bfloat16"} and all(v > 0 for v in limits.values())


def test_rows_of_both_paths_with_their_shares(limits):
    rows = list(map_rows(CPU, limits, sizes=((8, 4),), batches=(5,), seconds=1e-3))
    measured = [row for row in rows if "note" not in row]
    assert len(measured) == len(MAPS) * 2 * len(DTYPES) * 2
    for row in measured:
        assert set(row) <= set(cuda_limits.COLUMNS)
        width = 4 if row["dtype"] == "float32" else 2
        assert row["bytes_per_second"] == pytest.approx(5 * 8 * 2 * width / row["seconds"])
        assert row["share_of_copy"] == pytest.approx(row["bytes_per_second"] / limits["copy"])
        operations = 2 * 5 * 8 * 4 * MAPS[row["map"]]
        assert row["share_of_product"] == pytest.approx(operations / row["seconds"] / limits["float32"])


def test_a_set_too_thin_for_a_dtype_is_a_row_with_the_reason(limits, monkeypatch):
    def refuse(*_args, **_options):
        raise cuda_limits.UnsupportedSetError("too thin")

    monkeypatch.setattr(cuda_limits, "constrain", refuse)
    rows = list(map_rows(CPU, limits, sizes=((8, 4),), batches=(5,), seconds=1e-3))
    assert rows and all(row["note"] == "too thin" for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(capsys):
    assert main([]) == 1
    assert "no CUDA device" in capsys.readouterr().err
