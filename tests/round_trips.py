"""Host round trips, found without a device: where the host waits for a value, or a constant comes from there.

    with round_trips() as found:
        layer(z).sum().backward()
    assert not found                # ["item at constrained/parameterizations/_guard.py:29", ...]

Noted are values that the host reads (`item`, `bool`, `tolist`, `numpy`, `cpu`, `equal`), shapes that values
decide (`nonzero`, `x[mask]`, `unique`, `repeat_interleave`), checked factorisations, and constants made on
the host, each of which is a copy to the device (`torch.tensor`, `from_numpy`); each with the innermost line
of ours.

On the CPU every tensor stands for one on a device. With `device="cuda"`, on a machine that has one, only
tensors there count, and copies between the two are seen whatever asked for them. Not seen on the CPU:
`x.to(device)` with a device that is computed, and what a library does within a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from constrained.parameterizations import _guard

ROOT = Path(__file__).parents[1]
OURS = tuple(f"{ROOT / name}/" for name in ("constrained", "baselines", "bench"))
TORCH = f"{Path(torch.__file__).parent}/"
HOST_STATE = (f"{TORCH}optim/", "/triton/")
"""An optimiser counts its steps on the host, and Triton's interpreter stands for a kernel."""

OPERATORS = {
    "allclose": "equal",
    "_local_scalar_dense": "item",
    "_linalg_check_errors": "factorisation that is checked",
    "_linalg_eigh": "factorisation that is checked",
    "_linalg_svd": "factorisation that is checked",
    "bincount": "bincount",
    "equal": "equal",
    "is_nonzero": "item",
    "item": "item",
    "masked_select": "masked_select",
    "nonzero": "nonzero",
    "unique_consecutive": "unique",
    "unique_dim": "unique",
    "_unique": "unique",
    "_unique2": "unique",
}
FUNCTIONS = {
    Tensor.item: "item",
    Tensor.__bool__: "item",
    Tensor.__float__: "item",
    Tensor.__int__: "item",
    Tensor.__index__: "item",
    Tensor.tolist: "tolist",
    Tensor.numpy: "numpy",
    Tensor.__array__: "numpy",
    Tensor.cpu: "cpu",
    Tensor.__repr__: "repr",
    torch.tensor: "torch.tensor",
    torch.as_tensor: "torch.tensor",
    torch.asarray: "torch.tensor",
    Tensor.new_tensor: "torch.tensor",
}
"""What needs no operator on the CPU, or hides it."""


