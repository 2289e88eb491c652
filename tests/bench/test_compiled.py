"""Eager against compiled and captured: the same map; no compiler, or no device, is a row with the reason."""

import os

import pytest
import torch

from bench import compiled
from bench.grid import Cell, Grid
from bench.measure import measure_cell
from bench.methods import Target
from bench.suites import methods_at

CPU = torch.device("cpu")
METHODS = {method.name: method for method in compiled.COMPILED}


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    """`torch.compile` replaced by something that says when it compiles, and where code would be kept."""
    compiled_with, usual = [], str(tmp_path)
    monkeypatch.setenv(compiled.CACHE, usual)
    monkeypatch.setattr(compiled.shutil, "which", lambda name: name)

    def fake(module, options):
        def call(z):
            compiled_with.append((tuple(z.shape), os.environ[compiled.CACHE]))
            return module(z)

        return call

    monkeypatch.setattr(torch, "compile", fake)
    return compiled_with, usual


def test_every_map_is_there_as_it_is_compiled_and_captured():
    names = list(METHODS)
    assert names[1::3] == [f"{name}_compiled" for name in names[::3]]
    assert names[2::3] == [f"{name}_graph" for name in names[::3]]
    assert {"linear", "shift", "half_spaces", "paper_layer"} <= set(names) and "floor" not in names


def test_graphs_are_measured_where_a_cell_asks_for_them_and_need_a_device():
    asks, does_not = Cell("random_cone", (5, 3), batch=7, graphs=True), Cell("random_cone", (5, 3), batch=7)
    assert [m.name for m in methods_at("compiled", asks)] == [
        *("linear", "linear_compiled", "linear_graph", "shift", "shift_compiled", "shift_graph")
    ]
    assert not any(method.graph for method in methods_at("compiled", does_not))
    (row,) = measure_cell(asks, Grid("tiny", (), 0.0), CPU, [METHODS["shift_graph"]], "compiled")
    assert row["status"] == "skipped" and "needs a CUDA device, this is 'cpu'" in row["reason"]


def test_a_graph_is_captured_on_the_points_that_it_is_called_with(monkeypatch):
    calls = []

    def capture(call, device):
        calls.append("captured")
        return lambda: calls.append("replayed") or call()

    monkeypatch.setattr(compiled, "check_device", lambda device: None)
    monkeypatch.setattr(compiled, "captured", capture)
    prepared = METHODS["shift_graph"].prepare(
        Cell("random_cone", (5, 3), batch=7).generate(), Target(CPU, torch.float32, 10.0)
    )
    one, other = torch.randn(7, 5), torch.randn(7, 5)
    found = [prepared.run(z) for z in (one, one, other)]
    assert calls == ["captured", "replayed", "replayed", "captured", "replayed"]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.cuda
@pytest.mark.parametrize("name", ["linear", "shift", "half_spaces"])
def test_a_graph_gives_what_the_map_gives(name):
    instance, target = (
        Cell("random_cone", (64, 32), batch=7).generate(),
        Target(torch.device("cuda"), torch.float32, 10.0),
    )
    torch.manual_seed(0)
    captured = METHODS[f"{name}_graph"].prepare(instance, target)
    torch.manual_seed(0)
    eager = METHODS[name].prepare(instance, target)
    z = torch.randn(7, 64, device="cuda")
    assert torch.equal(captured.run(z), eager.run(z))


def test_set_up_compiles_for_the_batch_of_the_cell_with_an_empty_cache(compiler):
    compiled_with, usual = compiler
    instance = Cell("random_cone", (5, 3), batch=7).generate()
    target = Target(CPU, torch.float64, 10.0)
    prepared = METHODS["shift_compiled"].prepare(instance, target)
    ((shape, folder),) = compiled_with
    assert shape == (7, 5) and folder != usual and not os.path.exists(folder)
    assert os.environ[compiled.CACHE] == usual
    z = torch.randn(7, 5, dtype=torch.float64)
    assert torch.equal(prepared.run(z), METHODS["shift"].prepare(instance, target).run(z))


def test_both_are_measured_in_one_pass_and_judged(compiler):
    chosen = [METHODS["shift"], METHODS["shift_compiled"]]
    found = measure_cell(Cell("random_cone", (5, 3), batch=7), Grid("tiny", (), 0.0), CPU, chosen, "compiled")
    assert [row["method"] for row in found] == ["shift", "shift_compiled"]
    for row in found:
        assert row["status"] == "ok" and row["table"] == "compiled" and row["violation"] < 1e-4


def test_no_compiler_is_a_named_skip(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    chosen = [METHODS["shift"], METHODS["shift_compiled"]]
    found = measure_cell(Cell("random_cone", (5, 3), batch=7), Grid("tiny", (), 0.0), CPU, chosen, "compiled")
    assert [row["status"] for row in found] == ["ok", "skipped"]
    assert "C++ compiler; found none of g++" in found[1]["reason"]
