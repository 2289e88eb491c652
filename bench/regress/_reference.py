"""The reference: rows in results/reference.csv, and beside them why, when and where they were measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from constrained.errors import InvalidInputError

from .._tables_io import read_table, write_table
from ..machine import command_line, describe_machine, identity, load_average
from ..rows import write_atomic
from ..schema import REFERENCE
from ._pooled import Pass, Row, pooled_ratios, row_of

QUALITY = ("violation", "infeasible_share", "distance", "excess")


@dataclass(frozen=True)
class Reference:
    """Rows as in the table `reference`, and the facts about them; None for those of an unknown origin."""

    rows: list[Row]
    facts: dict[str, Any] | None

    def origin(self) -> str:
        """When, where and why it was measured, in a sentence."""
        if self.facts is None:
            return "It is not recorded where the reference was measured."
        machine = self.facts["machine"]
        return (
            f"Reference of {self.facts['date'][:10]}, commit {machine['commit'] or 'unknown'}, "
            f"{machine['cpu']}: {self.facts['reason']}."
        )

    def other_machine(self) -> str:
        """A warning if it was measured on another machine than this one; empty otherwise."""
        if self.facts is None:
            return ""
        made, here = identity(self.facts["machine"]), identity(describe_machine())
        texts = [f"{key} {made[key]!r} there, {here[key]!r} here" for key in made if made[key] != here[key]]
        if not texts:
            return ""
        return (
            f"The reference is of another machine ({'; '.join(texts)}): ratios depend on the processor, so "
            f"every cell is measured once and no row is called slower. {REFERENCE.command} measures one here."
        )


def reference_rows(cell: str, passes: Sequence[Pass]) -> list[Row]:
    """Rows of the reference from the passes over a cell.

    A strict variant that was refused has nothing to lose, and no row. Raises `InvalidInputError` if a
    status differs between passes.
    """
    lines = []
    for row in passes[0]:
        if row["plain"] and row["status"] == "refused":
            continue
        rows = [row_of(rows, row["method"]) or {"status": "missing"} for rows in passes]
        if len({found["status"] for found in rows}) > 1:
            statuses = ", ".join(found["status"] for found in rows)
            raise InvalidInputError(
                f"{cell} {row['method']}: expected one status in every pass, found {statuses}; "
                "measure again on a quiet machine"
            )
        line = {"cell": cell, "method": row["method"], "status": row["status"]}
        line |= {"threads": torch.get_num_threads()}
        for name, (ratio, low, high) in pooled_ratios(passes, row["method"]).items():
            line |= {name: ratio, f"{name}_low": low, f"{name}_high": high}
        lines.append(line | {name: _median([found.get(name) for found in rows]) for name in QUALITY})
    return lines


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def write_reference(path: Path, passes: Mapping[str, Sequence[Pass]], reason: str) -> None:
    """Write the rows to `path` and the facts about them to the JSON file of the same name."""
    rows = [line for cell, measured in passes.items() for line in reference_rows(cell, measured)]
    facts = {
        "reason": reason,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "passes": max(len(measured) for measured in passes.values()),
        "command": command_line(),
        "load": load_average(),
        "machine": describe_machine(),
    }
    write_table(path, rows, REFERENCE)
    write_atomic(path.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")


def read_reference(path: Path) -> Reference:
    """The reference; `InvalidInputError` if it is missing, not whole, or without intervals as once."""
    rows = read_table(path, REFERENCE)
    if not rows:
        raise InvalidInputError(
            f"expected a reference in {path}, found none; measure it: {REFERENCE.command}"
        )
    return Reference(rows, _read_facts(path.with_suffix(".json")))


def _read_facts(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        whole = {"reason", "date"} <= set(facts) and {"commit", "cpu"} <= set(facts["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} is damaged ({error}); measure anew: {REFERENCE.command}") from error
    if not whole:
        raise InvalidInputError(
            f"{path}: expected reason, date and machine, found {sorted(facts)}; measure anew: "
            f"{REFERENCE.command}"
        )
    return facts


def check_threads(rows: Sequence[Row]) -> None:
    """Raise `InvalidInputError` unless this process has the threads that the reference was made with."""
    made, here = sorted({row["threads"] for row in rows}), torch.get_num_threads()
    if made != [here]:
        wanted = ", ".join(map(str, made))
        raise InvalidInputError(
            f"the reference was measured on {wanted} thread(s), this process has {here}; "
            f"set OMP_NUM_THREADS={wanted}, or use make regress"
        )
