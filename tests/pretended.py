"""Modules on a CUDA device that is not there: shapes, dtypes and devices of every operator, without values.

    with pretended_cuda():
        layer = moved(layer)
        layer(torch.empty(5, 3, device="cuda"))

Fake tensors of torch have a device: branches for CUDA are taken, an operator on two devices raises, so does
what needs a value. Forward only: a build of torch without CUDA has no device for a backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """Tensors made within are fake; those from outside may not be used."""
    with torch.no_grad(), FakeTensorMode(), _Methods():
        yield


def moved(module: nn.Module) -> nn.Module:
    """The module with fake parameters and buffers on the device, in its place."""
    for part in module.modules():
        for name, value in (*part._buffers.items(), *part._parameters.items()):
            if value is not None:
                there = torch.empty(value.shape, dtype=value.dtype, device="cuda")
                kind = nn.Parameter(there, requires_grad=False) if isinstance(value, nn.Parameter) else there
                setattr(part, name, kind)
    return module


class _Methods(TorchFunctionMode):
    """`x[i, :, None]`, `x.contiguous()`, `~x` by operators: as methods of Python they ask for the device."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        if func is Tensor.__getitem__:
            return _item(args[0], args[1] if isinstance(args[1], tuple) else (args[1],))
        if func is Tensor.contiguous:
            return args[0].clone(memory_format=torch.contiguous_format)
        if func is Tensor.__invert__:
            return torch.bitwise_not(args[0])
        return func(*args, **(kwargs or {}))


def _item(x: Tensor, index: tuple) -> Tensor:
    if Ellipsis in index:
        at = index.index(Ellipsis)
        kept = x.ndim - sum(i is not None for i in index) + 1
        index = index[:at] + (slice(None),) * kept + index[at + 1 :]
    axis = 0
    for i in index:
        if i is None:
            x = x.unsqueeze(axis)
        elif isinstance(i, slice):
            start, stop, step = i.indices(x.shape[axis])
            x = torch.ops.aten.slice(x, axis, start, stop, step)
        else:
            x = x.select(axis, i)
            continue
        axis += 1
    return x