class Notes(list[str]):
    """What was found; nothing is noted within what was."""

    device: str | None = None
    quiet = False

    def add(self, name: str) -> None:
        """A round trip, with where it was asked for."""
        if not self.quiet and (line := _line()) is not None:
            self.append(f"{name} at {line}")

    def counts(self, *values: Any) -> bool:
        """Whether a tensor among the values is, or stands for one, on the device."""
        tensors = [v for v in values if isinstance(v, Tensor)]
        return any(self.device is None or v.device.type == self.device for v in tensors)

    def within(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """The call, its insides not noted."""
        was, self.quiet = self.quiet, True
        try:
            return function(*args, **kwargs)
        finally:
            self.quiet = was


@contextmanager
def round_trips(device: str | None = None) -> Iterator[Notes]:
    """The round trips of the block, as they are found; backward passes are part of it."""
    notes = Notes()
    notes.device = device
    from_numpy = torch.from_numpy  # which no mode sees

    def noted(array: Any) -> Tensor:
        if device is None:
            notes.add("torch.from_numpy")
        return from_numpy(array)

    with _Operators(notes), _Functions(notes), mock.patch.object(torch, "from_numpy", noted):
        yield notes


def forbid_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The branches of CUDA, as far as they depend on whether values may be looked at."""
    original = _guard.may_look
    for name, module in list(sys.modules.items()):
        if name.startswith("constrained.") and getattr(module, "may_look", None) is original:
            monkeypatch.setattr(module, "may_look", lambda x: False)


class _Operators(TorchDispatchMode):
    """What reaches the dispatcher, from Python, C++ and the backward pass alike."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = _operator(func, args, kwargs)
        if name is not None and self.notes.counts(*args):
            self.notes.add(name)
        if func.namespace == "constrained":  # written in Python: what it calls is looked at too
            with self, torch._C._EnableTorchFunction(), _Functions(self.notes):
                result = func.redispatch(_keys(args), *args, **kwargs)
        else:
            result = func(*args, **kwargs)
        if self.notes.device is not None and _crosses(func, args, result, self.notes.device):
            self.notes.add("copy")
        return result


class _Functions(TorchFunctionMode):
    """What does not reach it."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: Any = None) -> Any:
        kwargs, notes = kwargs or {}, self.notes
        name = _function(func, args, kwargs)
        if name is None:
            return func(*args, **kwargs)
        # With a device, a constant of the host counts once it is copied there.
        if notes.device is None or notes.counts(*args):
            notes.add(name)
        return notes.within(func, args, kwargs)


def _keys(args: tuple) -> torch._C.DispatchKeySet:
    device = next(v.device.type for v in args if isinstance(v, Tensor))
    return torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, device.upper()))


def _operator(func: Any, args: tuple, kwargs: dict[str, Any]) -> str | None:
    packet = func._schema.name.removeprefix("aten::")
    if packet in ("index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"):
        return _index(packet, args)
    if packet == "repeat_interleave" and func._overloadname == "Tensor":
        return None if kwargs.get("output_size") is not None else "repeat_interleave"
    return OPERATORS.get(packet)


def _index(packet: str, args: tuple) -> str | None:
    given = [i for i in args[1] if i is not None]
    if not any(map(_is_mask, given)):
        return None
    # `x[mask] = number` is a masked_fill on every device; of a number on the device, `_function` knows.
    filled = "put" in packet and len(given) == 1 and args[2].dim() == 0
    return None if filled else "index by a mask"


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)


def _function(func: Any, args: tuple, kwargs: dict[str, Any]) -> str | None:
    if func is Tensor.to:
        return "cpu" if "cpu" in (*(a for a in args if isinstance(a, str)), kwargs.get("device")) else None
    if func is Tensor.__setitem__ and isinstance(args[2], Tensor) and args[2].dim() == 0:
        return "index by a mask" if _is_mask(args[1]) else None
    try:
        name = FUNCTIONS.get(func)
    except TypeError:  # a function that cannot be hashed
        return None
    taken_as_it_is = func in (torch.as_tensor, torch.asarray) and isinstance(args[0], Tensor)
    return None if taken_as_it_is else name


def _crosses(func: Any, args: tuple, result: Any, device: str) -> bool:
    """Whether an operator copied between the host and the device, other than a number."""
    name = func._schema.name
    if name not in ("aten::_to_copy", "aten::copy_") or not isinstance(result, Tensor):
        return False
    source = args[1] if name == "aten::copy_" else args[0]
    return device in (kinds := {source.device.type, result.device.type}) and len(kinds) == 2


def _line() -> str | None:
    """The innermost line of ours, otherwise the innermost outside torch; None for what is of the host."""
    frames = list(_frames(sys._getframe(1))) or [("a thread of the backward pass", 0)]
    own = next((i for i, (file, _) in enumerate(frames) if file.startswith(OURS)), None)
    if own is None:
        own = next((i for i, (file, _) in enumerate(frames) if not file.startswith(TORCH)), 0)
    if any(part in file for file, _ in frames[:own] for part in HOST_STATE):
        return None
    file, line = frames[own]
    return f"{file.removeprefix(f'{ROOT}/')}:{line}"


def _frames(frame: FrameType | None) -> Iterator[tuple[str, int]]:
    """Files and lines from the innermost outwards, without those of this module."""
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
