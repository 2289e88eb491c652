"""The methods as derived from the tuples: the floor's two operations, strict variants, training steps."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench import methods, training_step
from bench.grid import Cell, all_grids, grid
from bench.measure import measure_cell
from bench.methods import METHODS, AbstractModuleMethod, FloorYardstick, Target
from bench.planning import PLANS, Planning
from bench.problems import Instance
from bench.suites import SUITES, cells_of, items, methods_at
from bench.training_step import STEPS, TrainingStep
from constrained import Polyhedron, UnsupportedSetError
from constrained.errors import lookup
from constrained.parameterizations import PARAMETERIZATIONS

CPU = torch.device("cpu")
TARGET = Target(CPU, torch.float32, 20.0)
NAMES = [entry.name for entry in PARAMETERIZATIONS]


def instance(P: Polyhedron, batch: int = 4) -> Instance:
    return Instance("set", P, np.random.default_rng(0).standard_normal((batch, P.n)))


class Log(TorchDispatchMode):
    """The operations that reach the device, with the shapes of their results."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.seen.append((func.__name__.split(".")[0], tuple(getattr(result, "shape", ()))))
        return result


def test_the_floor_looks_at_every_row_and_returns_a_vector():
    P = Polyhedron(np.ones((3, 5)), C=np.ones((2, 5)))
    prepared = FloorYardstick("floor").prepare(instance(P), TARGET)
    y = torch.randn(7, 5)
    with Log() as log:
        x = prepared.run(y)
    assert torch.equal(x, y) and x.data_ptr() != y.data_ptr()
    assert ("clone", (7, 5)) in log.seen
    assert [shape for name, shape in log.seen if name in ("mm", "addmm", "matmul", "linear")] == [(7, 5)]


def test_every_map_has_its_strict_variants():
    plain = {m.name: m.plain for m in METHODS}
    assert len(plain) == len(METHODS)
    for name in NAMES:
        assert plain[name] == "" and plain[f"{name}_strict"] == plain[f"{name}_tight"] == name


@pytest.mark.parametrize(("ending", "strict"), [("", None), ("_strict", True), ("_tight", "tight")])
def test_a_variant_asks_for_its_strictness(monkeypatch, ending, strict):
    asked = []

    def constrain(polyhedron, method, **options):
        asked.append((method, options.get("strict")))
        raise UnsupportedSetError("no interior")

    monkeypatch.setattr(methods, "constrain", constrain)
    chosen = [m for m in METHODS if m.name == f"half_spaces{ending}"]
    (row,) = measure_cell(Cell("random_cone", (5, 3), batch=4), grid("smoke"), CPU, chosen)
    assert asked == [("half_spaces", strict)]
    assert row["status"] == "refused" and row["reason"] == "no interior"


def test_maps_that_enumerate_are_given_the_limit(monkeypatch):
    given = {}
    monkeypatch.setattr(methods, "constrain", lambda P, method, **options: given.update({method: options}))
    for method in METHODS:
        if isinstance(method, methods.Embedded) and not method.plain:
            with pytest.raises(AttributeError):
                method.build(Polyhedron(np.eye(2)), 7.0)
    assert given["rays"] in ({"max_seconds": 7.0}, {"max_seconds": 7.0, "cache": False})
    assert given["half_spaces"] == {}


def test_set_up_keeps_nothing_from_an_earlier_run():
    known = inspect.signature(lookup("method", "rays", PARAMETERIZATIONS)).parameters
    options = methods._enumeration(lookup("method", "rays", PARAMETERIZATIONS), 1.0)
    assert ("cache" in known) == ("cache" in options) and options.get("cache") in (None, False)


class TestGrids:
    def test_strict_variants_are_measured_where_the_cell_says(self):
        for chosen in all_grids():
            rows = items(chosen)
            for table, cell, method in rows:
                assert not method.plain or (cell.strict and table == "inference"), (chosen.name, cell)
            assert any(method.plain for _, _, method in rows)
            assert len(rows) == len({(table, str(cell), m.name) for table, cell, m in rows}), chosen.name

    def test_the_default_grid_has_the_cells_of_the_targets(self):
        default = grid("default")
        strict = {str(cell) for cell in default.cells if cell.strict}
        assert {
            "checkerboard-28x28x7-batch256",
            "random_cone-64x32-batch256",
            "random_cone-128x256-batch256",
            "random_cone-784x16-batch256",
        } <= strict
        assert Cell("checkerboard", (28, 28, 7), field=True) in default.steps
        assert {cell.size for cell in default.plans} == {(200, 200), (1000, 1000)}
        assert {cell.family for cell in default.cells} >= {"random_polytope", "box", "simplex", "monotone"}

    def test_every_table_has_cells_and_methods(self):
        for chosen in all_grids():
            for table in SUITES:
                for cell in cells_of(table, chosen):
                    assert methods_at(table, cell)
        assert all(cells_of(table, grid("smoke")) for table in SUITES)

    def test_batches_of_every_size_are_measured_with_projections(self):
        cells = grid("default").cells
        for name in ("checkerboard-28x28x7", "random_cone-64x32"):
            assert {c.batch for c in cells if str(c).startswith(name)} == {1, 32, 256, 4096}
        for cell in cells:
            assert {"osqp", "daqp", "batched_active_set"} <= {m.name for m in methods_at("inference", cell)}

    def test_the_whole_field_is_measured_where_the_cell_asks_for_it(self):
        cell = Cell("random_cone", (5, 3))
        few, all_of_them = (
            {m.name for m in methods_at("inference", dataclasses.replace(cell, field=field))}
            for field in (False, True)
        )
        assert all_of_them - few == {m.name for m in METHODS if m.field}
        assert {"cvxpy_scs", "pinet", "qpth"} <= all_of_them - few


