"""Calls captured in a CUDA graph: what the device takes for them, without Python and a launch each.

    captured(call, device)        one call, replayed: a launch of its own, however many kernels it has
    captured(call, device, 16)    sixteen calls in one graph: by 16, the time of the device alone

A graph reads and writes the same memory at every replay; what `call` refers to is kept as long as that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from constrained.errors import MissingDependencyError

WARM_UP = 3
"""Calls before the capture, as torch asks for: kernels compile and libraries take their memory then."""


def check_device(device: torch.device) -> None:
    """Raise `MissingDependencyError` for a device that has no graphs."""
    if device.type != "cuda":
        raise MissingDependencyError(f"a CUDA graph needs a CUDA device, this is {device.type!r}")


def captured(call: Callable[[], Any], device: torch.device, repeats: int = 1) -> Callable[[], Any]:
    """A replay of so many calls; it returns what the last of them did, in the same memory each time."""
    check_device(device)
    side, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            call()
    current.wait_stream(side)
    graph, output = torch.cuda.CUDAGraph(), None
    with (
        torch.cuda.stream(current),
        torch.cuda.graph(graph),
    ):  # current again, whatever a failed capture leaves
        for _ in range(repeats):
            output = call()
    return _Replay(graph, output, call)


@dataclass(frozen=True)
class _Replay:
    graph: Any
    output: Any
    call: Callable[[], Any]
    """Kept for its tensors, whose memory the graph reads."""

    def __call__(self) -> Any:
        self.graph.replay()
        return self.output
