"""The judgements for a person, for a page of GitHub's, and for a program that reads JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from ..schema import RATIOS, REFERENCE
from ._verdicts import Judgement, Verdict

YARDSTICKS = tuple(RATIOS.values())


def passed(judgements: Sequence[Judgement]) -> bool:
    """Whether no row fails."""
    return not any(found.verdict.fails for found in judgements)


def terminal(judgements: Sequence[Judgement], notes: Sequence[str] = ()) -> str:
    """Every row that is not ok, gravest first, then the counts and what they mean."""
    lines = [*notes]
    lines += [
        f"{found.verdict.upper()} {found.cell} {found.method}: {_printable(str(found))}"
        for found in _sorted(judgements)
        if found.verdict is not Verdict.OK
    ]
    lines += _hints(judgements)
    return "\n".join([*lines, f"regression gate {_outcome(judgements)}: {_counts(judgements)}"])


def markdown(judgements: Sequence[Judgement], notes: Sequence[str] = ()) -> str:
    """A heading, the counts, and a table of all rows, gravest first, with the change of each ratio."""
    yardsticks = [f"x {name}" for name in YARDSTICKS]
    lines = [
        f"### Regression gate {_outcome(judgements)}",
        "",
        f"{_counts(judgements)}.",
        *(f"\n{_cell(note)}" for note in (*notes, *_hints(judgements))),
        "",
        "How each ratio to a yardstick changed, now / reference with its 95 % interval; above 1 is slower.",
        "",
        f"| {' | '.join(['verdict', 'cell', 'method', *yardsticks, 'note'])} |",
        f"| --- | --- | --- | {'---: | ' * len(YARDSTICKS)}--- |",
    ]
    for found in _sorted(judgements):
        changes = {change.yardstick: str(change) for change in found.changes}
        verdict = f"**{found.verdict}**" if found.verdict.fails else str(found.verdict)
        fields = [verdict, found.cell, f"`{found.method}`", *(changes.get(name, "") for name in YARDSTICKS)]
        lines.append(f"| {' | '.join([*fields, _cell(found.text)])} |")
    return "\n".join(lines) + "\n"


def junit(judgements: Sequence[Judgement]) -> str:
    """A test suite with a case for each row: cell and method are class and name, inconclusive is skipped."""
    kinds = Counter(found.verdict for found in judgements)
    suite = ElementTree.Element(
        "testsuite",
        name="regress",
        tests=str(len(judgements)),
        failures=str(sum(found.verdict.fails for found in judgements)),
        skipped=str(kinds[Verdict.INCONCLUSIVE]),
        errors="0",
    )
    for found in judgements:
        case = ElementTree.SubElement(suite, "testcase", classname=found.cell, name=found.method)
        text = _printable(str(found))
        if found.verdict.fails:
            failure = ElementTree.SubElement(case, "failure", type=str(found.verdict), message=text)
            failure.text = text
        elif found.verdict is Verdict.INCONCLUSIVE:
            ElementTree.SubElement(case, "skipped", message=text)
        elif text:
            ElementTree.SubElement(case, "system-out").text = f"{found.verdict}: {text}"
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _sorted(judgements: Sequence[Judgement]) -> list[Judgement]:
    order = list(Verdict)
    return sorted(judgements, key=lambda found: order.index(found.verdict))


def _outcome(judgements: Sequence[Judgement]) -> str:
    return "passed" if passed(judgements) else "failed"


def _counts(judgements: Sequence[Judgement]) -> str:
    counts = Counter(found.verdict for found in judgements)
    return f"{len(judgements)} rows: " + ", ".join(
        f"{counts[kind]} {kind}" for kind in Verdict if counts[kind]
    )


def _hints(judgements: Sequence[Judgement]) -> list[str]:
    found = {judgement.verdict for judgement in judgements}
    hints = {
        Verdict.FASTER: f"Rows became faster: if that is meant to stay, keep it with {REFERENCE.command}",
        Verdict.INCONCLUSIVE: "Rows are undecided: a quiet machine or a longer --limit decides them.",
    }
    return [hint for verdict, hint in hints.items() if verdict in found]


def _cell(text: str) -> str:
    """Text that cannot break a Markdown table."""
    return _printable(text).replace("|", "\\|").replace("<", "&lt;")


def _printable(text: str) -> str:
    """Without characters that XML and terminals do not take; a method's message may hold any."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())
