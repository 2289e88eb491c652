"""What every parameterization is: an `nn.Module` from latent points to points of a polyhedron."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InvalidInputError, UnsupportedSetError, check_choice
from ..polyhedron import Polyhedron, check_features
from ._gradient import GRADIENTS, Gradient

Strict = bool | Literal["tight"]


class AbstractParameterization(nn.Module, ABC):
    """A map `(*batch, in_features) -> (*batch, n)` whose every value lies in the polyhedron.

    The promise holds up to the rounding of the dtype: a row `a x <= b` is exceeded by at most a
    small multiple of `eps * (|a| |x| + |b|)`; in strict mode it holds exactly (docs/strict.md).

    The output has the dtype of the input. The constants are float32, or float64 after `.double()`;
    narrower inputs (float16, bfloat16) are computed with in the dtype of the constants, under
    autocast too. A constant that changes its dtype is made anew from its float64 value, so that
    `.double()` loses nothing.

    A new one is a file beside this one and a line in the tuple of `__init__.py`.

    Args:
        polyhedron: the set.
        strict: False, True or "tight"; see `constrained.constrain`.
        check_finite: refuse NaN and infinity in the input with `InvalidInputError`. Costs a pass over
            the input and, on CUDA, a synchronisation.
        gradient: "exact", the derivative, or "inward", see `_gradient.py`; it is no part of a state_dict.
    """

    name: ClassVar[str]
    surjective: ClassVar[bool]
    """Whether every point of the set is a value of the map."""
    projection: ClassVar[bool] = False
    """Whether the map takes a point of n features and is the identity on the set."""
    inward: ClassVar[bool] = False
    """Whether the map has `gradient="inward"`."""
    citation: ClassVar[str]
    per_sample: ClassVar[tuple[str, ...]] = ()
    """Which of A, b, lower and interior `forward` takes for each sample."""
    in_features: int
    out_features: int

    def __init__(
        self,
        polyhedron: Polyhedron,
        strict: Strict = False,
        check_finite: bool = False,
        gradient: Gradient = "exact",
        **options: Any,
    ) -> None:
        if options:
            raise TypeError(f"{self.name} has no option {', '.join(map(repr, options))}")
        super().__init__()
        self._begin(polyhedron, strict, check_finite, gradient)
        self.check(polyhedron)

    def _begin(self, polyhedron: Polyhedron, strict: Strict, check_finite: bool, gradient: Gradient) -> None:
        if strict not in (False, True, "tight"):
            raise InvalidInputError(f"strict must be False, True or 'tight'; found {strict!r}")
        _check_gradient(self, gradient)
        self.out_features = polyhedron.n
        self.strict: Strict = strict
        self.check_finite = check_finite
        self.gradient: Gradient = gradient
        self.blank = False
        self.dtype = torch.promote_types(torch.get_default_dtype(), torch.float32)
        self._exact: dict[str, dict[torch.dtype, np.ndarray]] = {}
        self._coarse = False

    @classmethod
    @final
    def without_setup(
        cls,
        polyhedron: Polyhedron,
        strict: Strict = False,
        check_finite: bool = False,
        gradient: Gradient = "exact",
    ) -> Self:
        """A module without constants, for `load_state_dict`: nothing is enumerated or factorised."""
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        module._begin(polyhedron, strict, check_finite, gradient)
        module.blank = True
        module.prepare_blank(polyhedron)
        return module

    def prepare_blank(self, polyhedron: Polyhedron) -> None:
        """What `without_setup` needs beside the buffers: attributes and children known without set-up."""

    def refresh(self) -> None:
        """Derive from the buffers what is kept beside them; call it after set-up, it runs after loading."""

    def lay_out(self) -> None:
        """Derive from the buffers what depends on the device; `refresh` does so too."""

    @property
    def pinned(self) -> tuple[str, ...]:
        """Constants that stay float64 whatever the dtype of the module."""
        return ()

    @classmethod
    @abstractmethod
    def accepts(cls, polyhedron: Polyhedron) -> str | None:
        """`None` if the map serves this set, otherwise the reason why it does not, as a sentence."""

    @abstractmethod
    def map(self, z: Tensor, **rows: Tensor) -> Tensor:  # (*batch, in_features) -> (*batch, n)
        """The map itself, without checks; `rows` are the per-sample constraints, those that were given."""

    def strict_map(self, z: Tensor, dtype: torch.dtype, **rows: Tensor) -> Tensor:
        """As `map`, with a value that is exactly feasible once it is rounded to `dtype`, as it is here."""
        raise UnsupportedSetError(f"method {self.name!r} has no strict mode")

    def takes_narrow(self, z: Tensor) -> bool:
        """Whether the map reads `z`, on CUDA and narrower than the constants, as it is (`kernels/`)."""
        return False

    @classmethod
    @final
    def check(cls, polyhedron: Polyhedron) -> None:
        """Raise `UnsupportedSetError` with the reason unless the map serves this set."""
        if (reason := cls.accepts(polyhedron)) is not None:
            raise UnsupportedSetError(f"method {cls.name!r} cannot serve {polyhedron}: {reason}")

    @final
    def forward(
        self,
        z: Tensor,  # (*batch, in_features)
        *,
        A: Tensor | None = None,  # (*batch, m, n)
        b: Tensor | None = None,  # (*batch, m)
        lower: Tensor | None = None,  # (*batch, m)
        interior: Tensor | None = None,  # (*batch, n)
    ) -> Tensor:  # (*batch, n)
        """Points of the set for latent points `z`, in the dtype of `z`.

        Args:
            z: latent points.
            A, b, lower: constraints of each sample, in the place of the set's own.
            interior: of each sample, a strictly feasible point, or for "shift" a direction.

        Raises:
            InvalidInputError: a wrong last dimension, a dtype that is not floating or wider than that of
                the constants; NaN or infinity with `check_finite=True`.
            UnsupportedSetError: the method takes no such argument per sample.
        """
        rows = {}
        if not (A is None and b is None and lower is None and interior is None):
            given = {"A": A, "b": b, "lower": lower, "interior": interior}
            rows = {name: value for name, value in given.items() if value is not None}
        # Whatever could be wrong costs microseconds to look at, so first what is right nearly always.
        usual = z.ndim and z.shape[-1] == self.in_features and z.dtype == self.dtype
        if not usual or rows or self.check_finite or self.blank:
            self._check_call(z, rows)
        kind = z.device.type
        if kind != "meta" and torch.is_autocast_enabled(kind):
            # Residuals in bfloat16 would be off by 1 %: constraints, like losses, are kept out of autocast.
            with torch.autocast(kind, enabled=False):
                return self._call(z, rows)
        return self._call(z, rows)

    def _call(self, z: Tensor, rows: dict[str, Tensor]) -> Tensor:
        """The map in the dtype of the constants, its value in that of the input."""
        dtype, work = z.dtype, self.dtype
        if dtype != work and not (z.is_cuda and not rows and self.takes_narrow(z)):
            z = z.to(work)
        if rows:
            rows = {name: value.to(work) for name, value in rows.items()}
        if self.strict:
            return self.strict_map(z, dtype, **rows)
        x = self.map(z, **rows)
        return x if dtype == work else x.to(dtype)

    def _check_call(self, z: Tensor, rows: dict[str, Tensor]) -> None:
        if self.blank:
            raise InvalidInputError(f"{self.name} was built without set-up: load a state_dict first")
        check_features(self.in_features, z, "z", f"{self.name} has {self.in_features} latent features")
        if z.dtype == torch.float64 and self.dtype != torch.float64:
            raise InvalidInputError(
                f"z is float64, the constants of {self.name} are float32: call .double() on the module"
            )
        if unknown := [name for name in rows if name not in self.per_sample]:
            raise UnsupportedSetError(
                f"method {self.name!r} takes no {', '.join(unknown)} per sample; "
                f"it takes: {', '.join(self.per_sample) or 'none'}"
            )
        if self.check_finite and not bool(torch.isfinite(z).all()):
            raise InvalidInputError("z holds NaN or infinity; look at the layers before this one")

    @final
    def value(self, name: str) -> np.ndarray:
        """A constant as it is used, rounded to its dtype, in float64."""
        return getattr(self, name).detach().double().cpu().numpy()

    @final
    def constant(self, name: str, value: np.ndarray, double: np.ndarray | None = None) -> None:
        """Register a buffer that remembers its float64 value; `double` is another value for float64."""
        single = np.array(value, dtype=np.float64, order="C")
        wide = single if double is None else np.array(double, dtype=np.float64, order="C")
        self._exact[name] = {torch.float32: single, torch.float64: wide}
        self.register_buffer(name, torch.tensor(self._exact[name][self.dtype], dtype=self._dtype_of(name)))

    def _dtype_of(self, name: str) -> torch.dtype:
        return torch.float64 if name in self.pinned else self.dtype

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `.to(...)` goes through: a constant that changes its dtype is rounded from float64."""
        probe = fn(torch.empty(0, dtype=self.dtype))
        before = {name: b for name, b in self._buffers.items() if b is not None and b.is_floating_point()}
        super()._apply(fn, recurse)
        was, self.dtype = self.dtype, torch.promote_types(probe.dtype, torch.float32)
        for name, old in before.items():
            dtype, buffer = self._dtype_of(name), getattr(self, name)
            if self.dtype == was and buffer.dtype == dtype:
                continue
            exact = self._exact.get(name)
            value = old if exact is None else torch.as_tensor(exact[self.dtype])
            setattr(self, name, value.to(buffer.device, dtype))
        if not self.blank:
            self.refresh() if self.dtype != was else self.lay_out()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Values from a file replace a constant for good, unless they are its own, rounded."""
        if self.blank:
            self._register(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        for name, values in list(self._exact.items()):
            buffer = getattr(self, name)
            if not torch.equal(buffer, torch.as_tensor(values[self.dtype]).to(buffer)):
                del self._exact[name]
                self._coarse |= buffer.dtype != torch.float64
        if not self.blank:
            self.refresh()

    def _register(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Buffers of the shapes in the file, for a module that was built without set-up."""
        for key, value in state_dict.items():
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and "." not in name:
                floating = value.is_floating_point()
                self._coarse |= floating and value.dtype != torch.float64
                dtype = self._dtype_of(name) if floating else value.dtype
                self.register_buffer(name, torch.empty_like(value, dtype=dtype))
                self.blank = False

    def extra_repr(self) -> str:
        """The sizes, for `print(module)`."""
        strict = f", strict={self.strict!r}" if self.strict else ""
        gradient = "" if self.gradient == "exact" else f", gradient={self.gradient!r}"
        return f"in_features={self.in_features}, out_features={self.out_features}{strict}{gradient}"


def _check_gradient(module: AbstractParameterization, gradient: str) -> None:
    check_choice("gradient", gradient, GRADIENTS)
    if gradient == "inward" and not module.inward:
        raise InvalidInputError(
            f"method {module.name!r} has no gradient='inward'; try gradient='exact', or method='gauge'"
        )
