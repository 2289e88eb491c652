"""The limits of a device: what is measured, what is computed from it, and what is said without a device.

On the CPU the calls run as they are where a graph would be captured.
"""

import json

import pytest
import torch

from bench import cuda_limits
from bench._tables_io import read_tables
from bench.cuda_limits import (
    MAPS,
    NETWORKS,
    limits_main,
    limits_table,
    map_cells,
    measure_map,
    measure_network,
    measure_yardsticks,
    network_cells,
)
from bench.cuda_limits import _command as command
from bench.cuda_limits import _maps as maps
from bench.cuda_limits._command import measure_limits
from bench.rows import Run
from bench.tables import build_tables
from bench.timing import Timing
from constrained import UnsupportedSetError

CPU = torch.device("cpu")
SECONDS = 1e-3
CELLS = list(map_cells({(8, 4): ("shift", "refined")}, batches=(5, 256)))


def capture(call, device, repeats=1):
    """What stands for a graph: so many calls, one after another."""

    def replay():
        for _ in range(repeats):
            call()

    return replay


def yardsticks():
    return measure_yardsticks(CPU, SECONDS, side=64, copied=2**12)


def in_short(cells, refuse=()):
    """How cells are measured here."""

    def one(cell, device, seconds):
        if cell["map"] in refuse:
            raise RuntimeError("out of   registers")
        measure = measure_map if cell["what"] == "map" else measure_network
        return measure(cell, device, seconds, capture)

    return {"map": one, "network": one}


@pytest.fixture
def small(monkeypatch):
    """Yardsticks of a few numbers."""
    monkeypatch.setattr(command, "measure_yardsticks", lambda device, seconds: yardsticks())


def test_every_map_size_batch_and_dtype_is_a_cell_and_cold_where_the_cache_holds_the_points():
    cells = list(map_cells())
    assert {cell["map"] for cell in cells} == set(MAPS)
    assert {(cell["n"], cell["m"]) for cell in cells} == {(784, 16), (64, 32), (1024, 64), (1024, 1024)}
    assert {cell["batch"] for cell in cells} == {1, 256, 4096, 65536}
    assert {cell["dtype"] for cell in cells} == {"float32", "bfloat16"}
    assert {(cell["n"], cell["batch"]) for cell in cells if cell["l2"] == "cold"} == {(784, 256), (784, 4096)}
    shift = [
        cell for cell in cells if cell["map"] == "shift" and cell["batch"] == 65536 and cell["n"] == 1024
    ]
    assert len(shift) == 2 * 2 * 2
    networks = list(network_cells())
    assert len(networks) == 2 * 4 and {cell["hidden"] for cell in networks} == set(NETWORKS)
    keys = [cuda_limits._cells.cell_key(cell) for cell in [*cells, *networks]]
    assert len(set(keys)) == len(keys)


def test_yardsticks_are_a_copy_and_two_products():
    rows = limits_table(yardsticks())
    assert [(row["what"], row["dtype"]) for row in rows] == [
        ("copy", "float32"),
        ("product", "float32"),
        ("product", "bfloat16"),
    ]
    copy, product, half = rows
    assert copy["bytes_per_second"] == pytest.approx(8 * 2**12 / copy["seconds"])
    assert product["operations_per_second"] == pytest.approx(2 * 64**3 / product["seconds"])
    assert copy["share_of_copy"] == product["share_of_product"] == half["share_of_product"] == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_path_and_launch_is_a_row_with_its_shares(dtype):
    (cell, *_) = (cell for cell in CELLS if cell["map"] == "refined" and cell["dtype"] == dtype)
    limits = yardsticks()
    rows = limits_table([*limits, *measure_map(cell, CPU, SECONDS, capture)])
    copy, product = rows[0]["bytes_per_second"], rows[1]["operations_per_second"]
    measured = {(row["path"], row["launch"]): row for row in rows[3:]}
    assert set(measured) == {
        *((path, launch) for path in ("fused", "plain", "chosen") for launch in ("eager", "graph")),
        ("own product", "graph"),
    }
    own = measured.pop(("own product", "graph"))
    assert own["operations_per_second"] == pytest.approx(3 * 2 * 5 * 8 * 4 / own["seconds"])
    for (path, launch), row in measured.items():
        moved = 2 * 5 * 8 * (4 if dtype == "float32" else 2)
        assert row["bytes_per_second"] == pytest.approx(moved / row["seconds"])
        assert row["share_of_copy"] == pytest.approx(row["bytes_per_second"] / copy)
        operations = 3 * 2 * 5 * 8 * 4 / row["seconds"]
        assert row["operations_per_second"] == pytest.approx(operations)
        assert row["share_of_product"] == pytest.approx(operations / product)
        assert row["share_of_own_product"] > 0 and row["rounds"] >= 3
        assert row["clock"] == "perf_counter" and row["l2"] == "warm" and row["status"] == "ok"
        assert path != "plain" or row["ratio_plain"] == 1
        assert (row["model_seconds"] is None) == (path == "chosen") and launch in ("eager", "graph")


def test_the_calls_of_a_graph_are_shared_out(monkeypatch):
    repeats = []

    def counted(call, device, repeats_):
        repeats.append(repeats_)
        return capture(call, device, repeats_)

    def measured(calls, device, seconds, cache):
        return {name: Timing([16.0, 32.0, 48.0], calls=2, ahead=0) for name in calls}

    (cell, *_) = CELLS
    monkeypatch.setattr("bench.cuda_limits._cells.measure", measured)
    rows = measure_map(cell, CPU, SECONDS, counted)
    assert set(repeats) == {maps.REPEATS} == {16}
    for row in rows:
        one = [1.0, 2.0, 3.0] if row["launch"] == "graph" else [16.0, 32.0, 48.0]
        assert row["seconds"] == one and row["calls"] == (32 if row["launch"] == "graph" else 2)
    monkeypatch.setattr(maps, "NUMBERS", 1)
    repeats.clear()
    measure_map(cell, CPU, SECONDS, counted)
    assert set(repeats) == {1}


