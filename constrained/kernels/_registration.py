"""How an operator is registered with torch: for every device, for graphs, for autograd and for vmap."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def interpreted() -> bool:
    """Whether Triton's interpreter stands in for the device, so that the kernels run on CPU tensors too."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def runs_kernels(x: Tensor) -> bool:
    """Whether the operators run their kernels on `x`, and not the formula in operators of torch."""
    return x.device.type == "cuda" or interpreted()


def by_rows(columns: Tensor) -> Tensor | None:
    """An (n, q) matrix whose columns lie in one piece each, as the kernels read them; None on the CPU."""
    return columns.mT.contiguous().mT if runs_kernels(columns) else None


def register(
    schema: str,
    run: Callable[..., Any],
    fake: Callable[..., Any],
    fold: Callable[..., Any],
    autograd: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
) -> Any:
    """An operator of `torch.ops.constrained`.

    Args:
        schema: its name, arguments and values; written out, since not every torch reads it from annotations.
        run: what it does, on every device.
        fake: shapes and dtypes of the value, for graphs.
        fold: the rule for `torch.func.vmap`.
        autograd: what to keep for the backward pass, and that pass.
    """
    name, arguments = schema.split("(", 1)
    op = torch.library.custom_op(f"constrained::{name}", run, mutates_args=(), schema="(" + arguments)
    op.register_fake(fake)
    if hasattr(op, "register_vmap"):  # torch 2.5
        op.register_vmap(fold)
    if autograd is not None:
        keep, back = autograd
        op.register_autograd(back, setup_context=keep)
    return op


def samples_first(
    op: Callable[..., Any],
    samples: Sequence[int],
    info: Any,
    in_dims: Sequence[Any],
    arguments: Sequence[Any],
) -> tuple[Any, Any]:
    """For `torch.func.vmap`: samples of samples are samples, so the operator runs once, on all of them.

    `samples` are the positions of the arguments with one entry a sample. Where another argument differs
    between the batches, as the constants of an ensemble do, the operator runs once a batch.
    """
    size, full = info.batch_size, list(arguments)
    for k, value in enumerate(arguments):
        if isinstance(value, Tensor):
            batched = value.expand(size, *value.shape) if in_dims[k] is None else value.movedim(in_dims[k], 0)
            full[k] = batched if k in samples or in_dims[k] is not None else value
    differ = [k for k, v in enumerate(arguments) if isinstance(v, Tensor) and in_dims[k] is not None]
    if not set(differ) <= set(samples):
        return _once_a_batch(op, size, full, {*samples, *differ})
    for k in samples:
        if full[k] is not None:
            full[k] = full[k].reshape(-1, *full[k].shape[2:])
    value = op(*full)
    if isinstance(value, Tensor):
        return value.reshape(size, -1, *value.shape[1:]), 0
    return tuple(part.reshape(size, -1, *part.shape[1:]) for part in value), (0,) * len(value)


def _once_a_batch(op: Callable[..., Any], size: int, full: list[Any], split: set[int]) -> tuple[Any, Any]:
    values = [
        op(*(v[i] if k in split and isinstance(v, Tensor) else v for k, v in enumerate(full)))
        for i in range(size)
    ]
    if isinstance(values[0], Tensor):
        return torch.stack(values), 0
    return tuple(map(torch.stack, zip(*values, strict=True))), (0,) * len(values[0])
