"""A fresh Python interpreter, for what must be seen from the first import on, Triton's included."""

import os
import subprocess
import sys


def run_python(code: str) -> None:
    """Run `code` in a new interpreter from here; fails with what it printed unless it exits with 0."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def run_under_triton_interpreter(*arguments: str) -> None:
    """Run pytest with kernels interpreted, as Triton decides when imported; no test may be skipped."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
