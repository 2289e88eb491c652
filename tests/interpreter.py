"""A fresh Python interpreter, for what must be seen from the first import on."""

import subprocess
import sys


def run_python(code: str) -> None:
    """Run `code` in a new interpreter from here; fails with what it printed unless it exits with 0."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
