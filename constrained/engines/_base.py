"""What a ray engine is, and the process in which long enumerations run.

An enumeration can take all time and memory there is, inside C++ code that cannot be asked to stop.
So it runs in a child process that is killed at the budget; `_worker.py` is that process.
"""

from __future__ import annotations

import marshal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..errors import BudgetExceededError, EngineError
from ..exact import Vector

WORKER = Path(__file__).with_name("_worker.py")


@dataclass(frozen=True)
class Budget:
    """What an enumeration may use: rays kept at any time and seconds, None for no limit; processes."""

    rays: int | None
    seconds: float | None
    processes: int = 1


@dataclass(frozen=True)
class Cone:
    """`{x in R^n : g x <= 0 for g in inequalities, e x = 0 for e in equalities}`, exact integers."""

    inequalities: Sequence[Vector]
    equalities: Sequence[Vector]
    n: int


class AbstractEngine(ABC):
    """Turns a cone into rays and lines; a new one is a file beside this one and a line in ENGINES."""

    name: ClassVar[str]
    exact: ClassVar[bool]
    """Whether the rays are exact integers; otherwise they are floats that still need verification."""
    requires: ClassVar[str]
    """The importable module that does the work."""
    parallel: ClassVar[bool] = False
    """Whether it can use more than one process or thread."""

    @classmethod
    @abstractmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """Extreme rays, one representative modulo the lineality space each; if exact, primitive.

        Raises `BudgetExceededError` at the budget, `EngineError` if the engine fails.
        """


def run_worker(task: str, cone: Cone, budget: Budget, extra: int = 0) -> list[Sequence[Any]]:
    """Run a task of `_worker.py` in a child process and return its rays; `extra` is the task's own."""
    request = (task, list(cone.inequalities), list(cone.equalities), cone.n, extra, budget.rays)
    command = [sys.executable, "-I", str(WORKER), *sys.path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            output, progress = child.communicate(marshal.dumps(request), timeout=budget.seconds)
        except subprocess.TimeoutExpired as expired:
            child.kill()
            _, progress = child.communicate()
            raise BudgetExceededError(
                f"enumeration stopped after {budget.seconds:g} s with {_reached(progress)}; {ADVICE}"
            ) from expired
        except BaseException:
            child.kill()
            raise
    return _answer(task, child.returncode, output, progress, budget)


ADVICE = (
    "raise max_rays or max_seconds, or use a method without rays: shift, gauge, refined, half_spaces, "
    "or blocks for a product of small sets"
)


def _answer(task: str, code: int, output: bytes, progress: bytes, budget: Budget) -> list[Sequence[Any]]:
    kind: str
    value: Any
    kind, value = marshal.loads(output) if code == 0 and output else ("error", _last_words(code, progress))
    if kind == "rays":
        return value
    if kind == "budget":
        raise BudgetExceededError(
            f"enumeration stopped at its budget of {budget.rays} rays with {value[0]} rays "
            f"after {value[1]} of {value[2]} rows; {ADVICE}"
        )
    raise EngineError(f"ray engine {task!r} failed: {value}")


def check_count(count: int, budget: Budget) -> None:
    """Raise `BudgetExceededError` if so many rays are more than the budget allows."""
    if budget.rays is not None and count > budget.rays:
        raise BudgetExceededError(f"{count} rays exceed the budget of {budget.rays}; {ADVICE}")


def _last_words(code: int, progress: bytes) -> str:
    lines = progress.decode(errors="replace").strip().splitlines()
    return f"exit status {code}, {_reached(progress)}" + (f": {lines[-1]}" if lines else "")


def _reached(progress: bytes) -> str:
    """The last progress line `rays rows total` in words."""
    for line in reversed(progress.decode(errors="replace").splitlines()):
        words = line.split()
        if len(words) == 3 and all(word.isdigit() for word in words):
            return f"{words[0]} rays after {words[1]} of {words[2]} rows"
    return "no rays counted yet"
