"""The facade: `constrain(P)` and the paper's layer `ConstrainedLinear`."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from .errors import InvalidInputError, UnsupportedSetError, check_choice
from .parameterizations import AbstractParameterization, Strict, parameterization
from .planner import plan
from .polyhedron import Polyhedron, check_features

Norm = Literal["batch", "layer"]
Init = Literal["paper", "default"]


def constrain(
    polyhedron: Polyhedron,
    method: str = "auto",
    strict: Strict = False,
    check_finite: bool = False,
    setup: bool = True,
    **options: Any,
) -> AbstractParameterization:
    """A module whose every output lies in `polyhedron`.

    Args:
        polyhedron: the set.
        method: the name of a parameterization, of this package or of one that registers it, or "auto" for
            what `plan(polyhedron)` chooses.
        strict: False: every row holds up to rounding. True: every inequality of the user's own A, b and
            lower holds exactly for the returned floating-point numbers, in float16, bfloat16, float32 and
            float64, whatever the precision of matrix products is set to; equalities hold up to
            rounding. "tight": the same with residuals computed in float64, so that points move by a few
            units in the last place only. See docs/strict.md.
        check_finite: refuse NaN and infinity in the input; otherwise such a sample is NaN in strict mode.
        setup: False builds the module without its constants, for `load_state_dict`; needs a `method`.
        **options: passed to the parameterization (`engine=`, `max_rays=` for "rays", `rtol=` for "refined"),
            or to `plan` (`budget=`). `gradient="inward"` for "box", "half_spaces", "shift", "gauge",
            "blocks": latent points outside are pulled back where that lowers the loss; values are the same
            (`parameterizations/_gradient.py`).

    Returns:
        `nn.Module`, (*batch, module.in_features) -> (*batch, n).

    Raises:
        UnknownNameError: no method has this name.
        UnsupportedSetError: the method cannot serve the set; the text says why.
        InfeasibleError: the set is empty.
        TypeError: an option that the method does not have.
    """
    if not isinstance(polyhedron, Polyhedron):
        raise InvalidInputError(
            f"expected a constrained.Polyhedron, found {type(polyhedron).__name__}; try Polyhedron(A)"
        )
    common: dict[str, Any] = {"strict": strict, "check_finite": check_finite}
    if method != "auto":
        entry = parameterization(method)
        if not setup:  # what else there is is in the file
            kept = {"gradient": options["gradient"]} if "gradient" in options else {}
            return entry.without_setup(polyhedron, **common, **kept)
        return entry(polyhedron, **common, **options)
    if not setup:
        raise InvalidInputError("setup=False needs the method that the state_dict was saved from")
    return plan(polyhedron, strict=strict, **options).build(check_finite=check_finite)


class BoxScaling(nn.Module):
    """`x -> x / max(1, ||x||_inf)`: into the box `[-1, 1]^n` along the ray through the origin.

    Keeps a point of a convex set that contains the origin inside the set. In evaluation mode it is
    always on; in training mode only after epoch `scaling_epoch`, as told by `set_epoch`, so that
    the network first learns on the unscaled cone. Shapes: (*batch, n) -> (*batch, n).
    Source: arXiv 1902.01785, sec. 3, and the authors' published code.
    """

    epoch: Tensor
    """For the state_dict; the host is not to wait for it in every call."""

    def __init__(self, scaling_epoch: int = 25) -> None:
        super().__init__()
        self.scaling_epoch = scaling_epoch
        self.register_buffer("epoch", torch.tensor(0))
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Tell the module which epoch is being trained (counted from 0)."""
        self.epoch.fill_(epoch)
        self._off = epoch <= self.scaling_epoch

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if not self.epoch.is_meta:
            self._off = int(self.epoch) <= self.scaling_epoch

    def forward(self, x: Tensor) -> Tensor:
        """The scaled point, or `x` itself while scaling is off."""
        if self.training and self._off:
            return x
        return x / x.abs().amax(-1, keepdim=True).clamp_min(1)

    def extra_repr(self) -> str:
        """For `print(module)`."""
        return f"scaling_epoch={self.scaling_epoch}"


class ConstrainedLinear(nn.Module):
    """The paper's layer: BatchNorm1d -> Linear -> constrained activation, optionally into a box.

    With `method="rays"`: `x = |W BN(h) + c| R` with the unit-norm rays R of the cone. The weights
    start uniform in +-1/in_features, the bias at 0. Without options it is the published layer.

    Where incoming features are nearly constant in the training data (the margin of an image), BatchNorm1d
    divides them by a standard deviation near 0, and a new sample that differs there comes out
    far off. What keeps the layer and drops that, and learns with fewer weights:

        ConstrainedLinear(k, P, norm="layer", lines="free", coefficients="softplus")

    For rows that are linearly independent, without any rays:

        ConstrainedLinear(k, P, method="half_spaces", norm=None, gradient="inward")

    Args:
        in_features: size of the incoming features.
        polyhedron: the set of the outgoing activation, with n features.
        method: see `constrain`.
        box: also keep every activation in [-1, 1]^n, by `BoxScaling`; the set must contain 0.
        scaling_epoch: in training mode, the box is on after this epoch; see `set_epoch`.
        norm: "batch", `BatchNorm1d` as published; "layer", `LayerNorm`, every sample by itself, the same in
            training and evaluation; None, no normalisation.
        init: "paper", as above; "default", what `nn.Linear` starts with, wider by sqrt(in_features).
        **options: see `constrain`.

    Shapes: (*batch, in_features) -> (*batch, n).

    Source: Frerix, Niessner, Cremers, arXiv 1902.01785, sec. 3 and 4.
    """

    def __init__(
        self,
        in_features: int,
        polyhedron: Polyhedron,
        method: str = "rays",
        box: bool = False,
        scaling_epoch: int = 25,
        norm: Norm | None = "batch",
        init: Init = "paper",
        **options: Any,
    ) -> None:
        super().__init__()
        if in_features < 1:
            raise InvalidInputError(f"in_features must be at least 1; found {in_features}")
        if box and not bool(polyhedron.contains([0.0] * polyhedron.n)):
            raise UnsupportedSetError(
                "box=True scales towards the origin, which is not in this set; "
                "add the box to the polyhedron instead"
            )
        self.in_features, self.out_features = in_features, polyhedron.n
        self.norm = _norm(norm, in_features)
        self.activation = constrain(polyhedron, method, **options)
        self.linear = nn.Linear(in_features, self.activation.in_features)
        check_choice("init", init, ("paper", "default"))
        if init == "paper":
            nn.init.uniform_(self.linear.weight, -1 / in_features, 1 / in_features)
            nn.init.zeros_(self.linear.bias)
        self.box = BoxScaling(scaling_epoch) if box else None

    def set_epoch(self, epoch: int) -> None:
        """Tell the layer which epoch is being trained (counted from 0); matters only with `box=True`."""
        if self.box is not None:
            self.box.set_epoch(epoch)

    def forward(self, h: Tensor) -> Tensor:  # (*batch, in_features) -> (*batch, n)
        """Activations inside the set."""
        check_features(self.in_features, h, "h", f"in_features is {self.in_features}")
        flat = self.norm(h.reshape(-1, self.in_features))
        x = self.activation(self.linear(flat))
        x = x if self.box is None else self.box(x)
        return x.view(*h.shape[:-1], self.out_features)


def _norm(norm: str | None, features: int) -> nn.Module:
    check_choice("norm", norm, ("batch", "layer", None))
    if norm is None:
        return nn.Identity()
    return nn.BatchNorm1d(features) if norm == "batch" else nn.LayerNorm(features)
