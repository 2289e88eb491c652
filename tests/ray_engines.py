"""Tests that need the ray engines: what must be installed, and the programs that may be."""

import shutil

import pytest

MODULES = {
    "ppl": "pplpy",
    "flint": "python-flint",
    "cdd": "pycddlib-standalone",
    "PyNormaliz": "pynormaliz",
}
needs_lrs = pytest.mark.skipif(shutil.which("lrs") is None, reason="no program lrs (Debian: lrslib)")


def need_ray_engines() -> None:
    """Skip the module that calls this where the extra is not installed."""
    for module, package in MODULES.items():
        pytest.importorskip(module, reason=f"the extra 'rays' is not installed: {package}")
