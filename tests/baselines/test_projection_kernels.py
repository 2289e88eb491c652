"""Projections on a device: under Triton's interpreter, compiled, on CUDA; when statuses are found."""

import importlib.util

import pytest
import torch

import baselines
from baselines import Projection, Status
from constrained.polyhedron import Polyhedron
from tests.contracts.projection_kernels import ACTIVE_SETS, ProjectionKernelContract, normal, pretend
from tests.interpreter import run_under_triton_interpreter

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="the extra 'cuda' is not installed: triton"
)


@needs_triton
def test_the_kernels_under_the_interpreter():
    run_under_triton_interpreter("tests/projection_kernels_interpreted.py")


@needs_triton
@pytest.mark.parametrize("name", ["active_set", "levels", "points", "knapsack", "isotonic"])
def test_the_kernels_compile_for_devices_that_are_not_here(name, tmp_path):
    from tests.projection_kernels_compiled import KERNELS, compiled, spilled

    for options in KERNELS[name]:
        for capability, aligned in ((80, False), (80, True), (90, False), (90, True)):
            text = compiled(name, frozenset(options.items()), capability, aligned)
            assert f".target sm_{capability}" in text
            # Neither TF32 nor divisions that are not rounded to nearest.
            assert "tf32" not in text and ".approx" not in text and ".full." not in text
        assert spilled(text, tmp_path) <= (4000 if options.get("ROWS") == 128 else 128), options


@needs_triton
def test_products_of_float64_run_on_tensor_cores():
    """Without them, the way into the coordinates of many rows would take longer than the memory."""
    from tests.projection_kernels_compiled import KERNELS, compiled

    for options in KERNELS["levels"]:
        assert ".f64.f64.f64.f64" in compiled("levels", frozenset(options.items()))


def test_statuses_are_found_when_they_are_asked_for_and_once(monkeypatch):
    pretend(monkeypatch, True)
    project = baselines.projection("closed_box")(Polyhedron.box([-1.0, -1.0], [1.0, 1.0]))
    y = torch.tensor([[[3.0, 0.0]], [[torch.nan, 5.0]]])
    result = project(y)
    assert "status" not in vars(result)
    assert result.status.tolist() == [[Status.SOLVED], [Status.FAILED]]
    assert result.status is result.status
    assert result.x[0].tolist() == [[1.0, 0.0]] and result.x[1].isnan().all(), "all of the row is NaN"


def test_a_projection_of_statuses_that_are_known():
    status = baselines.projection("closed_box")(Polyhedron.box([0.0], [1.0]))(torch.ones(2, 1)).status
    result = Projection(torch.ones(2, 1), status)
    assert result.status is status and result.info == {} and "solved" in repr(result)
    assert Projection(x=result.x, status=status, info={"a": 1}).info == {"a": 1}


def test_without_triton_in_torch(monkeypatch):
    """On a device that no kernel is for: rows that are not finite among the others."""
    P = ACTIVE_SETS["few rows"]
    y = normal(40, P.n)
    y[3, 0], y[7, 1] = torch.nan, torch.inf
    project = baselines.projection("batched_active_set")(P)
    expected = project(y)
    pretend(monkeypatch, True)
    monkeypatch.setattr(baselines._dual, "MOST_TABLEAU", 0)
    monkeypatch.setattr(baselines._dual, "MOST_COMPILED", 0)
    result = baselines.projection("batched_active_set")(P)(y)
    assert result.status.tolist() == expected.status.tolist()
    torch.testing.assert_close(result.x, expected.x, rtol=0, atol=1e-10, equal_nan=True)


@pytest.mark.cuda
class TestOnCuda(ProjectionKernelContract):
    device, batches = "cuda", (257, 1, 4096)

    @pytest.mark.parametrize("name", ["few rows", "more rows than features", "equalities"])
    def test_captured_in_a_graph(self, name):
        P = ACTIVE_SETS[name]
        project = baselines.projection("batched_active_set")(P)
        y = normal(256, P.n).cuda()
        expected = project(y).x
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            x = project(y).x
        x.zero_()
        graph.replay()
        torch.testing.assert_close(x, expected, rtol=0, atol=0)
