"""What is worked out from the tables, against answers worked out on paper."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench._tables_io import Tables
from bench.analyses import (
    break_even,
    comparison,
    feasibility,
    growth,
    main_setting,
    means,
    other_settings,
    pareto,
    profiles,
    shares,
)
from bench.analyses.machines import over_problems
from tests.fixtures.report_tables import NAN, row


def values(lines: list[dict], *names: str) -> list[tuple]:
    return [tuple(line[name] for name in names) for line in lines]


def test_the_front_is_what_no_other_beats_in_both():
    rows = [
        row("a", 1.0, excess=3.0),
        row("b", 2.0, excess=3.0),
        row("c", 2.0, excess=1.0004),
        row("osqp", 9.0, excess=1.0),
        row("peer", 1.5, excess=NAN),
        row("peer2", 0.1, excess=1.0, violation=0.5),
    ]
    # c is as near as osqp to three decimals, so osqp is dominated; the peers have no place.
    front = {line["method"]: line["front"] for line in pareto(rows)}
    assert {name for name, value in front.items() if value == 1} == {"a", "c"}
    assert front["b"] == front["osqp"] == 0
    assert math.isnan(front["peer"]) and math.isnan(front["peer2"])


def test_equal_methods_are_both_on_the_front():
    assert values(pareto([row("a", 1.0), row("b", 1.0)]), "front") == [(1.0,), (1.0,)]


def test_the_front_is_about_the_problems_with_peers():
    rows = [row("a", 1.0), row("peer", 2.0), row("a", 1.0, problem="cone-8x2")]
    assert {line["problem"] for line in pareto(rows)} == {"cone-4x2"}


def test_profiles_count_what_was_refused_as_unsolved():
    rows = [
        row("a", 1.0, excess=2.0), row("b", 4.0), row("osqp", 8.0),
        row("a", None, problem="cone-8x2"), row("b", 6.0, problem="cone-8x2"),
        row("osqp", 3.0, problem="cone-8x2"),
    ]  # fmt: skip
    lines = profiles(rows)
    ratios = {(line["set"], line["method"], line["problem"]): line["ratio"] for line in lines}
    assert ratios["feasible", "b", "cone-4x2"] == 4.0 and ratios["feasible", "b", "cone-8x2"] == 2.0
    assert ratios["feasible", "a", "cone-8x2"] == math.inf
    # Of the near answers b is the fastest on the first problem: a moves the point twice as far.
    assert ratios["near", "b", "cone-4x2"] == 1.0 and ratios["near", "a", "cone-4x2"] == math.inf
    found = {(line["set"], line["method"]): line for line in shares(lines)}
    assert found["feasible", "a"]["solved"] == 1 and found["feasible", "a"]["within_100"] == 0.5
    assert [found["feasible", "b"][f"within_{t}"] for t in (1, 2, 10)] == [0.0, 0.5, 1.0]


def test_a_problem_that_nobody_solved_is_in_the_profile():
    lines = profiles([row("a", None), row("osqp", None)])
    assert all(line["ratio"] == math.inf for line in lines)


def test_means_are_geometric_and_say_what_is_left_out():
    rows = [
        row("a", 1.0, speedup_osqp=2.0, speedup_best=1.0),
        row("a", 1.0, problem="cone-8x2", speedup_osqp=8.0),
        row("a", None, problem="cone-9x2"),
        row("osqp", 2.0, problem="cone-10x2"),
    ]
    line = means(rows)[0]
    assert line["speedup_osqp"] == pytest.approx(4.0) and line["speedup_osqp_problems"] == 2
    assert line["speedup_best_problems"] == 1 and line["ratio_floor_problems"] == 0
    assert (line["answered"], line["problems"]) == (2, 4)
    assert line["left_out"] == ["cone-9x2", "cone-10x2"]


@pytest.mark.parametrize("along", ["batch", "n", "m"])
def test_an_exact_power_is_found_again(along):
    sizes = (2, 4, 16)
    per_sample = 0.5 if along == "batch" else 1.5
    cells = {"batch": lambda s: ("cone-4x2", s), "n": lambda s: (f"cone-{s}x7", 1)}
    cells["m"] = lambda s: (f"cone-7x{s}", 1)
    rows = []
    for size in sizes:
        problem, batch = cells[along](size)
        rows.append(row("a", 3.0 * size**per_sample, problem=problem, batch=batch))
    (line,) = growth(rows)
    # A call takes batch times the time a sample, so its exponent is larger by one.
    assert line["along"] == along and line["exponent"] == pytest.approx(1.5)
    assert line["error"] == pytest.approx(0, abs=1e-7) and line["r2"] == pytest.approx(1)
    assert line["sizes"] == [2, 4, 16]


def test_the_standard_error_is_that_of_the_textbook():
    # log2 of the times: 0, 1, 3 at 0, 1, 2: slope 3/2, residuals 1/6, -1/3, 1/6, so s^2 = 1/6 over 2.
    rows = [row("a", time, problem=f"cone-{n}x7") for n, time in ((1, 1.0), (2, 2.0), (4, 8.0))]
    (line,) = growth(rows)
    assert line["exponent"] == pytest.approx(1.5) and line["error"] == pytest.approx((1 / 6 / 2) ** 0.5)
    assert line["r2"] == pytest.approx(1 - (1 / 6) / (14 / 3))


def test_two_points_or_a_failed_third_are_no_line():
    rows = [row("a", 1.0, problem=f"cone-{n}x7") for n in (1, 2)]
    assert growth(rows) == [] and growth([*rows, row("a", None, problem="cone-4x7")]) == []


def test_break_even_counts_both_set_ups():
    rows = [
        row("a", 1.0, setup_ms=3.0, best_projection="daqp"),
        row("b", 5.0, setup_ms=0.5, best_projection="daqp"),
        row("c", 1.0, setup_ms=0.5, best_projection="none"),
        row("osqp", 11.0, setup_ms=1.0),
        row("daqp", 5.0, setup_ms=1.0),
    ]
    a, b, c = break_even(rows)
    # a: 2 ms more for 10 us a sample less, and for 4 us less; b: no faster than daqp, but set up before osqp.
    assert (a["after_osqp"], a["after_best"]) == (200, 500)
    assert (b["after_osqp"], b["after_best"]) == (0, math.inf)
    assert c["after_osqp"] == 0 and math.isnan(c["after_best"])


def test_feasibility_separates_guarantees_and_dtypes():
    rows = [
        row("a", 1.0, violation=2.0**-20, broken_share=0.5, infeasible_share=0.5),
        row("a", 1.0, problem="cone-8x2", violation=1e-3, broken_share=0.0, infeasible_share=1.0),
        row("a_strict", 1.0, plain="a", violation=0.0),
        row("a", 1.0, dtype="float64", violation=2.0**-50, broken_share=1.0),
        row("a", 1.0, dtype="bfloat16", violation=2.0**-4, broken_share=1.0),
    ]
    half, plain, strict, double = feasibility(rows)
    assert half["dtype"] == "bfloat16" and half["broken_over_eps"] == 2.0**3
    assert (plain["violation"], plain["broken_share"], plain["infeasible_share"]) == (1e-3, 0.25, 0.75)
    # The larger violation is of an equality alone: no inequality of that cell is broken.
    assert plain["broken_over_eps"] == 2.0**3 and double["broken_over_eps"] == 2.0**2
    assert (strict["method"], strict["guarantee"], strict["broken_over_eps"]) == ("a", "strict", 0.0)
    assert [line["cells"] for line in (plain, strict, double)] == [2, 1, 1]


def machine(name: str, rows: list[dict] | None) -> Tables:
    return Tables(Path(name), {"inference": rows}, None)


def test_machines_are_compared_on_what_all_of_them_answered():
    ratio = {"speedup_osqp": 2.0, "speedup_best": 1.0}
    here = [row("a", 1.0, **ratio), row("a", 1.0, problem="cone-8x2", **ratio), row("b", 1.0, **ratio)]
    there = [
        row("a", 9.0, speedup_osqp=3.0, speedup_best=0.5),
        row("a", 9.0, problem="cone-8x2", speedup_osqp=12.0, speedup_best=0.5),
        row("b", None),
    ]
    lines = comparison([machine("here", here), machine("there", there)])
    assert values(lines, "method", "problem") == [("a", "cone-4x2"), ("a", "cone-8x2")]
    assert lines[0]["speedup_osqp"] == {"here": 2.0, "there": 3.0}
    (mean,) = over_problems(lines)
    assert mean["speedup_osqp"]["there"] == pytest.approx(6.0) and mean["problems"] == 2


def test_one_machine_is_compared_with_nothing():
    rows = [row("a", 1.0, speedup_osqp=2.0, speedup_best=1.0)]
    assert (
        comparison([machine("here", rows)]) == comparison([machine("here", rows), machine("x", None)]) == []
    )


def test_one_setting_is_compared_and_the_others_are_beside_it():
    warm, cold = {"threads": 2.0, "cache": "warm"}, {"threads": 2.0, "cache": "cold"}
    rows = [row("a", 1.0, **warm), row("b", 2.0, **warm), row("a", 3.0, **cold), row("c", None, **warm)]
    tables = Tables(Path("here"), {"inference": rows, "networks": [{"network": "x"}], "planning": None}, None)
    main = main_setting(tables)
    assert values(main.find("inference"), "method", "cache") == [("a", "warm"), ("b", "warm"), ("c", "warm")]
    assert main.find("networks") == [{"network": "x"}] and main.rows["planning"] is None
    assert values(other_settings(tables), "method", "ratio") == [("a", 3.0)]
    assert other_settings(main) == [] and main_setting(main) is main
