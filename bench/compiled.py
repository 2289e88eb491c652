"""Eager against `torch.compile` and CUDA graphs: each map as it is, compiled with defaults, captured.

    <map>             constrain(P, map), inference
    <map>_compiled    torch.compile of it for the batch of the cell
    <map>_graph       a captured graph of its kernels, at the cells that ask for it

Set-up includes the compilation, without anything kept from an earlier one. Compiling for the CPU needs a C++
compiler, for CUDA Triton; where there is none the compiled maps are skipped with the reason. A graph is
captured at the first call, on the points of the cell, where the layer before would write them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from constrained.errors import MissingDependencyError

from .graphs import captured, check_device
from .methods import METHODS, AbstractMethod, AbstractModuleMethod, Prepared, Target
from .problems._base import Instance

EVERYWHERE = ("linear", "shift")
"""Compiled at every cell, the others at the cells of the whole field: each takes seconds to compile."""
OPTIONS: dict[str, Any] = {"compile_threads": 1, "cpp_cache_precompile_headers": False}
CACHE = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable of torch that says where compiled code is kept."""
COMPILERS = ("g++", "clang++", "c++")


class Eager(AbstractMethod):
    """A map as it is, under its own name."""

    def __init__(self, method: AbstractModuleMethod) -> None:
        super().__init__(method.name)
        self.method, self.role, self.feasible = method, method.role, method.feasible
        self.field = method.name not in EVERYWHERE

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """See `AbstractModuleMethod`."""
        return self.method.prepare(instance, target)


class Compiled(AbstractMethod):
    """A map after `torch.compile`, as `<name>_compiled`."""

    def __init__(self, method: AbstractModuleMethod) -> None:
        super().__init__(f"{method.name}_compiled")
        self.method, self.role, self.feasible = method, method.role, method.feasible
        self.field = method.name not in EVERYWHERE

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The module, compiled by a first call on points of the cell's batch size.

        Raises `MissingDependencyError` where there is nothing to compile with.
        """
        _check_compiler(target.device)
        module, width = self.method.build(instance.polyhedron, target.setup_seconds)
        module = module.to(target.device, target.dtype).eval().requires_grad_(False)
        compiled = torch.compile(module, options=OPTIONS)

        @torch.inference_mode()
        def run(z: Tensor) -> Tensor:
            return compiled(z)

        with _nothing_kept():
            run(torch.zeros(len(instance.points), width, device=target.device, dtype=target.dtype))
        return Prepared(run, width, self.method.projects(instance.polyhedron, width))


class Graphed(AbstractMethod):
    """A map in a CUDA graph, as `<name>_graph`."""

    graph = True

    def __init__(self, method: AbstractModuleMethod) -> None:
        super().__init__(f"{method.name}_graph")
        self.method, self.role, self.feasible = method, method.role, method.feasible
        self.field = method.name not in EVERYWHERE

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The module; `MissingDependencyError` where there is no CUDA device."""
        check_device(target.device)
        ready = self.method.prepare(instance, target)
        held: dict[str, Any] = {"points": None}

        @torch.inference_mode()
        def run(z: Tensor) -> Tensor:
            if held["points"] is not z:
                held.update(points=z, replay=captured(lambda: ready.run(z), target.device))
            return held["replay"]()

        return Prepared(run, ready.in_features, ready.projects)


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """An empty cache of compiled code, so that what an earlier run compiled does not shorten the set-up."""
    usual = os.environ.pop(CACHE, None)
    with TemporaryDirectory() as folder:
        os.environ[CACHE] = folder
        try:
            yield
        finally:
            del os.environ[CACHE]
            if usual is not None:
                os.environ[CACHE] = usual


def _check_compiler(device: torch.device) -> None:
    if device.type == "cuda":
        if find_spec("triton") is None:
            raise MissingDependencyError(
                "torch.compile needs the package 'triton' for CUDA; it is not installed"
            )
    elif not any(map(shutil.which, (os.environ.get("CXX", ""), *COMPILERS))):
        names = ", ".join(COMPILERS)
        raise MissingDependencyError(
            f"torch.compile needs a C++ compiler; found none of {names}: install one"
        )


COMPILED: tuple[AbstractMethod, ...] = tuple(
    made(method)
    for method in METHODS
    if isinstance(method, AbstractModuleMethod) and not method.plain and method.name != "floor"
    for made in (Eager, Compiled, Graphed)
)
"""Linear(n, n) and every embedded map, the strict variants aside, eager, compiled and in a graph."""
