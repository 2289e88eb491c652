"""The last step of the decoder: from k numbers to an image in the set, or just to an image.

    half_spaces, rays    into the checkerboard cone, then the whole image scaled into the box
    gauge, blocks        into the cone cut by the box at once
    knapsack             the same, the nearest point of it: a projection that is trained through
    identity             no constraint: trained alone, projected afterwards or never

Scaling a whole image for the sake of its brightest pixel takes the contrast out of all others, which costs
likelihood; the maps into the set itself leave the pixels alone that are in the box already. In strict mode
the scaled image is passed through a strict map into the set: a product with a scale that is rounded may
break a row by a unit in the last place, and that map moves nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

import constrained as cn
from constrained.errors import lookup

from ...problems.checkerboard import checkerboard, checkerboard_box


@dataclass(frozen=True)
class Output:
    """A last step by name.

    Attributes:
        name: of the step.
        method: of `constrained.constrain`; empty: no map.
        scaled: whether the map is into the cone alone and `BoxScaling` does the rest.
        options: of the method.
    """

    name: str
    method: str
    scaled: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def build(self, strict: bool = False) -> LastStep:
        """The module."""
        return LastStep(self, strict)


INWARD = {"gradient": "inward"}
"""With its own derivative a pixel that is once on its bound stays there."""
OUTPUTS: tuple[Output, ...] = (
    Output("half_spaces", "half_spaces", scaled=True, options=INWARD),
    Output("rays", "rays", scaled=True),
    Output("gauge", "gauge", options=INWARD),
    Output("blocks", "blocks", options=INWARD),
    Output("knapsack", "knapsack", options=INWARD),
    Output("identity", ""),
)


class LastStep(nn.Module):
    """(*batch, k) -> (*batch, n); `k` is `in_features`."""

    def __init__(self, output: Output, strict: bool = False) -> None:
        super().__init__()
        cone, target = checkerboard(), checkerboard_box()
        steps: list[nn.Module] = []
        if output.scaled:
            # From the first step on: without the box the ELBO of training would be that of other images.
            steps = [cn.constrain(cone, output.method, **output.options), cn.BoxScaling(scaling_epoch=-1)]
            steps += [cn.constrain(target, strict=True)] if strict else []
        elif output.method:
            steps = [cn.constrain(target, output.method, strict=strict, **output.options)]
        self.steps = nn.Sequential(*steps)
        self.in_features = int(getattr(steps[0], "in_features", 0)) if steps else target.n

    def forward(self, h: Tensor) -> Tensor:  # (*batch, k) -> (*batch, n)
        """See the class."""
        return self.steps(h)


def output(name: str) -> Output:
    """The entry called `name`; raises `UnknownNameError` for another name."""
    return lookup("output", name, OUTPUTS)  # pyright: ignore[reportReturnType]
