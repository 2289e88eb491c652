"""Feasibility by dtype: how much and how often answers break a row, plain and strict."""

from __future__ import annotations

import math

import torch

from .._cells import ok
from .._tables_io import Row
from ..schema import ROLES

GUARANTEES = ("plain", "strict", "tight")


def feasibility(rows: list[Row]) -> list[Row]:
    """A row for each dtype, map and guarantee: the largest `violation`, and shares of the answers.

    `broken_over_eps` is the largest violation of the cells where an inequality is broken, over the machine
    epsilon of the dtype: 0 where none is, even if equalities hold up to rounding only.
    `infeasible_share` and `broken_share` are means over the `cells`; the latter leaves equalities out.
    Projections and peers follow their guarantee "plain", since they have no other.
    """
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in ok(rows):
        if row["role"] != "yardstick" and math.isfinite(row["violation"]):
            groups.setdefault((row["dtype"], row["role"], *_map(row)), []).append(row)
    # Maps first, in the order of the table otherwise.
    ordered = sorted(groups, key=lambda group: (group[0], ROLES.index(group[1])))
    return [_line(*group, groups[group]) for group in ordered]


def _map(row: Row) -> tuple[str, str]:
    """The plain map and the guarantee; a variant is called by its map and the guarantee."""
    if not row["plain"]:
        return row["method"], "plain"
    return row["plain"], row["method"].removeprefix(row["plain"]).lstrip("_")


def _line(dtype: str, role: str, method: str, guarantee: str, mine: list[Row]) -> Row:
    eps = torch.finfo(getattr(torch, dtype)).eps
    broken = max((row["violation"] for row in mine if row["broken_share"] > 0), default=0.0)
    return {
        "dtype": dtype, "role": role, "method": method, "guarantee": guarantee, "cells": len(mine),
        "violation": max(row["violation"] for row in mine), "broken_over_eps": broken / eps,
        "infeasible_share": _average(mine, "infeasible_share"),
        "broken_share": _average(mine, "broken_share"),
    }  # fmt: skip


def _average(rows: list[Row], name: str) -> float:
    known = [row[name] for row in rows if math.isfinite(row[name])]
    return sum(known) / len(known) if known else math.nan
