"""What the processes of cells are forked with: every import that would otherwise count as set-up.

Nothing here computes: a process without a CUDA context and without threads at work can be forked safely.
"""

from __future__ import annotations

import logging
from importlib import import_module

import scipy.optimize  # noqa: F401
import torch.utils.data  # noqa: F401

from baselines import PROJECTIONS
from constrained.engines import ENGINES

from . import measure, suites  # noqa: F401


def _import(names: set[str]) -> None:
    for name in sorted(names):
        try:
            import_module(name)
        except Exception as error:  # missing or broken: its methods say so, each in its own row
            logging.getLogger(__name__).debug("%s is not imported ahead: %s", name, error)


_import({name for entry in PROJECTIONS for name in entry.requires} | {entry.requires for entry in ENGINES})
_import({"baselines._goldfarb_idnani"})
