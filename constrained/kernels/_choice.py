"""Whether the fused kernels are taken: where they can run, and where they should be faster.

Which of the two is faster is a model until a device has been measured: seconds of a batch of BATCH samples
are launches, bytes over the bandwidth of the memory and operations over the rate of products, the last two
overlapping in a fused kernel and following each other between the launches of the plain path. `python -m
bench.cuda_limits` measures both paths and the choice on a device; `model` is the place to change it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch._C._functorch import TransformType, maybe_current_level  # pyright: ignore
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters
from torch.autograd import forward_ad

from ._registration import interpreted

MOST = 4096
"""Features and rows up to which the kernels are meant to run."""
MOST_REGISTERS = 128
"""Rows up to which `refined` serves, which holds a number of each in registers from step to step."""
MOST_LEVELS = 32
"""Rows up to which `half_spaces` and `refined` hold the levels of samples that they hold whole."""
CACHED = 2**15
"""Numbers in the rows, each filled up to a power of two, up to which a program of `shift`, `gauge` and
`half_spaces` holds samples whole: 128 KiB, half the first-level cache of an H100."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
BATCH = 4096
"""The choice is made for this batch, so that values do not depend on the batch and graphs have one branch."""


@dataclass(frozen=True)
class Rates:
    """Of a device: an H100 SXM by its data sheet, kernels by what is usual for their kind."""

    launch: float = 4e-6
    """Seconds of one launch of the plain path, Python's share included."""
    memory: float = 3.35e12
    """Bytes a second."""
    library: float = 50e12
    """Operations a second of the library's float32 product, 75 % of the peak."""
    fused: float = 20e12
    """The same for tiles of float32 in a fused kernel, without tensor cores: 30 %."""


RATES = Rates()
_enabled = os.environ.get("CONSTRAINED_FUSED", "1") != "0"
_always = False


@contextmanager
def fused(enabled: bool = True, always: bool = False) -> Iterator[None]:
    """Within it the fused kernels may be taken, or with False are not; for the process, not for a thread.

    With `always`, they are taken wherever they can run, though the model prefers the library.

    The environment variable CONSTRAINED_FUSED=0 does the same from the start. A compiled graph is bound to
    what held when it was traced.
    """
    global _enabled, _always
    before = _enabled, _always
    _enabled, _always = enabled, always
    try:
        yield
    finally:
        _enabled, _always = before


def usable(x: Tensor, n: int, rows: int, products: int = 1, most: int = MOST) -> bool:
    """Whether to run the fused kernel on `x`.

    Args:
        x: points, (*batch, n).
        n: features.
        rows: of the set.
        products: with an (n, rows) matrix that the map makes.
        most: rows that the kernel serves.

    False too where torch.func differentiates or forward-mode derivatives are taken, which operators of a
    library have no rules for, and while a graph is written to ONNX.
    """
    return (
        _enabled
        and (x.is_cuda or interpreted())
        and x.dtype in DTYPES
        and n <= MOST
        and 0 < rows <= most
        and (_always or wins(n, rows, products))
        and _possible()
    )


@torch.compiler.assume_constant_result
def wins(n: int, rows: int, products: int) -> bool:
    """Whether the fused kernel should be the faster one."""
    fused, plain = model(n, rows, products)
    return fused < plain


def held_whole(n: int, rows: int, products: int = 1) -> bool:
    """Whether a program holds its samples in registers from their reading to their writing.

    Those of `half_spaces` and of `refined` in inference, which make two products and three, hold the levels
    of all rows beside them.
    """
    few = rows << (n - 1).bit_length() <= CACHED and (products == 1 or rows <= MOST_LEVELS)
    return 128 < n <= MOST and few


@cache
def model(n: int, rows: int, products: int, batch: int = BATCH, rates: Rates = RATES) -> tuple[float, float]:
    """Seconds of the fused kernel and of the plain path for float32 points; see the module's docstring."""
    operations = 2.0 * batch * n * rows * products
    both = 8.0 * batch * n  # the point read, the value written
    between = 4.0 * batch * (n + 4 * rows * products)  # the point read again, levels written and read twice
    # Without that, `half_spaces` also writes its levels and reads them.
    levels = 2 * rows if products == 2 else 0
    again = 0.0 if held_whole(n, rows, products) else 4.0 * batch * (n + levels)
    fused = rates.launch + max((both + again) / rates.memory, operations / rates.fused)
    launches = 3 + products
    plain = launches * rates.launch + (both + between) / rates.memory + operations / rates.library
    return fused, plain


@cache
def _found() -> bool:
    return find_spec("triton") is not None


@torch.compiler.assume_constant_result
def _possible() -> bool:
    """Whether Triton is there and no transform is under way that operators of a library have no rule for."""
    if forward_ad._current_level >= 0 or torch.onnx.is_in_onnx_export() or not _found():
        return False
    if maybe_current_level() is None:
        return True
    return all(entry.key() == TransformType.Vmap for entry in retrieve_all_functorch_interpreters())