class Scaled(AbstractModuleMethod):
    """x -> 2 x[:n] from twice as many latent features, with a parameter of its own."""

    role = "embedded"

    def __init__(self):
        super().__init__("scaled")

    def build(self, polyhedron, seconds):
        return _Scale(polyhedron.n), 2 * polyhedron.n


class _Scale(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n, self.factor = n, nn.Parameter(torch.tensor(2.0))

    def forward(self, z):
        return self.factor * z[..., : self.n]


class TestTrainingStep:
    P = Polyhedron(np.eye(2, 3))

    def test_the_steps_are_the_yardstick_and_the_plain_maps(self):
        maps = [s.name for s in STEPS if s.role in ("yardstick", "embedded")]
        assert maps == ["linear", *NAMES, "paper_layer"]
        assert {"osqp", "daqp", "batched_active_set"} == {s.name for s in STEPS if s.role == "projection"}

    def test_a_step_takes_the_gradient_of_input_and_weights(self, monkeypatch):
        calls, real = [], torch.autograd.grad

        def grad(loss, inputs, *rest):
            calls.append((loss.detach(), [tuple(value.shape) for value in inputs]))
            gradients = real(loss, inputs, *rest)
            assert all(gradient is not None for gradient in gradients)
            return gradients

        monkeypatch.setattr(training_step.torch.autograd, "grad", grad)
        prepared = TrainingStep(Scaled()).prepare(instance(self.P), TARGET)
        output = prepared.run(torch.randn(4, 3))
        ((loss, shapes),) = calls
        assert shapes == [(4, 3), (6, 3), (6,), ()] and prepared.in_features == 3
        assert torch.isclose(loss, output.square().mean()) and not output.requires_grad

    def test_layers_that_begin_linear_have_no_second_one(self, monkeypatch):
        shapes, real = [], torch.autograd.grad
        monkeypatch.setattr(
            training_step.torch.autograd,
            "grad",
            lambda loss, inputs: shapes.append([tuple(v.shape) for v in inputs]) or real(loss, inputs),
        )
        pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
        for step in STEPS:
            if step.name in ("linear", "paper_layer"):
                step.prepare(instance(self.P), TARGET).run(torch.randn(4, 3))
        assert shapes[0] == [(4, 3), (3, 3), (3,)]
        assert [len(shape) for shape in shapes[1]].count(2) == 2  # the input and one matrix

    def test_the_weights_are_the_same_each_time_and_the_seed_is_left_alone(self):
        made = []
        for seed in (5, 6):
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            made.append(TrainingStep(Scaled()).prepare(instance(self.P), TARGET))
            assert torch.equal(torch.random.get_rng_state(), before)
        first, second = made
        y = torch.randn(4, 3)
        assert torch.equal(first.run(y), second.run(y))

    def test_rows_are_of_their_own_table_and_judged(self):
        cell = Cell("random_cone", (5, 3), batch=6)
        rows = measure_cell(cell, grid("smoke"), CPU, methods_at("training_step", cell), "training_step")
        found = {row["method"]: row for row in rows}
        assert {row["table"] for row in rows} == {"training_step"} and len({row["pass"] for row in rows}) == 1
        assert found["linear"]["status"] == found["half_spaces"]["status"] == "ok"
        assert "violation" not in found["linear"] and found["half_spaces"]["violation"] <= 1e-5
        assert all("seconds" in row for row in rows if row["status"] == "ok")


class TestPlanning:
    def test_the_set_is_new_in_every_round(self):
        seen = []
        P = Polyhedron(np.eye(2), b=1.0, lower=-1.0, C=[[1.0, 1.0]], d=0.5)
        prepared = Planning("look", seen.append).prepare(instance(P), TARGET)
        prepared.run(torch.zeros(1, 2))
        prepared.run(torch.zeros(1, 2))
        assert len(seen) == 2 and seen[0] is not seen[1] and P not in seen
        for name in ("A", "b", "C", "d", "lower"):
            assert np.array_equal(getattr(seen[0], name), getattr(P, name))

    def test_what_would_take_too_long_is_a_timeout(self):
        from dataclasses import replace

        impatient = replace(grid("smoke"), call_limit=0.0)
        cell = Cell("random_cone", (5, 3), batch=1)
        (row,) = measure_cell(cell, impatient, CPU, [Planning("slow", lambda P: None)], "planning")
        assert row["status"] == "timeout"

    def test_both_pieces_work(self):
        rows = measure_cell(Cell("random_cone", (9, 9), batch=1), grid("smoke"), CPU, PLANS, "planning")
        assert [(row["method"], row["status"], row["reason"]) for row in rows] == [
            ("direction", "ok", ""),
            ("constrain", "ok", ""),
        ]
