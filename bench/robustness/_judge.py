"""From what a method did to one word: from the set and the returned numbers alone, in float64.

    violation   the largest amount by which a row of the well-posed description is broken, over max(1, |y|)
    distance    from the exact projection, over max(1, |y|); of a map that keeps points, over points inside

Points that are flagged or not finite count as flagged whatever they are; the word is that of the worst
of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from constrained.polyhedron import Polyhedron

from ..metrics import violations
from ._cases import Case
from ._methods import AbstractMethod
from ._reports import Report

EXACT, GARBAGE = 1e-6, 1e-3
"""Up to EXACT an answer is right; above GARBAGE it is garbage."""

OUTCOMES = {
    "correct": f"feasible to {EXACT:g} and within {EXACT:g} of the nearest point, relative",
    "feasible": f"feasible to {EXACT:g}, relative; the method does not promise the nearest point",
    "inaccurate": f"off by more than {EXACT:g} and at most {GARBAGE:g}, without a flag",
    "silent garbage": f"off by more than {GARBAGE:g}, or an answer where there is none, without a flag",
    "flagged": "a status that is not solved, or NaN",
    "spread": "a NaN in one point of the batch made the answers of others NaN or unsolved",
    "refused": "the method says that it does not serve this set",
    "error": "an exception",
    "crash": "the process died",
    "timeout": "no answer in time",
    "skipped": "not installed",
}
"""The words and what they mean."""

Row = dict[str, Any]


def judge(method: AbstractMethod, case: Case, report: Report) -> Row:
    """The row of the table."""
    row: Row = {"method": method.name, "role": method.role, "input": case.name}
    row |= {"origin": report.origin, "violation": None, "distance": None, "reason": report.reason}
    if report.event != "answer":
        return row | {"outcome": report.event}
    x, flagged = report.x, report.flagged
    if x is None or flagged is None or x.shape != case.points.shape:
        found = None if x is None else x.shape
        return row | {"outcome": "silent garbage", "reason": f"the answer has shape {found}"}
    honest = flagged | ~np.isfinite(x).all(axis=1)
    if case.twin is None:
        return row | _without_answer(case, x, honest, report)
    plain = ~honest & ~case.spoiled
    sizes = np.maximum(1.0, np.linalg.norm(case.points[plain], axis=1))
    violation = _largest(violations(case.twin, x[plain]) / sizes)
    distance = _distance(method, case, x, plain, sizes)
    row |= {"violation": violation, "distance": distance}
    return row | _word(method, case, flagged, honest, max(violation or 0.0, distance or 0.0), report.reason)


def _without_answer(case: Case, x: np.ndarray, honest: np.ndarray, report: Report) -> Row:
    """A set without points, or without meaning: every number without a flag is wrong."""
    if honest.all():
        return {"outcome": "flagged", "reason": _why(report.flagged, report.reason)}
    row: Row = {"outcome": "silent garbage"}
    if np.isfinite(case.A).all():
        sizes = np.maximum(1.0, np.linalg.norm(case.points[~honest], axis=1))
        row["violation"] = _largest(violations(Polyhedron(case.A, case.b), x[~honest]) / sizes)
    return row


def _distance(
    method: AbstractMethod, case: Case, x: np.ndarray, plain: np.ndarray, sizes: np.ndarray
) -> float | None:
    """Over the points of which the method promises where they go; None if there are none."""
    nearest = case.nearest()
    if nearest is None or not (method.projects or method.keeps):
        return None
    promised = np.full(int(plain.sum()), method.projects)
    if method.keeps:
        moved = np.linalg.norm((nearest - case.points)[plain], axis=1)
        promised |= moved <= 1e-12 * sizes
    return _largest((np.linalg.norm((x - nearest)[plain], axis=1) / sizes)[promised])


def _word(
    method: AbstractMethod, case: Case, flagged: np.ndarray, honest: np.ndarray, worst: float, reason: str
) -> Row:
    if (case.spoiled & ~honest).any():
        return {"outcome": "silent garbage", "reason": "the point with a NaN has an answer of numbers"}
    if worst > GARBAGE:
        return {"outcome": "silent garbage"}
    if (honest & ~case.spoiled).any():
        outcome = "spread" if case.spoiled.any() else "flagged"
        return {"outcome": outcome, "reason": _why(flagged, reason)}
    if worst > EXACT:
        return {"outcome": "inaccurate"}
    if case.spoiled.any():
        return {"outcome": "flagged", "reason": "the point with a NaN alone; the others are right"}
    return {"outcome": "correct" if method.projects else "feasible"}


def _why(flagged: np.ndarray | None, reason: str) -> str:
    some = flagged is not None and flagged.any()
    return "; ".join(filter(None, ["by its status" if some else "NaN, without a status", reason]))


def _largest(values: np.ndarray) -> float | None:
    return float(values.max()) if len(values) else None
