"""The reference of the regression gate, results/reference.csv."""

from __future__ import annotations

import pandera.pandas as pa

from ._kinds import Table, count, number, table_schema, text, with_interval
from ._timing import STATUSES

RATIOS = {"ratio_linear": "linear", "ratio_floor": "floor", "ratio_osqp": "osqp"}
"""The ratios that the gate compares, and the yardstick of each."""
RENEW = "make reference REASON='why'"


def _has_interval(name: str) -> pa.Check:
    """A ratio without an interval would never be slower."""
    return pa.Check(
        lambda rows: rows[name].isna() | (rows[f"{name}_low"] <= rows[f"{name}_high"]),
        error=f"{name} needs an interval",
        ignore_na=False,
    )


REFERENCE = Table(
    "reference",
    "a method at a cell of the short grid, as it was when the reference was measured",
    table_schema(
        {
            "cell": text("problem and batch"),
            "method": text("the name that `python -m bench list` shows"),
            "threads": count("threads of torch while measuring"),
            "status": text("as in the inference table", STATUSES),
            **{
                column: declared
                for name, yardstick in RATIOS.items()
                for column, declared in with_interval(
                    name, f"time of the method / time of {yardstick}, in the same passes"
                ).items()
            },
            "violation": number("largest violation of the answers"),
            "infeasible_share": number("answers with any violation at all", "share", 0, 1),
            "distance": number("largest relative distance to the exact projection", at_least=0),
            "excess": number("how far points are moved, as a multiple of the least", at_least=0),
        },
        key=("cell", "method"),
        rules={f"{name}_low": _has_interval(name) for name in RATIOS},
    ),
    command=RENEW,
    older=f"measure it anew: {RENEW}",
)
