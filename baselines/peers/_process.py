"""A peer in a process of its own: its packages cannot share an interpreter with ours, or each other.

The process starts once and stays; arrays go through npz files in a temporary folder. Times are taken
inside it, around the call alone, so neither its start nor the files are in any number; on CUDA the points
are on the device by then. It computes with as many threads as this process. What a peer returns is handed
on as it is, NaN and infeasible points included: judging is the harness's work.
"""

from __future__ import annotations

import inspect
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch

from constrained.errors import (
    EngineError,
    InvalidInputError,
    MissingDependencyError,
    UnsupportedSetError,
    check_choice,
)

from ._base import AbstractPeer, Problem
from ._environments import python

WORKER = Path(__file__).with_name("_worker.py")
TUNING_POINTS, TUNING_SEED = 64, 20_000
GRACE = 2.0
"""Seconds given to a process to end by itself."""


class PeerError(EngineError):
    """A peer failed: the text is that of its own error, or says that its process ended."""


class PeerTimeoutError(PeerError, TimeoutError):
    """A peer did not answer in time; its process was ended."""


class PeerDeviceError(MissingDependencyError):
    """A peer cannot compute on the device: its package has no way to, or its environment no build for it."""


def tuning_points(n: int, scale: float = 1.0) -> np.ndarray:
    """(TUNING_POINTS, n) normal points from a seed that no instance uses."""
    return scale * np.random.default_rng([TUNING_SEED, n]).standard_normal((TUNING_POINTS, n))


