"""What a CUDA device can do, how near the maps come to it, and which targets that meets."""

from __future__ import annotations

import math

from .._cells import distinct, ok, where
from .._numbers import NONE, error, interval, number, share, times
from .._tables_io import Row, Tables
from ..analyses import targets
from ._document import Block, Grouped, Heading, Paragraph, Table, code, literal
from ._pictures import Pictures

VERDICTS = {1.0: "reached", 0.0: "missed"}
MAPS = (
    "map", "strict", "dtype", "batch", "L2", "fused, us", "plain, us", "chosen, us", "fused / plain",
    "of a copy", "of its own product", "fused from Python, us", "chosen from Python, us",
)  # fmt: skip
NETWORKS = ("hidden layers", "batch", "without, us")


def limits(tables: Tables, pictures: Pictures) -> list[Block]:
    """Yardsticks, targets, maps and networks; nothing where no row is of a CUDA device."""
    rows, lines = tables.find("limits"), targets(tables)
    if not rows and not lines:
        return []
    blocks: list[Block] = [Heading(3, "Limits of the device"), *_yardsticks(rows)]
    blocks += [*pictures.of("limits", "network_graphs"), *_targets(lines)]
    return blocks + _maps(where(rows, what="map")) + _networks(where(rows, what="network"))


def _yardsticks(rows: list[Row]) -> list[Block]:
    copies, products = where(ok(rows), what="copy"), where(ok(rows), what="product")
    parts = [f"a copy moves {number(row['bytes_per_second'] / 1e9)} GB/s" for row in copies]
    parts += [
        f"the library's product of large matrices in {row['dtype']} makes "
        f"{number(row['operations_per_second'] / 1e12)} TFLOP/s"
        for row in products
    ]
    text = f"In the same run: {', '.join(parts)}. " if parts else ""
    return [
        Paragraph(
            f"{text}Times are between two CUDA events, around all calls of a round; in a "
            "graph without the launches, from Python with them. The L2 cache is warm unless it says cold. "
            "Shares: each point read once and each value written once, over the copy; the float32 product "
            "of the same points with the rows, as often as the map makes it, over the time of the map."
        )
    ]


def _targets(lines: list[Row]) -> list[Block]:
    if not lines:
        return []
    met = [line["met"] for line in lines]
    counts = f"{met.count(1.0)} reached, {met.count(0.0)} missed, {sum(map(math.isnan, met))} not measured"
    body = [
        (literal(line["target"]), _place(line), _asked(line), _text(line["value"], line), _verdict(line))
        for line in lines
    ]
    return [
        Heading(4, "Targets"),
        Paragraph(f"What the kernels were written to reach: {counts}."),
        Table(("target", "place", "asked", "reached", "verdict"), tuple(body), left=2),
    ]


def _place(line: Row) -> str:
    """Where, and what the two that are compared break."""
    known = [error(value) for value in line["violations"]]
    return line["place"] + (f"; largest violation {' and '.join(known)}" if len(known) == 2 else "")


def _asked(line: Row) -> str:
    return f"at {'least' if line['above'] else 'most'} {_text(line['asked'], line)}"


def _text(value: float, line: Row) -> str:
    return share(value) if line["unit"] == "share" else times(value)


def _verdict(line: Row) -> str:
    return VERDICTS.get(line["met"], literal(line["reason"]))


def _maps(rows: list[Row]) -> list[Block]:
    """A part a size, a line a map, dtype and batch."""
    parts = []
    for n, m in dict.fromkeys((row["n"], row["m"]) for row in rows):
        mine = where(rows, n=n, m=m)
        cells = dict.fromkeys(tuple(row[name] for name in CELL) for row in mine)
        body = tuple(_map(where(mine, **dict(zip(CELL, cell, strict=True)))) for cell in cells)
        parts.append((f"Maps, {n}x{m}", f"{n}x{m}", body))
    filters = ("size", "map", "strict", "dtype", "batch")
    return [Grouped("size", MAPS, tuple(parts), 3, filters, "limits of the device")] if parts else []


CELL = ("map", "strict", "dtype", "batch", "l2")


def _map(cell: list[Row]) -> tuple[str, ...]:
    calls = {(row["path"], row["launch"]): row for row in ok(cell)}
    first, fused = cell[0], calls.get(("fused", "graph"))
    paths = [_us(calls.get((path, "graph"))) for path in ("fused", "plain", "chosen")]
    eager = [_us(calls.get((path, "eager"))) for path in ("fused", "chosen")]
    ratio = _with_ends(fused, "ratio_plain") if fused else NONE
    shares = [share(fused[name]) if fused else NONE for name in ("share_of_copy", "share_of_own_product")]
    start = (code(first["map"]), "yes" if first["strict"] else "no", first["dtype"], str(first["batch"]))
    return (*start, first["l2"], *paths, ratio, *shares, *eager)


def _networks(rows: list[Row]) -> list[Block]:
    if not rows:
        return []
    variants = dict.fromkeys((row["map"], row["strict"]) for row in rows if row["map"] != "unconstrained")
    names = [f"{code(name)}{', strict' if strict else ''}" for name, strict in variants]
    body = []
    for hidden in distinct(rows, "hidden"):
        for batch in distinct(where(rows, hidden=hidden), "batch"):
            cell = where(ok(rows), hidden=hidden, batch=batch)
            alone = next(iter(where(cell, map="unconstrained")), None)
            found = [next(iter(where(cell, map=name, strict=strict)), None) for name, strict in variants]
            ratios = [_with_ends(row, "ratio_unconstrained") if row else NONE for row in found]
            body.append((hidden, str(batch), _us(alone), *ratios))
    return [
        Heading(4, "Networks in a CUDA graph"),
        Paragraph("Time of a whole inference, over that of the network without the map, interleaved."),
        Table((*NETWORKS, *names), tuple(body), left=1),
    ]


def _us(row: Row | None) -> str:
    return number(row["seconds"] * 1e6) if row else NONE


def _with_ends(row: Row, name: str) -> str:
    return interval(row[name], row[f"{name}_low"], row[f"{name}_high"])
