"""What a method did with an input, before it is judged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from baselines.peers import PeerTimeoutError
from constrained.errors import (
    ConstraintError,
    EngineError,
    MissingDependencyError,
    TrivialSetError,
    UnsupportedSetError,
)

Event = Literal["answer", "error", "refused", "skipped", "crash", "timeout"]
Origin = Literal["", "suite", "engine", "foreign"]
"""Who raised: the suite on purpose, a solver or peer through the suite, or a class that is not ours."""

EVENTS: tuple[tuple[type[Exception], Event], ...] = (
    (MissingDependencyError, "skipped"),
    (UnsupportedSetError, "refused"),
    (TrivialSetError, "refused"),
    (PeerTimeoutError, "timeout"),
    (Exception, "error"),
)
LONGEST = 200


@dataclass(frozen=True)
class Report:
    """What became of one call.

    Attributes:
        event: an answer, or why there is none.
        x: (q, n) the answer, in float64.
        flagged: (q,) points of which the method itself says that they are not solved.
        reason: a sentence, or the class and text of an error.
        origin: of an error.
    """

    event: Event
    x: np.ndarray | None = None
    flagged: np.ndarray | None = None
    reason: str = ""
    origin: Origin = ""

    @classmethod
    def of_error(cls, error: Exception) -> Report:
        """From what a method raised."""
        event: Event = next(event for kind, event in EVENTS if isinstance(error, kind))
        if event != "error":
            return cls(event, reason=shorten(str(error)))
        origin: Origin = "foreign"
        if isinstance(error, ConstraintError):
            origin = "engine" if isinstance(error, EngineError) else "suite"
        return cls("error", reason=shorten(f"{type(error).__name__}: {error}"), origin=origin)


def shorten(text: str) -> str:
    """One line of at most LONGEST characters, without the folders of this machine."""
    text = re.sub(r"(?<![\w.])(?:/[\w.+@-]+){2,}/", "", " ".join(text.split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