class PeerProcess:
    """`with PeerProcess(peer("pinet"), P, dtype="float32") as p: x, seconds, gradient = p.run(y)`.

    Args:
        entry: the peer's class.
        polyhedron: a `Polyhedron`, or anything with its `A`, `b`, `lower`, `C`, `d`.
        dtype: "float32" or "float64".
        tuning: (t, n) points that a peer is tuned on, never those evaluated; default: `tuning_points`.
        limit: seconds for each command, set-up included; None: no limit.
        device: "cpu" or "cuda", where the peer computes; never another one than was asked for.

    Attributes:
        setup_seconds: of the set-up inside the process, tuning included, importing and the first use of the
            device excluded.
        versions: of the interpreter and of the packages that the peer `reads`.
        tuned: what the peer chose at set-up.
        threads: how many it computes with.

    Raises:
        MissingDependencyError: its environment was not built.
        PeerDeviceError: it cannot compute on the device.
        UnsupportedSetError: the set is not one that it serves.
        PeerError: the peer's own error.
        PeerTimeoutError: the limit was reached.
    """

    def __init__(
        self,
        entry: type[AbstractPeer],
        polyhedron: Any,
        dtype: Literal["float32", "float64"] = "float32",
        tuning: np.ndarray | None = None,
        limit: float | None = 600.0,
        device: str = "cpu",
    ) -> None:
        if dtype not in ("float32", "float64"):
            raise InvalidInputError(f"dtype must be 'float32' or 'float64'; found {dtype!r}")
        check_choice("device", device, ("cpu", "cuda"))
        entry.check_available()
        if device not in entry.devices:
            raise PeerDeviceError(f"peer {entry.name!r} computes on {' or '.join(entry.devices)} alone")
        problem = _accepted(entry, polyhedron)
        self.entry, self.dtype, self.limit, self.device = entry, dtype, limit, device
        self.threads = torch.get_num_threads()
        self._start()
        try:
            self.reset(problem, tuning)
        except BaseException:
            self.close()
            raise

    def reset(self, polyhedron: Any, tuning: np.ndarray | None = None) -> None:
        """Set the peer up for another set, in the same process; arguments and errors as in the class."""
        problem = _accepted(self.entry, polyhedron)
        tuning = tuning_points(problem.n) if tuning is None else tuning
        self.n, self._backward, self._ran = problem.n, False, False
        paths = {"problem": self._folder / "problem.npz", "tuning": self._folder / "tuning.npz"}
        problem.save(paths["problem"])
        np.savez(paths["tuning"], points=np.asarray(tuning, dtype=np.float64))
        answer = self._ask(
            {
                "command": "setup",
                "file": inspect.getfile(self.entry),
                "module": self.entry.__module__,
                "class": self.entry.__name__,
                "dtype": self.dtype,
                "threads": self.threads,
                "device": self.device,
            }
            | {name: str(path) for name, path in paths.items()}
        )
        self.setup_seconds: float = answer["seconds"]
        self.import_seconds: float = answer["import_seconds"]
        self.versions: dict[str, str] = answer["versions"]
        self.tuned: dict[str, Any] = answer["tuned"]

    def run(
        self,
        y: np.ndarray,  # (q, n)
        backward: bool = False,
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """(x (q, n), seconds of the call inside the process, gradient (q, n) or None).

        One call to warm up, compilation included, comes before the timed one. The gradient is that of
        `sum_ij x_ij cos(j)` in y.
        """
        y = np.asarray(y)
        if y.ndim != 2 or y.shape[1] != self.n or not len(y):
            raise InvalidInputError(f"y must have shape (q, {self.n}) with q > 0; found {y.shape}")
        if backward and not self.entry.differentiable:
            raise InvalidInputError(f"peer {self.entry.name!r} has no gradient; try backward=False")
        self._check_open()
        points, answer = self._folder / "points.npz", self._folder / "answer.npz"
        np.savez(points, points=y.astype(self.dtype))
        message = {"command": "run", "points": str(points), "backward": backward, "answer": str(answer)}
        seconds = self._ask(message)["seconds"]
        self._backward, self._ran = backward, True
        with np.load(answer) as arrays:
            return arrays["x"], seconds, arrays["gradient"] if backward else None

    def time(self, backward: bool | None = None, calls: int | None = None) -> float:
        """Seconds of one more call on the points of the last `run`; `backward`: as in that run by default.

        The mean of `calls` without a pause; None: of one, on CUDA of as many as last a millisecond.
        """
        if not self._ran:
            raise InvalidInputError("there is nothing to time yet; call run(y) first")
        backward = self._backward if backward is None else backward
        return self._ask({"command": "time", "backward": backward, "calls": calls})["seconds"]

    def close(self) -> None:
        """End the process; again or on one that has ended: nothing."""
        self._finalizer()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="peer-"))
        self._log = self._folder / "log"
        # -P: the folder of the worker is not searched, where files may be named like packages.
        command = [python(self.entry.environment), "-P", str(WORKER)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_variables(os.environ, self.threads, bool(self.entry.environment), self.device),
                cwd=self._folder,
                start_new_session=True,
            )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(self._process.stdout, self._answers), daemon=True)
        reader.start()
        # Also called when the object is dropped and when the interpreter ends: no process is left behind.
        self._finalizer = weakref.finalize(self, _end, self._process, self._folder, reader)

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._check_open()
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(message).encode() + b"\n")
            stdin.flush()
            line = self._answers.get(timeout=self.limit)
        except queue.Empty:
            self.close()
            raise PeerTimeoutError(
                f"peer {self.entry.name!r} did not finish {message['command']!r} within {self.limit:g} s"
            ) from None
        except OSError:  # the pipe is broken
            line = b""
        except BaseException:
            # Interrupted: the answer would come later and be taken for that of the next command.
            self.close()
            raise
        if not line:
            raise self._ended(message["command"])
        answer = json.loads(line)
        if "lacks" in answer:
            raise PeerDeviceError(
                f"peer {self.entry.name!r} cannot compute on {self.device!r}: {answer['lacks']}"
            )
        if "error" in answer:
            raise PeerError(f"peer {self.entry.name!r} failed in {message['command']!r}: {answer['error']}")
        return answer["ok"]

    def _check_open(self) -> None:
        if not self._finalizer.alive:
            raise PeerError(f"the process of peer {self.entry.name!r} was closed; make a new PeerProcess")

    def _ended(self, command: str) -> PeerError:
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = "none"
        lines = self._log.read_text(errors="replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        self.close()
        return PeerError(
            f"the process of peer {self.entry.name!r} ended in {command!r} with exit code {code}{last}"
        )


def _accepted(entry: type[AbstractPeer], polyhedron: Any) -> Problem:
    problem = Problem.of(polyhedron)
    if (reason := entry.accepts(problem)) is not None:
        raise UnsupportedSetError(f"peer {entry.name!r} cannot serve {polyhedron}: {reason}")
    return problem


def _variables(
    inherited: Mapping[str, str], threads: int, isolated: bool, device: str = "cpu"
) -> dict[str, str]:
    """The same number of threads for every library; for another interpreter, none of our packages.

    JAX would take three quarters of the memory of a CUDA device at its start, which others use as well.
    """
    variables = dict(inherited)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
        variables[name] = str(threads)  # NPROC: the thread pool of XLA on the CPU
    variables["JAX_PLATFORMS"] = "cpu" if device == "cpu" else f"{device},cpu"
    variables["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if threads == 1:
        flags = (variables.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false")
        variables["XLA_FLAGS"] = " ".join(flags).strip()
    if isolated:
        for name in ("PYTHONPATH", "PYTHONHOME"):
            variables.pop(name, None)
    return variables


def _read(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Lines as they come; an empty one at the end."""
    for line in stream:
        answers.put(line)
    answers.put(b"")


def _end(process: subprocess.Popen[bytes], folder: Path, reader: threading.Thread) -> None:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.close()  # the worker ends when its input does
    except OSError:
        pass
    if process.poll() is None and not _idle_end(process):
        # A session of its own: what it may have started ends with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    reader.join(GRACE)
    process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


def _idle_end(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        return False
    return True
