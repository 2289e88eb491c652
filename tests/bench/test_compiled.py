"""Eager against compiled: the same map, compiled during set-up; no compiler is a row with the reason."""

import os

import pytest
import torch

from bench import compiled
from bench.grid import Cell, Grid
from bench.measure import measure_cell
from bench.methods import Target

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


def test_every_map_is_there_twice():
    names = list(METHODS)
    assert names[::2] == [name.removesuffix("_compiled") for name in names[1::2]]
    assert {"linear", "shift", "half_spaces", "paper_layer"} <= set(names) and "floor" not in names


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
