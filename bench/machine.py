"""Where a measurement was made: processor, threads, package versions, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from constrained import plugins

PACKAGES = (
    "torch", "numpy", "scipy", "osqp", "daqp", "quadprog", "proxsuite", "piqp", "clarabel", "qpalm", "scs",
    "highspy", "cvxpy", "pplpy", "python-flint", "pycddlib-standalone", "pynormaliz", "pytest-benchmark",
    "mlxtend",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent


def device_slug(device: str) -> str:
    """A device's name as a folder name: "NVIDIA H100 80GB" -> "nvidia-h100-80gb"."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def device_name(device: torch.device) -> str:
    """ "cpu", or the name that CUDA gives the device."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


@lru_cache
def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """The facts that a reader needs beside a timing; no host name, no paths."""
    return {
        "device": device,
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))} | plugins.versions(),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "constrained", "baselines", "bench")),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    """The answer of git about this checkout; empty outside a checkout or without git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
