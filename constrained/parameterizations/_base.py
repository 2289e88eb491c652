"""What every parameterization is: an `nn.Module` from latent points to points of a polyhedron."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self, final

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import UnsupportedSetError
from ..polyhedron import Polyhedron, check_features


class AbstractParameterization(nn.Module, ABC):
    """A map `(*batch, in_features) -> (*batch, n)` whose every value lies in the polyhedron.

    The promise holds up to the rounding of the dtype: a row `a x <= b` is exceeded by at most a
    small multiple of `eps * (|a| |x| + |b|)`. What the map needs is in buffers of torch's default
    dtype; `module.to(dtype)` makes them anew from their float64 values, so that `.double()` loses
    nothing.

    A new one is a file beside this one and a line in the tuple of `__init__.py`.
    """

    name: ClassVar[str]
    surjective: ClassVar[bool]
    """Whether every point of the set is a value of the map."""
    projection: ClassVar[bool] = False
    """Whether the map can be the orthogonal projection (`identity` on the set, same features)."""
    citation: ClassVar[str]
    in_features: int
    out_features: int

    def __init__(self, polyhedron: Polyhedron, **options: Any) -> None:
        if options:
            raise TypeError(f"{self.name} has no option {', '.join(map(repr, options))}")
        super().__init__()
        self.check(polyhedron)
        self.out_features = polyhedron.n
        self._exact: dict[str, np.ndarray] = {}

    @classmethod
    @abstractmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """`None` if the map serves this set, otherwise the reason why it does not, as a sentence."""

    @abstractmethod
    def map(self, z: Tensor) -> Tensor:  # (*batch, in_features) -> (*batch, n)
        """The map itself, without checks."""

    @classmethod
    @final
    def check(cls, polyhedron: Polyhedron) -> None:
        """Raise `UnsupportedSetError` with the reason unless the map serves this set."""
        if (reason := cls.accepts(polyhedron)) is not None:
            raise UnsupportedSetError(f"method {cls.name!r} cannot serve {polyhedron}: {reason}")

    @final
    def forward(self, z: Tensor) -> Tensor:  # (*batch, in_features) -> (*batch, n)
        """Points of the set for latent points `z`.

        Raises `InvalidInputError` for a wrong last dimension or a dtype that is not floating.
        """
        check_features(self.in_features, z, "z", f"{self.name} has {self.in_features} latent features")
        return self.map(z)

    @final
    def constant(self, name: str, value: np.ndarray) -> None:
        """Register a buffer in torch's default dtype that remembers its float64 value."""
        self._exact[name] = np.array(value, dtype=np.float64)
        self.register_buffer(name, torch.tensor(self._exact[name], dtype=torch.get_default_dtype()))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `.to(...)` goes through: a constant that changes its dtype is rounded from float64."""
        before = {name: getattr(self, name).dtype for name in self._exact}
        super()._apply(fn, recurse)
        for name, dtype in before.items():
            if (buffer := getattr(self, name)).dtype != dtype:
                setattr(self, name, torch.as_tensor(self._exact[name]).to(buffer))
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Values from a file replace a constant for good, unless they are its own, rounded."""
        super()._load_from_state_dict(*args, **kwargs)
        for name, value in list(self._exact.items()):
            buffer = getattr(self, name)
            if not torch.equal(buffer, torch.as_tensor(value).to(buffer)):
                del self._exact[name]

    def extra_repr(self) -> str:
        """The sizes, for `print(module)`."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
