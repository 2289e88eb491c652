"""Where a measurement was made: processor, threads, package versions, commit; no host names, no paths.

Two machines with the same kind of device need names of their own, so that their runs and tables lie side
by side: `python -m bench run --machine laptop`, or BENCH_MACHINE=laptop in the environment.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from constrained import plugins
from constrained.errors import InvalidInputError

PACKAGES = (
    "torch", "numpy", "scipy", "osqp", "daqp", "quadprog", "proxsuite", "piqp", "clarabel", "qpalm", "scs",
    "highspy", "cvxpy", "pplpy", "python-flint", "pycddlib-standalone", "pynormaliz", "pytest-benchmark",
    "mlxtend", "numba",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent
NAME = "BENCH_MACHINE"
"""The environment variable with the machine's name."""
IDENTITY = ("name", "device", "cpu", "cores", "os")
"""The facts in which two machines differ; threads, versions and commits change on one machine."""
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def device_slug(device: str) -> str:
    """A device's name as a folder name: "NVIDIA H100 80GB" -> "nvidia-h100-80gb"."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def device_name(device: torch.device) -> str:
    """ "cpu", or the name that CUDA gives the device."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)


def machine_name() -> str:
    """The name that the user gave this machine, as a folder name; empty without one.

    Raises `InvalidInputError` if nothing of the name can be a folder's.
    """
    name = os.environ.get(NAME, "")
    if name and not device_slug(name):
        raise InvalidInputError(f"expected a machine's name with letters or digits, found {name!r}")
    return device_slug(name)


def take_machine(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--machine NAME`, which goes to the environment, for child processes as well."""
    parser = argparse.ArgumentParser(prog="python -m bench", add_help=False, allow_abbrev=False)
    parser.add_argument("--machine", metavar="NAME")
    options, rest = parser.parse_known_args(list(arguments))
    if options.machine is not None:
        os.environ[NAME] = options.machine
        machine_name()
    return rest


def machine_folder(machine: dict[str, Any]) -> str:
    """Where the tables of a described machine lie: its name, its device, or both for a named CUDA machine."""
    name, device = machine.get("name") or "", device_slug(machine["device"])
    return name if name and device == "cpu" else "-".join(part for part in (name, device) if part)


def identity(machine: dict[str, Any]) -> dict[str, Any]:
    """What tells a described machine from others."""
    return {key: machine.get(key) for key in IDENTITY}


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """The facts that a reader needs beside a timing; what cannot be read is None."""
    return {"name": machine_name(), **_facts(device)}


def command_line() -> str:
    """How this process was called, with the last part alone of absolute paths."""
    program, *arguments = sys.argv or [""]
    start = Path(program)
    name = f"python -m {start.parent.name}" if start.name == "__main__.py" else start.name
    return " ".join([name, *(re.sub(r"(?<![\w.~])/(?:[^/=,:]*/)*", "", text) for text in arguments)])


def load_average() -> float | None:
    """Processes that were running or waiting, on average over the last minute."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


@lru_cache
def _facts(device: str) -> dict[str, Any]:
    return {
        "device": device,
        "gpu": None if device == "cpu" else _gpu(device),
        "cpu": _cpu_model(),
        "governor": _governor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "os": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))} | plugins.versions(),
        "blas": {"torch": _torch_blas(torch.__config__.show()), "numpy": _numpy_blas()},
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--", "constrained", "baselines", "bench")),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _gpu(device: str) -> dict[str, Any] | None:
    """Memory, versions of CUDA and driver; None where the device is not in this machine."""
    for index in range(torch.cuda.device_count()):
        if torch.cuda.get_device_name(index) == device:
            properties = torch.cuda.get_device_properties(index)
            return {
                "memory_gb": round(properties.total_memory / 2**30, 1),
                "capability": f"{properties.major}.{properties.minor}",
                "cuda": torch.version.cuda,
                "driver": _answer("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")[:20],
            }
    return None


def _governor() -> str | None:
    try:
        return GOVERNOR.read_text().strip()
    except OSError:
        return None


def _torch_blas(config: str) -> str | None:
    """Name and version of the BLAS that torch was built with, from the text that it gives of itself."""
    name = re.search(r"BLAS_INFO=(\w+)", config)
    found = re.search(r"Math Kernel Library Version (\S+?)-|OpenBLAS (\d\S*)", config)
    if name is None:
        return None
    return " ".join([name[1], *(part for part in (found.groups() if found else ()) if part)])


def _numpy_blas() -> str | None:
    config: Any = np.show_config(mode="dicts")
    blas = (config or {}).get("Build Dependencies", {}).get("blas", {})
    return " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)) or None


def _cpu_model() -> str:
    """The name and, since hypervisors shorten it to a brand, family, model and stepping."""
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in facts:
        return platform.machine()
    numbers = [facts[key] for key in ("cpu family", "model", "stepping") if key in facts]
    return f"{facts['model name']} ({'-'.join(numbers)})" if numbers else facts["model name"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    """The answer of git about this checkout; empty outside a checkout or without git."""
    return _answer("git", *arguments)


def _answer(*command: str) -> str:
    """What a program prints; empty if it is not there, fails or takes long."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
