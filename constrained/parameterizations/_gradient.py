"""The inward gradient: what a latent point outside the set is told about directions that lead inside.

A map that moves a point back by the excess of its rows, `h = relu(q)`, has the derivative 0 along a
step k that lowers an exceeded row and nothing else: x stays where it is until the row holds. So a row that
is exceeded once may stay so: nothing pulls the latent point back. With `gradient="inward"` the backward
pass adds what x does after that. For the loss L, g = dL/dh, each row with q > 0 adds

    dL/dz  <-  dL/dz + min(g, 0) k / |k|^2,      q(z + t k) = q(z) - t,   x(z + t k) = x(z)   (0 <= t <= q)

to the derivative. -g is how fast the loss falls once x moves along k: g < 0 where moving inside helps, and
otherwise nothing is added. The steps:

    box             feature above its bound: -1, below: +1
    half_spaces     row i: -A^+_i (the other rows keep their excess, since A A^+ = I)
    shift           e
    gauge           (c - z) / (1 + h)

It is not the derivative of the map, nor of any function. Values are the same, bit for bit. What is added
does not move x to first order, so a small step against the gradient moves x as a step against the
derivative does, and does not raise the loss. At a minimum over the set where each exceeded row pushes
outwards, nothing is added and the derivative is 0. For the box and for orthogonal rows the result is
-P_T(-dL/dx), P_T the projection onto the tangent cone of the set at x (of the rows that z exceeds): the
directional derivative of the projection at x in the direction of steepest descent.
Dropping the backward of relu where g < 0 is the same there, but for other rows it can raise the loss.

What is near the projection for rows of any number (refined, simplex, monotone) does not have it: which steps
leave x in place while several dependent rows hold it is a quadratic program, one a sample.

Source: ours. The tangent cone as derivative of the projection: Hiriart-Urruty and Lemarechal, Convex Analysis
and Minimization Algorithms I, sec. III.5.3; the same for a bound on one number: `lower_bound`
of TensorFlow Compression, gradient "identity_if_towards".
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Gradient = Literal["exact", "inward"]
GRADIENTS = ("exact", "inward")


def reaches_inward(gradient: Gradient) -> bool:
    """Whether it is the inward one, and a backward pass may come; without one there is nothing to prepare."""
    return gradient == "inward" and torch.is_grad_enabled()


def inward_relu(
    q: Tensor,  # (*batch, r)
    z: Tensor,  # (*batch, n)
    steps: Tensor,  # (r, n) or (*batch, r, n)
    fixed: Tensor | None = None,  # (r,) or (*batch, r), bool
) -> Tensor:  # (*batch, r)
    """`relu(q)` of the excess q of z; row i of `steps` lowers q_i by 1. Rows that are `fixed` add nothing."""
    return _Relu.apply(q, z, steps.detach(), fixed)


def inward_clip(z: Tensor, rows: Tensor, inverse: Tensor, upper: Tensor | None) -> Tensor:
    """`z + relu(z rows - upper) inverse` for orthogonal rows, (batch, n), (n, r), (r, n), (r,) -> (batch, n).

    What `inward_relu` adds is then what the derivative takes away, so that there is one product less.
    """
    return _Clip.apply(z, rows, inverse, upper)[0]


def inward_clamp(z: Tensor, low: Tensor, high: Tensor) -> Tensor:  # (*batch, n), (n,), (n,) -> (*batch, n)
    """`z.clamp(low, high)`."""
    return _Clamp.apply(z, low, high)


class _Relu(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(q: Tensor, z: Tensor, steps: Tensor, fixed: Tensor | None) -> Tensor:
        return torch.relu(q)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        q, _, steps, fixed = inputs
        ctx.save_for_backward(q, steps, fixed)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, steps, fixed = ctx.saved_tensors
        g = torch.where(q > 0, grads[0], 0)
        pull = g.clamp(max=0) if fixed is None else torch.where(fixed, 0, g.clamp(max=0))
        # A step of length 0 is that of a point in the centre, which exceeds nothing.
        squared = steps.square().sum(-1).clamp_min(torch.finfo(steps.dtype).tiny)
        pull = pull.to(steps.dtype) / squared
        back = pull @ steps if steps.ndim == 2 else (pull.unsqueeze(-2) @ steps).squeeze(-2)
        return g, back, None, None


class _Clip(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        z: Tensor, rows: Tensor, inverse: Tensor, upper: Tensor | None
    ) -> tuple[Tensor, Tensor]:  # the point, and which rows were exceeded
        over = z @ rows
        over = torch.relu(over if upper is None else over - upper)
        return torch.addmm(z, over, inverse), over > 0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _, rows, inverse, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1], rows, inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        exceeded, rows, inverse = ctx.saved_tensors
        v = grads[0]
        g = torch.where(exceeded, v @ inverse.mT, 0).clamp(min=0)
        return torch.addmm(v, g, rows.mT), None, None, None


class _Clamp(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return torch.clamp(z, low, high)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        z, low, high = ctx.saved_tensors
        g = grads[0]
        # A feature between equal bounds has nowhere to go.
        inward = torch.where(g > 0, z >= low, z <= high) & (low < high)
        inside = (z >= low) & (z <= high)
        return torch.where(inside | inward, g, 0), None, None
