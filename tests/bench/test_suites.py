"""The grids and what they select."""

import pytest

from bench.grid import Cell, grid
from bench.suites import SUITES, cells_of, items, matches


def test_the_full_grid_spans_the_sizes_batches_and_dtypes():
    cells = grid("full").cells
    polyhedra = {cell.size for cell in cells if cell.family in ("random_cone", "random_polytope")}
    assert {min(n for n, _ in polyhedra), max(n for n, _ in polyhedra)} == {2, 4096}
    assert {min(m for _, m in polyhedra), max(m for _, m in polyhedra)} == {1, 4096}
    assert {cell.batch for cell in cells} == {1, 32, 256, 4096}
    assert {cell.dtype for cell in cells} == {"float32", "float64", "bfloat16"}


@pytest.mark.parametrize("name", ["smoke", "short", "quick", "cuda", "default", "full"])
def test_rows_have_names_of_their_own(name):
    chosen = grid(name)
    assert all(len(set(map(str, cells))) == len(cells) for cells in (cells_of(t, chosen) for t in SUITES))
    rows = [(table, str(cell), method.name) for table, cell, method in items(chosen)]
    assert len(set(rows)) == len(rows)


def test_the_grid_for_cuda_has_its_batches_dtypes_and_what_they_are_compared_with():
    chosen = grid("cuda")
    names = {}
    for table, cell, method in items(chosen):
        if table == "inference":
            names.setdefault(cell, set()).add(method.name)
    board = [cell for cell in names if cell.family == "checkerboard"]
    assert {(cell.batch, cell.dtype) for cell in board} == {
        (batch, dtype) for batch in (1, 256, 4096, 65536) for dtype in ("float32", "bfloat16")
    }
    assert {(784, 16), (64, 32), (128, 256)} <= {cell.size for cell in names}
    for cell, methods in names.items():
        assert {"linear", "floor", "osqp", "batched_active_set", "shift"} <= methods, cell
        assert ("daqp" in methods) == (cell.batch == 1 and cell.dtype == "float32"), cell
    for batch in (256, 4096):
        (cell,) = (cell for cell in board if (cell.batch, cell.dtype) == (batch, "float32"))
        assert {"pinet", "cvxpylayers", "shift_strict", "shift_tight"} <= names[cell]
    assert not any(method.graph for _, _, method in items(grid("full")))
    assert "shift_graph" in {method.name for table, _, method in items(chosen) if table == "compiled"}


def test_what_is_not_usual_is_in_the_name_of_a_cell():
    assert str(Cell("random_cone", (5, 3))) == "random_cone-5x3-batch256"
    unusual = Cell("random_cone", (5, 3), 8, dtype="float64", seed=2)
    assert str(unusual) == "random_cone-5x3-batch8-float64-seed2"


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("", True),
        ("inference", True),
        ("5x3", True),
        ("/osqp", True),
        ("*/osqp", True),
        ("inference/random_cone-*/*", True),
        ("osq*", False),
        ("daqp", False),
        ("*daqp*", False),
        ("random_cone-[46]x3", False),
    ],
)
def test_a_filter_is_a_part_of_the_name_or_a_glob_of_all_of_it(expression, fits):
    assert matches(expression, "inference", Cell("random_cone", (5, 3)), "osqp") is fits
