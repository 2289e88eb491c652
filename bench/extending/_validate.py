"""Every check on every set, one line a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from constrained.errors import TrivialSetError, UnsupportedSetError

from ..methods import AbstractMethod
from ..problems import Instance
from ._checks import CHECKS
from ._sets import instances
from ._trial import Trial, Verdict


@dataclass(frozen=True)
class Line:
    """A check: its verdict over all sets, the largest figure, and notes."""

    check: str
    verdict: str
    figure: float | None
    note: str


@dataclass(frozen=True)
class Report:
    """What a method did with the checks; printed, a table.

    Attributes:
        method: its name.
        lines: one a check; none if every set was refused.
        served: names of the sets.
        refused: name of a set -> the reason.
    """

    method: str
    lines: tuple[Line, ...]
    served: tuple[str, ...]
    refused: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and at least one set was served."""
        return bool(self.lines) and all(line.verdict != "fail" for line in self.lines)

    def __str__(self) -> str:
        text = [f"{self.method}: on {', '.join(self.served) or 'no set'}"]
        for reason in dict.fromkeys(self.refused.values()):
            names = ", ".join(name for name, why in self.refused.items() if why == reason)
            text.append(f"  refuses {names}: {reason}")
        if not self.lines:
            return "\n".join([*text, "fail: nothing was checked; name a set that it serves with --problem"])
        text += [f"  {'check':12} {'verdict':8} {'figure':>8}  note"]
        for line in self.lines:
            figure = "" if line.figure is None else f"{line.figure:.1e}"
            text.append(f"  {line.check:12} {line.verdict:8} {figure:>8}  {line.note}".rstrip())
        return "\n".join([*text, "pass" if self.passed else "fail"])


def validate(method: AbstractMethod, problem: str | None = None) -> Report:
    """Run every check on small sets of every kind, or on the smallest one of a problem family.

    Raises what the method's own set-up raises beyond refusing a set: a package that is not installed, say.
    """
    refused: dict[str, str] = {}
    found: dict[str, dict[str, Verdict]] = {}
    for instance in instances(problem):
        try:
            found[instance.name] = _on(method, instance)
        except (UnsupportedSetError, TrivialSetError) as error:
            refused[instance.name] = _reason(error, instance)
    lines = [_line(name, {where: found[where][name] for where in found}) for name in CHECKS if found]
    return Report(method.name, tuple(lines), tuple(found), refused)


def _reason(error: Exception, instance: Instance) -> str:
    """The text of the error, without the description of the set, which is named beside it."""
    text = " ".join(str(error).split())
    return text.partition(f"{instance.polyhedron}: ")[2] or text


def _on(method: AbstractMethod, instance: Instance) -> dict[str, Verdict]:
    trial = Trial(method, instance)
    try:
        trial.subject().call(trial.inputs())  # some refuse a set only when they are called
        return {name: _checked(trial, name) for name in CHECKS}
    finally:
        trial.close()


def _checked(trial: Trial, name: str) -> Verdict:
    """The verdict; a check that an error ends has failed."""
    try:
        return CHECKS[name](trial)
    except Exception as error:
        return Verdict("fail", note=f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")


def _line(check: str, verdicts: dict[str, Verdict]) -> Line:
    """The worst verdict; the notes that go with it, each set named where it failed."""
    for verdict in ("fail", "pass", "n/a"):
        some = {where: v for where, v in verdicts.items() if v.verdict == verdict}
        if some:
            break
    figures = [v.figure for v in verdicts.values() if v.figure is not None]
    notes = [f"{where}: {v.note or 'over what is allowed'}" for where, v in some.items() if verdict == "fail"]
    notes = notes or [v.note for v in some.values() if v.note]
    return Line(check, verdict, max(figures, default=None), _joined(notes))


def _joined(notes: Sequence[str]) -> str:
    """Every remark once."""
    return "; ".join(dict.fromkeys(part for note in notes for part in note.split("; ")))
