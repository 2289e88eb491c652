"""What is compared: a last step of the decoder with a kind of code, listed once, here.

The first six make images in the cone cut by the box; `unconstrained` is the same network as
`test_time_projection` and is never projected. Methods that are named for their codes leave the images alone,
so that the constraint on the code is the only difference to `unconstrained`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from constrained.errors import lookup

PROJECTED, FREE = "test_time_projection", "unconstrained"


@dataclass(frozen=True)
class Method:
    """A method by name.

    Attributes:
        name: of the method.
        output: the last step of its decoder, see `OUTPUTS`.
        code: its kind of code, see `CODES`.
        projects: whether its images are projected when it is evaluated.
        judged: what must be in a set, images or codes.
        promises: whether it is meant to be.
    """

    name: str
    output: str = "identity"
    code: str = "free"
    projects: bool = False
    judged: Literal["images", "codes"] = "images"
    promises: bool = True

    @property
    def reference(self) -> str:
        """The method that its ELBO is compared with; itself, if nothing is in its way."""
        return PROJECTED if self.judged == "images" and self.promises else FREE

    @property
    def embedded(self) -> bool:
        """Whether the constraint is part of the network."""
        return self.promises and not self.projects


METHODS: tuple[Method, ...] = (
    Method("half_spaces", "half_spaces"),
    Method("rays", "rays"),
    Method("gauge", "gauge"),
    Method("blocks", "blocks"),
    Method("knapsack", "knapsack"),
    Method(PROJECTED, projects=True),
    Method(FREE, promises=False),
    Method("nonnegative_code", code="nonnegative", judged="codes"),
    Method("exponential_code", code="exponential", judged="codes"),
    Method("box_code", code="box", judged="codes"),
    Method("cone_code", code="cone", judged="codes"),
)
METHOD_NAMES = tuple(entry.name for entry in METHODS)


def method(name: str) -> Method:
    """The entry called `name`; raises `UnknownNameError` for another name."""
    return lookup("method", name, METHODS)  # pyright: ignore[reportReturnType]
