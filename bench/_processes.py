"""What the processes that the suite forks have in common."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from collections.abc import Sequence
from typing import Any


def context(preload: Sequence[str]) -> Any:
    """Processes are forked from a server that has imported these modules, or start from nothing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    chosen = multiprocessing.get_context("forkserver")
    chosen.set_forkserver_preload(list(preload))
    return chosen


def silence() -> None:
    """Solvers print, and native ones past `sys.stdout`."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def end_with_parent() -> None:
    """The kernel ends this process when the parent's end of their pipe is closed, which needs no help of it.

    A pipe that is set to O_ASYNC sends SIGIO, which by default ends a process: a thread that waits for the
    parent would never get its turn beside a method that hangs in native code.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(parent.sentinel, fcntl.F_GETFL)
    fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    if not parent.is_alive():  # it ended before
        os.kill(os.getpid(), signal.SIGKILL)