def test_with_a_cold_cache_one_call_is_timed_in_a_graph_alone():
    (cell, *_) = (cell for cell in CELLS if cell["l2"] == "cold")
    rows = measure_map(cell, CPU, 0.0, capture)
    assert {row["launch"] for row in rows} == {"graph"} and {row["calls"] for row in rows} == {1}
    assert {row["l2"] for row in rows} == {"cold"}


def test_networks_are_compared_with_the_one_without_a_map():
    (cell,) = network_cells({"256": NETWORKS["256"]}, batches=(3,), size=(6, 2))
    rows = limits_table([*yardsticks(), *measure_network(cell, CPU, SECONDS, capture)])[3:]
    named = {(row["map"], row["strict"]): row for row in rows}
    assert set(named) == {("unconstrained", False), *((name, s) for name in MAPS for s in (False, True))}
    assert named["unconstrained", False]["ratio_unconstrained"] == 1
    for row in rows:
        assert row["ratio_unconstrained_low"] <= row["ratio_unconstrained"] <= row["ratio_unconstrained_high"]
        assert row["hidden"] == "256" and row["path"] == "chosen" and row["launch"] == "graph"


def test_a_set_that_a_map_refuses_and_a_path_that_fails_are_rows_with_the_reason(monkeypatch):
    (cell, *_) = CELLS

    def broken(call, device, repeats):
        call()
        if broken.calls == 0:
            raise RuntimeError("not   permitted when\nstream is capturing")
        broken.calls -= 1
        return call

    broken.calls = 1
    rows = measure_map(cell, CPU, SECONDS, broken)
    reasons = {(row["path"], row["status"]): row["reason"] for row in rows}
    assert reasons["fused", "ok"] == "" and ("plain", "ok") not in reasons
    assert reasons["plain", "failed"] == "not permitted when stream is capturing"

    def refuse(*_args, **_options):
        raise UnsupportedSetError("too thin")

    monkeypatch.setattr(maps, "constrain", refuse)
    (row,) = measure_map(cell, CPU, SECONDS, capture)
    assert row["status"] == "failed" and row["reason"] == "too thin"


def test_a_run_goes_cell_by_cell_into_the_table_of_its_machine(small, tmp_path, capsys):
    cells = [*CELLS, *network_cells({"256": NETWORKS["256"]}, batches=(3,), size=(6, 2))]
    run = Run.open(tmp_path / "raw", "limits", {"seconds": SECONDS})
    measure_limits(run, CPU, SECONDS, cells, in_short(cells, refuse=("refined",)))
    assert run.finished and "limits 1/" in capsys.readouterr().err
    written = build_tables(tmp_path / "raw", tmp_path / "tables")
    assert {path.name for path in written} == {"limits.csv", "machine.json"}
    rows = read_tables(tmp_path / "tables" / "cpu").find("limits")
    failed = [row for row in rows if row["status"] != "ok"]
    assert {row["map"] for row in failed} == {"refined"}
    assert {row["reason"] for row in failed} == {"out of registers"}
    assert {row["what"] for row in rows} == {"copy", "product", "map", "network"}
    facts = json.loads((tmp_path / "tables/cpu/machine.json").read_text())
    assert facts["runs"]["limits"]["settings"] == {"seconds": SECONDS} and facts["versions"]["torch"]


def test_a_run_that_was_stopped_is_continued(small, tmp_path):
    cells = [*CELLS[:4], *network_cells({"256": NETWORKS["256"]}, batches=(3,), size=(6, 2))]
    asked = []

    def stops(cell, device, seconds):
        asked.append(cell)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return in_short(cells)["map"](cell, device, seconds)

    def go():
        run = Run.open(tmp_path, "limits", {"seconds": SECONDS})
        measure_limits(run, CPU, SECONDS, cells, {"map": stops, "network": stops})
        return run

    with pytest.raises(KeyboardInterrupt):
        go()
    kept = Run.open(tmp_path, "limits", {"seconds": SECONDS}).rows
    assert len({cuda_limits._cells.cell_key(row) for row in kept}) == 3 + 2
    assert go().finished and asked == [*cells[:3], *cells[2:]]
    (path,) = tmp_path.glob("limits-*.json")
    done = Run.read(path)
    again = Run(done.path, {**done.header, "finished": None}, list(done.rows))
    measure_limits(again, CPU, SECONDS, cells, {"map": stops, "network": stops})
    assert len(again.rows) == len(done.rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so(capsys):
    assert limits_main([]) == 1
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.cuda
def test_a_small_run_on_a_device(small, tmp_path):
    device = torch.device("cuda")
    cells = [*map_cells({(64, 8): ("shift",)}, batches=(256,)), *network_cells(batches=(256,))]
    run = Run.open(tmp_path, "limits", {}, device=torch.cuda.get_device_name(device))
    measure_limits(run, device, SECONDS, cells)
    rows = limits_table(run.rows)
    assert all(row["status"] == "ok" and row["seconds"] > 0 for row in rows)
    assert {row["clock"] for row in rows if row["what"] != "copy"} >= {"events"}
    assert {row["launch"] for row in rows if row["what"] == "map"} == {"eager", "graph"}
