"""The table of bad and degenerate input."""

from __future__ import annotations

from ._kinds import Table, number, table_schema, text

ROBUSTNESS = Table(
    "robustness",
    "a method and an input that it was not made for",
    table_schema(
        {
            "method": text("the name that `python -m bench list` shows"),
            "role": text("what kind of method it is, as in the inference table"),
            "input": text("the case, e.g. an empty set or a point that is not finite"),
            "outcome": text("what came of it, as judged from the set and the returned numbers"),
            "origin": text("of an error: suite, engine or foreign", empty=True),
            "violation": number("largest violation of the answer"),
            "distance": number("largest relative distance of the answer to the exact one", at_least=0),
            "reason": text("a sentence, or the class and text of an error", empty=True),
        },
        key=("method", "input"),
    ),
)
