"""How good and how feasible a trained network is: ELBO of feasible images, violations judged from numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from constrained.polyhedron import Polyhedron

from ...metrics import violations
from ...problems.checkerboard import checkerboard_box, project_checkerboard_box
from ._model import Vae, log_likelihood
from ._noise import EVALUATION, JUDGED, normal

BATCH = 500

Projection = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Elbo:
    """Means over images, in nats."""

    reconstruction: float
    divergence: float

    @property
    def elbo(self) -> float:
        """The lower bound of the log-likelihood."""
        return self.reconstruction - self.divergence

    def columns(self, split: str) -> dict[str, float]:
        """As columns of a row."""
        return {
            f"{split}_elbo": self.elbo,
            f"{split}_reconstruction": self.reconstruction,
            f"{split}_divergence": self.divergence,
        }


def exact(x: Tensor) -> Tensor:  # (N, n) -> (N, n)
    """The nearest images of the set, in closed form: for values, never for times."""
    nearest = project_checkerboard_box(x.detach().cpu().double().numpy())
    return torch.from_numpy(nearest).to(x.device, x.dtype)


def images(network: Vae, z: Tensor, project: Projection = exact) -> Tensor:  # (N, d) -> (N, n)
    """What the method shows for codes: the mean of the likelihood, projected where the method projects."""
    x = network.decode(z)
    return project(x) if network.method.projects else x


def elbo(network: Vae, y: Tensor, samples: int) -> Elbo:  # y: (N, n)
    """The ELBO of the images that the method shows, with so many draws of the posterior for each image.

    On CUDA the host waits once, at the end, and with `exact` for each BATCH, which is projected on the host.
    """
    network.eval()
    total = torch.zeros(2, dtype=torch.float64, device=y.device)
    with torch.inference_mode():
        for draw in range(samples):
            noise = normal(len(y), network.latent, JUDGED, EVALUATION, draw).to(y.device)
            for part, eps in zip(y.split(BATCH), noise.split(BATCH), strict=True):
                h = network.encoder(part)
                x = images(network, network.code.posterior(h, eps))
                terms = log_likelihood(x, part), network.code.divergence(h).sum(-1)
                total += torch.stack([term.double().sum() for term in terms])
    reconstruction, divergence = (total / (len(y) * samples)).tolist()
    return Elbo(reconstruction, divergence)


def judged_set(network: Vae) -> Polyhedron | None:
    """The set that the method's images or codes have to be in."""
    return checkerboard_box() if network.method.judged == "images" else network.code.polyhedron


def judge(network: Vae, y: Tensor, noise: Tensor, project: Projection = exact) -> dict[str, float]:
    """Violations of what belongs to images `y` (N, n) and to draws `noise` (N, d) of the prior.

    In float64 from the numbers themselves, decided exactly; `infeasible_share` counts any violation at all.
    """
    network.eval()
    P, result = judged_set(network), {}
    with torch.inference_mode():
        codes = {
            "reconstruction": network.code.posterior(network.encoder(y), noise),
            "sample": network.code.prior(noise),
        }
        for name, z in codes.items():
            x = z if network.method.judged == "codes" else images(network, z, project)
            broken = np.zeros(len(x)) if P is None else violations(P, x.cpu().double().numpy())
            result[f"{name}_violation"] = float(broken.max())
            result[f"{name}_infeasible_share"] = float((broken > 0).mean())
    return result
