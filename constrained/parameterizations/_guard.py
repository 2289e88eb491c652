"""What keeps a strict map's promise at the ends of the range: infinity, NaN, overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..rounding import unit


def may_look(x: Tensor) -> bool:
    """Whether a value may decide which branch is taken, cheaply: on the CPU, and not while tracing."""
    return x.device.type == "cpu" and not tracing()


def tracing() -> bool:
    """Whether a graph is being recorded, by torch.compile, torch.export or torch.jit.trace."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def below(h: Tensor, bound: float) -> bool:
    """Whether every entry is less than `bound`; False for NaN, and under a transform that hides values."""
    try:
        return h.detach().max().item() < bound
    except RuntimeError:  # torch.func.vmap, an empty batch
        return False


def all_finite(x: Tensor) -> bool:
    """Whether every entry is surely finite; False where that may not be looked at, or the sum overflows.

    By the sum, which takes a third of the time of the largest absolute entry.
    """
    try:
        return may_look(x) and math.isfinite(x.detach().sum().item())
    except RuntimeError:  # torch.func.vmap
        return False


def largest(x: Tensor) -> Tensor:  # (batch, n) -> (batch, 1)
    """The largest absolute entry of each sample, without a gradient."""
    return x.detach().abs().amax(-1, keepdim=True)


def only_finite(x: Tensor, z: Tensor) -> Tensor:  # (*batch, n), (*batch, k) -> (*batch, n)
    """`x`, NaN for each sample whose input `z` is not finite; not by `0 * z`, which compilers drop."""
    if all_finite(z):
        return x
    return torch.where(largest(z) < torch.inf, x, torch.nan)


def limit(dtype: torch.dtype) -> float:
    """What may be stored in a dtype without overflow, with room for a few roundings."""
    return torch.finfo(dtype).max * (1 - 4 * unit(dtype))


def without_overflow(size: Tensor, x: Tensor) -> Tensor:  # (batch, 1), (batch, n) -> (batch, 1)
    """The norm of `x`, from its largest entry where the sum of squares is not finite."""
    return torch.where(torch.isfinite(size), size, largest(x) * x.shape[-1] ** 0.5)


def flatten(z: Tensor) -> Tensor:  # (*batch, n) -> (batch, n)
    """The batch dimensions as one."""
    return z if z.ndim == 2 else z.reshape(-1, z.shape[-1])


def like(z: Tensor, x: Tensor) -> Tensor:  # (*batch, n), (batch, n) -> (*batch, n)
    """The inverse of `flatten`."""
    return x if z.ndim == 2 else x.reshape(z.shape)
