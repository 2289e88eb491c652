"""Plain `pytest` runs tests/, `pytest --benchmark-only` runs bench/; CUDA tests need a CUDA device."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("constrained benchmarks")
    group.addoption("--grid", default="default", help="smoke, short, quick, default or full")
    group.addoption(
        "--filter",
        default="",
        metavar="EXPR",
        help="only rows whose table/cell/method holds this, or fits this glob",
    )
    group.addoption(
        "--raw", type=Path, help="where rows are kept; default: results/raw, nowhere for smoke and short"
    )
    group.addoption("--fresh", action="store_true", help="start anew instead of continuing a stopped run")
    group.addoption(
        "--cache", choices=("warm", "cold"), default="warm", help="the caches when a round starts"
    )
    group.addoption(
        "--in-process", action="store_true", help="measure cells in this process: for debuggers and profilers"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A pytest that a test starts is none of this one's workers, though it inherits the environment.
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    if config.getoption("benchmark_only", False):
        from bench.grid import grid
        from constrained import UnknownNameError

        try:
            grid(str(config.getoption("grid")))
        except UnknownNameError as error:
            raise pytest.UsageError(str(error)) from error


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    benchmarks = bool(config.getoption("benchmark_only", False))
    other = ROOT / ("tests" if benchmarks else "bench")
    return True if other == collection_path or other in collection_path.parents else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no CUDA device: torch.cuda.is_available() is False"))
