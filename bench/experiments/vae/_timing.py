"""How long it takes to generate images from the prior: every method, plain and strict, in turns.

A projection at test time is timed twice, with OSQP and with the fastest projection that there is. The
fastest one is found in two heats on images of the unprojected network: one image each, then the few that are
left on a batch; a projection counts only if it came within ACCURATE of the exact one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines import AbstractProjection, available, projection
from constrained.errors import ConstraintError

from ...problems.checkerboard import checkerboard_box
from ...timing import measure, timed
from ._evaluation import exact, images
from ._model import Vae

OSQP = "osqp"
ACCURATE = 1e-5
"""Largest distance of a pixel from the exact projection, in float32."""
HEAT, SECOND_HEAT, KEPT = 1, 128, 3
"""Images of both heats, and how many projections come into the second."""
GIVE_UP = 3.0
"""Seconds of a first call, compilation included, after which there is no second."""
BUDGET = 1.0
"""Seconds for each entry, three rounds at least."""


def fastest(names: Sequence[str], y: Tensor) -> str:  # y: (N, n), N >= 1
    """The fastest projection out of `names` and OSQP for images like `y`.

    Raises `InvalidInputError` where not even OSQP is installed.
    """
    target, known = checkerboard_box(), available()
    entries: dict[str, AbstractProjection] = {OSQP: projection(OSQP)(target)}
    for name in names:
        if name in known and projection(name).accepts(target) is None:
            entries.setdefault(name, projection(name)(target))
    first = {name: _seconds(entry, y[:HEAT]) for name, entry in entries.items()}
    kept = sorted(first, key=lambda name: first[name])[:KEPT]
    second = {name: _seconds(entries[name], y[:SECOND_HEAT]) for name in dict.fromkeys([*kept, OSQP])}
    return min(second, key=lambda name: second[name])


def _seconds(entry: AbstractProjection, y: Tensor) -> float:
    """Of the faster of two calls; infinite for one that failed or is not accurate.

    A first call that took GIVE_UP seconds is not repeated: no compilation explains that.
    """
    found: list[Tensor] = []
    try:
        seconds = timed(lambda: found.append(entry(y).x), y.device)
        if seconds < GIVE_UP:
            seconds = min(seconds, timed(lambda: entry(y), y.device))
    except ConstraintError:
        return math.inf
    return seconds if (found[0] - exact(y)).abs().max().item() <= ACCURATE else math.inf


def time_samples(
    plain: dict[str, Vae], strict: dict[str, Vae], noise: Tensor, best: str
) -> list[dict[str, Any]]:  # noise: (N, d)
    """Rows "vae_timing": seconds of generating an image for each row of `noise`, all interleaved.

    Args:
        plain, strict: networks by method.
        noise: draws of the prior, on the device of the networks.
        best: the projection beside OSQP, see `fastest`.
    """
    entries: dict[tuple[str, str, bool], Callable[[], object]] = {}
    for name, network in plain.items():
        for solver in dict.fromkeys((OSQP, best)) if network.method.projects else ("",):
            entries[name, solver, False] = _call(network, noise, solver)
    for name, network in strict.items():
        entries[name, "", True] = _call(network, noise, "")
    by_text = {"|".join(map(str, key)): key for key in entries}
    timings = measure({text: entries[key] for text, key in by_text.items()}, noise.device, BUDGET)
    return [
        {
            "table": "vae_timing",
            "method": method,
            "projection": solver,
            "strict": is_strict,
            "samples": len(noise),
            "seconds": timings[text].seconds,
        }
        for text, (method, solver, is_strict) in by_text.items()
    ]


def _call(network: Vae, noise: Tensor, solver: str) -> Callable[[], object]:
    network.eval()
    project = projector(solver) if solver else exact

    def call() -> Tensor:
        with torch.inference_mode():
            return images(network, network.code.prior(noise), project)

    return call


def projector(name: str) -> Callable[[Tensor], Tensor]:
    """The projection called `name` onto the set of the images, as a function of images alone."""
    entry = projection(name)(checkerboard_box())
    return lambda y: entry(y).x
