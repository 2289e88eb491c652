"""The main result: one cell of the inference table in full."""

from __future__ import annotations

from .._cells import BATCH, PROBLEM, best_projection, main_cell, main_dtype, ok, plain_maps, where
from .._numbers import NONE, error, interval, number, share
from .._tables_io import COMMAND, Row, Tables
from ..schema import ROLES
from ._document import Block, Paragraph, Table, code, literal

BASELINE, SHOWN = "osqp", 6
"""Besides the paper's baseline, the README shows so many of the projections, the fastest."""


def main_result(tables: Tables) -> list[Block]:
    """As `main_result_in_full`, of the projections the fastest alone; the others in a sentence."""
    cell = plain_maps(main_cell(tables.find("inference")))
    slower = sorted(ok(where(cell, role="projection")), key=_order)[SHOWN:]
    slower = [row for row in slower if row["method"] != BASELINE]
    troubled = [row for row in where(cell, role="projection") if row["status"] not in ("ok", "refused")]
    hidden = [row["method"] for row in (*slower, *troubled)]
    blocks = _blocks(tables, [row for row in cell if row["method"] not in hidden])
    if slower:
        names = ", ".join(f"{code(row['method'])} {number(row['us_per_sample'])}" for row in slower)
        blocks.append(Paragraph(f"Slower projections, µs a sample: {names}."))
    if troubled:
        names = ", ".join(f"{code(row['method'])} ({row['status']})" for row in troubled)
        blocks.append(Paragraph(f"Projections without a time, for reasons in results/README.md: {names}."))
    return blocks


def main_result_in_full(tables: Tables) -> list[Block]:
    """Every method of the main cell but the strict variants, by role, the fastest first."""
    return _blocks(tables, plain_maps(main_cell(tables.find("inference"))))


def _blocks(tables: Tables, cell: list[Row]) -> list[Block]:
    if not cell:
        return [Paragraph(f"No row for {PROBLEM} at batch {BATCH} yet: `{COMMAND}` measures it.")]
    n, best = cell[0]["n"], best_projection(cell)
    fastest = f"the fastest projection, {code(best)}" if best else "the fastest projection"
    header = (
        "method", "role", "µs a sample (quartiles)", "x faster than `osqp`",
        f"x faster than {fastest}", "time / floor", f"time / Linear({n}, {n})",
        "largest violation", "infeasible", "from the exact projection",
    )  # fmt: skip
    refused = [row for row in cell if row["status"] == "refused"]
    rows = tuple(_row(row, len(header)) for row in sorted(cell, key=_order) if row not in refused)
    others = ", ".join(code(row["method"]) for row in refused)
    return [
        Paragraph(f"{PROBLEM}, batch {BATCH}, {main_dtype(cell)}, {literal(tables.device)}:"),
        Table(header, rows, left=2),
        *([Paragraph(f"Made for other sets, and refused by this one: {others}.")] if refused else []),
        Paragraph(
            "Medians; in brackets 95 % intervals of ratios measured interleaved in one run. Floor: `X @ A.T` "
            "and `X.clone()`, the least that looks at every constraint and returns a vector. Violation: the "
            "largest max(A x - b) in float64; infeasible: answers with any violation at all, rounding "
            "included. Last column: for a projection or a peer the largest relative distance from the exact "
            "one, for an embedded map of a given point how far it moves the point, as a multiple of the "
            "exact projection's distance (median)."
        ),
    ]


def nearness(row: Row) -> str:
    """The distance of a projection, the excess of an embedded map where it has one."""
    if row["role"] in ("projection", "peer"):
        return error(row["distance"])
    excess = number(row["excess"])
    return excess if excess == NONE else f"moves {excess}x as far"


def _order(row: Row) -> tuple:
    ok = row["status"] == "ok"
    return ROLES.index(row["role"]), not ok, row["us_per_sample"] if ok else 0.0


def _row(row: Row, width: int) -> tuple[str, ...]:
    start = (code(row["method"]), row["role"])
    if row["status"] != "ok":
        reason = f"{row['status']}: {literal(row['reason'])}".rstrip(": ")
        return (*start, reason, *[NONE] * (width - 3))
    return (
        *start,
        interval(row["us_per_sample"], row["us_q25"], row["us_q75"], number),
        interval(row["speedup_osqp"], row["speedup_osqp_low"], row["speedup_osqp_high"]),
        interval(row["speedup_best"], row["speedup_best_low"], row["speedup_best_high"]),
        interval(row["ratio_floor"], row["ratio_floor_low"], row["ratio_floor_high"]),
        interval(row["ratio_linear"], row["ratio_linear_low"], row["ratio_linear_high"]),
        error(row["violation"]),
        share(row["infeasible_share"]),
        nearness(row),
    )
