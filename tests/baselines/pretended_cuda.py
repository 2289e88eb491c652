"""A CUDA device that is not there: its tensors have their values on the host and refuse to meet others.

    with pretended_cuda():
        x = torch.ones(3, device="cuda")    # x.is_cuda; x + torch.ones(3) raises RuntimeError

For torch code that no device has run yet, other people's included: which tensors it makes on the host, which
of its calls are made for the host alone. The rule is torch's: tensors of two devices do not meet, but that a
number (0-d) of the host may, and that indices may. The device is called "meta" inside, since a torch without
CUDA differentiates nothing that calls itself "cuda". Precision, order of summation and kernels that do not
exist are not told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

MOVED = ("aten::_to_copy", "aten::copy_", "aten::_local_scalar_dense")
"""What takes tensors of two devices, or gives a number."""
INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
INSIDE = torch.device("meta")


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """Within it there is a CUDA device."""
    there = patch("torch.cuda.is_available", lambda: True)
    idle = patch("torch.cuda.synchronize", lambda device=None: None)
    with there, idle, _Renamed(), _Everything():
        yield


class Pretended(torch.Tensor):
    """A tensor of the device; `values` are on the host."""

    __slots__ = ["values"]
    is_cuda = True

    @staticmethod
    def __new__(cls, values):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=INSIDE,
        )
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Renamed(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        args, kwargs = tree_map(_renamed, (args, kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == INSIDE:
            # For "meta" torch would not read the values.
            return func(*args, **(kwargs | {"device": "cpu"})).to(INSIDE)
        return func(*args, **kwargs)


def _renamed(x):
    cuda = x.type == "cuda" if isinstance(x, torch.device) else isinstance(x, str) and x == "cuda"
    return INSIDE if cuda else x


class _Everything(TorchDispatchMode):
    """What makes tensors of no others comes here."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _run(func, args, kwargs):
    name = func._schema.name
    there = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Pretended)]
    _check(name, args, kwargs)
    stays = isinstance(args[0], Pretended) if name == "aten::copy_" else bool(there)
    if (device := kwargs.get("device")) is not None:
        stays = device == INSIDE
        kwargs = kwargs | {"device": torch.device("cpu")}
    unpivoted = name == "aten::linalg_lu_factor_ex" and not kwargs.get("pivot", True)
    call = _lu_without_pivots if unpivoted else func
    found = call(*tree_map(_values, args), **tree_map(_values, kwargs))
    same = {id(tensor.values): tensor for tensor in there}  # what was changed in place is what it was

    def wrapped(x):
        return same.get(id(x), Pretended(x)) if stays and isinstance(x, torch.Tensor) else x

    return tree_map(wrapped, found)


def _check(name, args, kwargs):
    """Raise `RuntimeError` where tensors of both meet."""
    if name in INDEXED:
        args = (args[0], *args[2:])
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if name in MOVED or not any(isinstance(tensor, Pretended) for tensor in tensors):
        return
    for tensor in tensors:
        if tensor.dim() and not isinstance(tensor, Pretended):
            raise RuntimeError(f"{name}: {tuple(tensor.shape)} of the host meets tensors of the device")


def _values(x):
    return x.values if isinstance(x, Pretended) else x


def _lu_without_pivots(A, pivot=False, check_errors=False):
    """Which torch has on CUDA alone: (LU, pivots that mean nothing, info)."""
    LU = A.clone()
    for k in range(A.shape[-1] - 1):
        LU[..., k + 1 :, k] /= LU[..., k, k, None]
        LU[..., k + 1 :, k + 1 :] -= LU[..., k + 1 :, k, None] * LU[..., k, None, k + 1 :]
    nothing = torch.zeros(A.shape[:-1], dtype=torch.int32)
    return LU, nothing, nothing[..., 0].clone()
