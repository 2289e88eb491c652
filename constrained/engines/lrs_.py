"""lrs: exact reverse search, and mplrs, the same over MPI.  Citation: Avis 2000; Avis and Jordan 2018.

Reverse search keeps no list of rays, so that memory never runs out, and its tree splits over as many
processes and machines as there are: `processes=` hands the enumeration to `mpirun -np ... mplrs`. Slow
where many rows meet in one ray. The programs are called through their files (`_formats.py`); for a
cluster, write the file with `write_ine`, run `mplrs` there, and read the result with `read_ext`.
Through lrslib (GPL-2.0-or-later): Debian packages `lrslib` and `mplrs`, or https://cgm.cs.mcgill.ca/~avis.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Timer
from typing import Any

from ..errors import BudgetExceededError, EngineError, InvalidInputError, MissingDependencyError
from ..exact import rank
from ._base import ADVICE, AbstractEngine, Budget, Cone
from ._formats import ext_rays, ine_lines, section

MIN_PROCESSES = 4
"""mplrs: one process leads, one collects, the others search; fewer than 4 are slower than lrs."""

# Open MPI otherwise refuses more processes than cores; other MPIs do not read these.
ENVIRONMENT = {
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


class Lrs(AbstractEngine):
    """`engine="lrs"`; with `processes` of 4 or more, `mplrs` through `mpirun`."""

    name, exact, requires, parallel = "lrs", True, "flint", True

    @classmethod
    def rays(cls, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
        """In processes of its own, in a temporary folder that is removed in the end."""
        command = _command(budget.processes)
        # No point at all has s x = 1 if s is 0 or follows from the equalities: mplrs 7.1 would never end.
        fixed = rank(cone.equalities, cone.n)
        if rank([*cone.equalities, section(cone)], cone.n) == fixed:
            return []
        with tempfile.TemporaryDirectory(prefix="constrained-lrs-") as folder:
            source = Path(folder, "cone.ine")
            with source.open("w") as file:
                file.writelines(f"{line}\n" for line in ine_lines(cone))
            return _run([*command, str(source)], folder, cone, budget)


def _command(processes: int) -> list[str]:
    if processes == 1:
        return [_program("lrs", "lrslib")]
    if processes < MIN_PROCESSES:
        raise InvalidInputError(
            f"mplrs runs on at least {MIN_PROCESSES} processes; found processes={processes}: pass 1 for lrs"
        )
    return [_program("mpirun", "openmpi-bin"), "-np", str(processes), _program("mplrs", "mplrs")]


def _program(name: str, package: str) -> str:
    if (path := shutil.which(name)) is None:
        raise MissingDependencyError(
            f"the program '{name}' is needed here and is not on PATH; "
            f"try: apt-get install {package} (Debian, Ubuntu), or build lrslib from https://cgm.cs.mcgill.ca/~avis"
        )
    return path


def _run(command: list[str], folder: str, cone: Cone, budget: Budget) -> list[Sequence[Any]]:
    late = Event()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env=ENVIRONMENT | dict(os.environ) | {"TMPDIR": folder},
            text=True,
            start_new_session=True,
        ) as child,
    ):
        clock = Timer(budget.seconds or 0, lambda: (late.set(), _stop(child)))
        if budget.seconds is not None:
            clock.start()
        try:
            return _collect(child, cone, budget, late)
        except EngineError as error:
            _stop(child)
            if isinstance(error, BudgetExceededError):
                raise
            errors.seek(0)
            words = errors.read().strip().splitlines()[-3:]
            raise EngineError(
                f"{Path(command[0]).name} failed: exit status {child.returncode}: {' '.join(words) or error}"
            ) from error
        finally:
            clock.cancel()
            _stop(child)


def _collect(child: subprocess.Popen[str], cone: Cone, budget: Budget, late: Event) -> list[Sequence[Any]]:
    assert child.stdout is not None
    found: dict[Sequence[Any], None] = {}
    try:
        for ray in ext_rays(child.stdout, cone.n):
            found[ray] = None
            if budget.rays is not None and len(found) > budget.rays:
                raise BudgetExceededError(
                    f"enumeration stopped at its budget of {budget.rays} rays with {len(found)} rays found; "
                    + ADVICE
                )
    except EngineError as error:
        if late.is_set():
            raise BudgetExceededError(
                f"enumeration stopped after {budget.seconds:g} s with {len(found)} rays; {ADVICE}"
            ) from error
        raise
    for _ in child.stdout:  # remarks after the end
        pass
    if child.wait():
        raise EngineError("the run did not end well")
    return list(found)


def _stop(child: subprocess.Popen[str], patience: float = 5.0) -> None:
    """End the process and its group; mpirun is asked first, for it has to end its processes elsewhere."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None:
            return
        try:
            os.killpg(child.pid, number)
            child.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
