"""Peak memory of a piece of work: what CUDA's allocator says, or the process's resident set."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

T = TypeVar("T")


def with_peak(work: Callable[[], T], device: torch.device) -> tuple[T, float | None]:
    """(result, megabytes above what was in use before); None where the system cannot tell.

    On Linux the kernel's high-water mark of the resident set is reset before and read after. Memory
    that the allocator kept from earlier work is handed back first; child processes do not count.
    """
    if device.type == "cuda":
        return _cuda_peak(work, device)
    before = _reset_high_water_mark()
    result = work()
    after = _high_water_mark()
    return result, None if before is None or after is None else max(0.0, (after - before) / 1024)


def _cuda_peak(work: Callable[[], T], device: torch.device) -> tuple[T, float | None]:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    result = work()
    torch.cuda.synchronize(device)
    return result, (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _reset_high_water_mark() -> int | None:
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _high_water_mark()


def _high_water_mark() -> int | None:
    """VmHWM in kilobytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
