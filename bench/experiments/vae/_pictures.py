"""Images for the figures: reconstructions, samples of the prior, and walks through the code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...data import Digits
from ._evaluation import images
from ._model import Vae
from ._noise import JUDGED, PRIOR, normal

DIGITS = SAMPLES = 8
WALKS, STEPS, REACH = 2, 7, 2.5
"""Dimensions that are walked, images on each walk, how far it goes in standard deviations of the prior."""
DIGITS_OF_A_PIXEL = 4


def picture_rows(networks: dict[str, Vae], digits: Digits) -> list[dict[str, Any]]:
    """Rows "vae_images" of the networks of the first seed, and of the digits that they reconstruct."""
    chosen = _different(digits.test_labels.tolist())
    labels = [int(digits.test_labels[index]) for index in chosen]
    rows = _rows("input", "reconstruction", 0, digits.test[chosen], labels)
    for name, network in networks.items():
        network.eval()
        with torch.inference_mode():
            rows += _of_network(name, network, digits.test[chosen], labels)
    return rows


def _of_network(name: str, network: Vae, y: Tensor, labels: list[int]) -> list[dict[str, Any]]:
    device = next(network.parameters()).device
    h = network.encoder(y.to(device))
    middle = network.code.centre(h)
    noise = normal(SAMPLES, network.latent, JUDGED, PRIOR).to(device)
    rows = _rows(name, "reconstruction", 0, images(network, network.code.prior(middle)), labels)
    rows += _rows(name, "sample", 0, images(network, network.code.prior(noise)), [])
    if network.method.output == "identity" and not network.method.projects:
        used = network.code.divergence(h).mean(0).argsort(descending=True)[:WALKS]
        for row, dimension in enumerate(used.tolist()):
            walk = middle[:1].repeat(STEPS, 1)
            walk[:, dimension] = torch.linspace(-REACH, REACH, STEPS, device=device)
            rows += _rows(name, "walk", row, images(network, network.code.prior(walk)), [])
    return rows


def _rows(panel: str, kind: str, row: int, x: Tensor, labels: list[int]) -> list[dict[str, Any]]:
    return [
        {
            "table": "vae_images",
            "panel": panel,
            "kind": kind,
            "row": row,
            "column": column,
            "label": labels[column] if labels else None,
            "pixels": [round(pixel, DIGITS_OF_A_PIXEL) for pixel in pixels],
        }
        for column, pixels in enumerate(x.cpu().tolist())
    ]


def _different(labels: list[int]) -> list[int]:
    """The first image of each label, as many as are shown."""
    return [labels.index(label) for label in sorted(set(labels))[:DIGITS]]
