"""Whether a whole batch would take too long, told from the time of a few of its points.

    point after point   seconds of PROBE points, times the batch over PROBE
    batch as a whole    the same is a bound only, and far above the truth where launches are what costs: then
                        GROWTH times as many points are timed, unless those could take too long themselves

A call is timed again before it tells against a method: a first one may compile, or load a library.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .methods import Prepared
from .timing import timed

PROBE, GROWTH = 4, 16
"""Points on which the time of a whole batch is first estimated, and how many times more come next."""


def probe(prepared: Prepared, inputs: Tensor, device: torch.device, limit: float) -> None:
    """Raise `TimeoutError` if a part of the points tells that all would take longer than the limit."""
    if not prepared.bounded:
        return
    points = PROBE
    while (estimate := _estimate(prepared, inputs[:points], device, limit, len(inputs))) > limit:
        if not prepared.batched or GROWTH * estimate * points / len(inputs) > limit:
            raise TimeoutError(f"> {limit:g} s a batch (about {estimate:.0f} s)")
        points *= GROWTH


def _estimate(prepared: Prepared, few: Tensor, device: torch.device, limit: float, batch: int) -> float:
    """Seconds of the batch, if they grow as the number of points does."""
    scale = batch / len(few)
    seconds = timed(lambda: prepared.run(few), device)
    if seconds <= limit < seconds * scale:
        seconds = min(seconds, timed(lambda: prepared.run(few), device))
    return seconds * scale
