"""What the code of an image is, and the divergence that belongs to it.

`GaussianCode`: z = c(u) with a map c into a set, u ~ q(u | y) = N(mu, diag(s^2)), prior u ~ N(0, I).

    KL(q_u || p_u) = 1/2 sum (mu^2 + s^2 - 1 - log s^2)  >=  KL(c # q_u || c # p_u)

The right side is what belongs to z itself; the inequality is the data processing inequality (Cover and
Thomas, Elements of Information Theory, 2nd ed., theorem 2.5.3: the chain rule of relative entropy, for the
pair (u, c(u))), and it is an equality where c is injective. So

    log p(y) = log E_{p_u} p(y | c(u))  >=  E_{q_u} log p(y | c(u)) - KL(q_u || p_u)

is a lower bound whatever c is, and a loose one where c merges codes. Closed form of the divergence:
Kingma and Welling, arXiv 1312.6114, appendix B.

`ExponentialCode`: densities on the orthant itself, prior Exp(1), posterior Weibull(k, l), no push-forward.

    KL = g / k - log l + log k + l Gamma(1 + 1 / k) - g - 1,    g Euler's constant
    z = l E^(1/k),    E = -log(1 - Phi(noise)), an Exp(1) number made of a normal one

Source: Zhang, Chen, Guo, Zhou, WHAI, arXiv 1803.01328 (KL of Weibull and Gamma, here Gamma(1, 1)).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import constrained as cn
from constrained.errors import lookup

from ...problems.random_cone import random_cone

CONE_ROWS_BY_FEATURE = 1.5
"""The general cone has more rows than dimensions, so that it is no image of an orthant."""
LEAST_SHAPE = 0.3
"""Of the Weibull posterior; below it single numbers explode. The prior has shape 1."""
MOST_LOG_SHAPE = 7.0
"""Beyond it the posterior is a point in float32."""


class AbstractCode(nn.Module, ABC):
    """From the two numbers that the encoder gives each dimension, and normal noise, to the code.

    Args:
        features: d, the dimensions of the code.
        polyhedron: the set that codes lie in, `None` for all of R^d.
        strict: whether codes satisfy every row exactly; see `constrained.constrain`.
    """

    def __init__(self, features: int, polyhedron: cn.Polyhedron | None, strict: bool = False) -> None:
        super().__init__()
        self.features, self.polyhedron, self.strict = features, polyhedron, strict

    @abstractmethod
    def posterior(self, h: Tensor, noise: Tensor) -> Tensor:  # (*batch, 2 d), (*batch, d) -> (*batch, d)
        """A code drawn from q(z | y)."""

    @abstractmethod
    def prior(self, noise: Tensor) -> Tensor:  # (*batch, d) -> (*batch, d)
        """A code drawn from the prior."""

    @abstractmethod
    def divergence(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """Nats by which each dimension departs from the prior; the sum goes into the ELBO."""

    @abstractmethod
    def centre(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """The noise of the prior whose code is the middle of the posterior: where a traversal passes."""


class GaussianCode(AbstractCode):
    """`z = c(mu + s * noise)`, c the map into the polyhedron that `cn.constrain` chooses."""

    def __init__(self, features: int, polyhedron: cn.Polyhedron | None, strict: bool = False) -> None:
        super().__init__(features, polyhedron, strict)
        self.map = nn.Identity() if polyhedron is None else cn.constrain(polyhedron, strict=strict)

    def posterior(self, h: Tensor, noise: Tensor) -> Tensor:  # (*batch, 2 d), (*batch, d) -> (*batch, d)
        """See the class."""
        mu, log_variance = h.chunk(2, -1)
        return self.map(mu + (log_variance / 2).exp() * noise)

    def prior(self, noise: Tensor) -> Tensor:  # (*batch, d) -> (*batch, d)
        """`c(noise)`."""
        return self.map(noise)

    def divergence(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """Of u, an upper bound for z."""
        mu, log_variance = h.chunk(2, -1)
        return (mu.square() + log_variance.exp() - 1 - log_variance) / 2

    def centre(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """The mean."""
        return h.chunk(2, -1)[0]


class ExponentialCode(AbstractCode):
    """Weibull posterior and exponential prior on the non-negative orthant; see the module."""

    def posterior(self, h: Tensor, noise: Tensor) -> Tensor:  # (*batch, 2 d), (*batch, d) -> (*batch, d)
        """`l E^(1/k)`."""
        shape, log_scale = _weibull(h)
        return (log_scale + self.prior(noise).log() / shape).exp()

    def prior(self, noise: Tensor) -> Tensor:  # (*batch, d) -> (*batch, d)
        """`E`, never 0: float32 gives out at about 13 standard deviations."""
        return (-torch.special.log_ndtr(-noise)).clamp_min(torch.finfo(noise.dtype).tiny)

    def divergence(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """Of z itself, exact."""
        shape, log_scale = _weibull(h)
        mean = (log_scale + torch.lgamma(1 + 1 / shape)).exp()
        return np.euler_gamma / shape - log_scale + shape.log() + mean - np.euler_gamma - 1

    def centre(self, h: Tensor) -> Tensor:  # (*batch, 2 d) -> (*batch, d)
        """That of the median of the posterior."""
        shape, log_scale = _weibull(h)
        median = (log_scale + np.log(np.log(2)) / shape).exp()
        return torch.special.ndtri(-torch.expm1(-median)).clamp(-4, 4)


def _weibull(h: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and logarithm of the scale; both numbers at 0 are near the prior."""
    log_shape, log_scale = h.chunk(2, -1)
    return LEAST_SHAPE + log_shape.clamp_max(MOST_LOG_SHAPE).exp(), log_scale


@dataclass(frozen=True)
class Code:
    """A kind of code by name: its class and its set in d dimensions."""

    name: str
    kind: type[AbstractCode]
    polyhedron: Callable[[int], cn.Polyhedron | None]

    def build(self, features: int, strict: bool = False) -> AbstractCode:
        """The module."""
        return self.kind(features, self.polyhedron(features), strict)


def _cone(features: int) -> cn.Polyhedron:
    return random_cone(features, round(CONE_ROWS_BY_FEATURE * features))


CODES: tuple[Code, ...] = (
    Code("free", GaussianCode, lambda d: None),
    Code("nonnegative", GaussianCode, lambda d: cn.Polyhedron(-np.eye(d))),
    Code("exponential", ExponentialCode, lambda d: cn.Polyhedron(-np.eye(d))),
    Code("box", GaussianCode, lambda d: cn.Polyhedron.box(np.full(d, -1.0), np.full(d, 1.0))),
    Code("cone", GaussianCode, _cone),
)


def code(name: str) -> Code:
    """The entry called `name`; raises `UnknownNameError` for another name."""
    return lookup("code", name, CODES)  # pyright: ignore[reportReturnType]
