"""What runs in a peer's own interpreter: commands as JSON lines on standard input, answers on output.

    {"command": "setup", "file", "module", "class", "problem", "tuning", "dtype", "threads", "device"}
    {"command": "run", "points", "backward", "answer"}     one call to warm up, then one timed
    {"command": "time", "backward", "calls"}               one more on the points of the last run

Arrays are npz files. An answer is `{"ok": ...}`, `{"error": text}`, or to a set-up `{"lacks": text}` where
the device is not to be had; a failed command ends nothing. On CUDA the seconds of "time" are the mean of as
many calls without a pause as last ROUND_SECONDS, like a round of the suite, since waiting for the device
costs more than a short call; unless "calls" says how many. The standard library and numpy are all it imports
itself: neither `constrained` nor torch need be here.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import math
import os
import platform
import sys
import types
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROUND_SECONDS, MAX_CALLS = 1e-3, 1000
"""Those of the rounds in `bench/timing.py`."""


def _packages_without_their_init() -> None:
    """`baselines` and `baselines.peers` as bare packages: their `__init__` needs the parent's."""
    for name, folder in (("baselines", HERE.parent), ("baselines.peers", HERE)):
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


def _class(file: str, module: str, name: str) -> Any:
    if Path(file).resolve().parent == HERE:
        return getattr(importlib.import_module(f"baselines.peers.{Path(file).stem}"), name)
    # A peer from elsewhere, by its file: what a test or an experiment brings along.
    spec = importlib.util.spec_from_file_location(module.replace(".", "_"), file)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in {file}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


class NoDeviceError(Exception):
    """The peer cannot compute on the device that it was asked to; the text is the reason."""


class Worker:
    """One peer, set up once, then called."""

    peer: Any = None
    state: Any = None
    points: Any = None
    seconds: float = 0.0
    """Of the last timed call."""

    def setup(self, message: dict[str, Any]) -> dict[str, Any]:
        """Seconds of the start (device, imports) and of `setup`, versions, and what was tuned."""
        problem_class = importlib.import_module("baselines.peers._base").Problem
        problem = problem_class.load(message["problem"])
        with np.load(message["tuning"]) as arrays:
            tuning = arrays["points"]
        entry = _class(message["file"], message["module"], message["class"])
        start = perf_counter()
        self.peer = entry(message["dtype"], message["threads"], message["device"])
        if (reason := self.peer.start_device()) is not None:
            raise NoDeviceError(reason)
        for name in entry.requires:
            importlib.import_module(name)
        imported = perf_counter()
        self.state = self.peer.setup(problem, tuning)
        return {
            "import_seconds": imported - start,
            "seconds": perf_counter() - imported,
            "versions": {"python": platform.python_version()}
            | {name: _version(name) for name in entry.reads},
            "tuned": {name: _plain(value) for name, value in self.peer.tuned.items()},
        }

    def run(self, message: dict[str, Any]) -> dict[str, Any]:
        """The points of the answer are those of the timed call."""
        with np.load(message["points"]) as arrays:
            self.points = self.peer.load(arrays["points"])
        self.peer.wait(self.peer.solve(self.state, self.points, message["backward"]))
        seconds, (x, gradient) = self._timed(message["backward"])
        found = {"x": self.peer.unload(x)}
        if gradient is not None:
            found["gradient"] = self.peer.unload(gradient)
        np.savez(message["answer"], **found)
        return {"seconds": seconds}

    def time(self, message: dict[str, Any]) -> dict[str, Any]:
        """Seconds of one more call."""
        return {"seconds": self._timed(message["backward"], message["calls"] or self._calls())[0]}

    def _calls(self) -> int:
        """How many calls a clock needs on CUDA, after the last ones."""
        if self.peer.device == "cpu":
            return 1
        return min(math.ceil(ROUND_SECONDS / max(self.seconds, 1e-9)), MAX_CALLS)

    def _timed(self, backward: bool, calls: int = 1) -> tuple[float, Any]:
        solve, wait, arguments = self.peer.solve, self.peer.wait, (self.state, self.points, backward)
        others = range(calls - 1)
        gc.disable()
        try:
            start = perf_counter()
            result = solve(*arguments)
            for _ in others:
                result = solve(*arguments)
            result = wait(result)
            self.seconds = (perf_counter() - start) / calls
            return self.seconds, result
        finally:
            gc.enable()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def main() -> None:
    """Answer until standard input ends."""
    # Packages print to standard output, which belongs to the answers: from here on it is standard error.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _packages_without_their_init()
    worker = Worker()
    commands = {"setup": worker.setup, "run": worker.run, "time": worker.time}
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = {"ok": commands[message["command"]](message)}
        except NoDeviceError as error:
            answer = {"lacks": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
