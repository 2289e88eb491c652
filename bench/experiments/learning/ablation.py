"""Variants of the published layer that differ from it, or from its improvement, in one thing at a time."""

from __future__ import annotations

from typing import Any

from .methods import AbstractHead, Method, PaperLayer
from .tasks import AbstractTask

TASKS = ("digits_cone", "digits")


def _layer(name: str, changes: str, **options: Any) -> Method:
    def build(task: AbstractTask, width: int, weight: float) -> AbstractHead:
        return PaperLayer(task, width, "rays", options)

    return Method(name, "embedded", build, tasks=TASKS, changes=changes)


ABLATION: tuple[Method, ...] = ()
