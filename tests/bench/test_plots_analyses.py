"""The figures of the analyses: what is drawn is what the table behind them says."""

from __future__ import annotations

import math

import matplotlib
import pytest

from bench._cells import where
from bench.plots import FIGURES, NothingToDrawError
from bench.plots._data import csv_text
from tests.fixtures.report_tables import NAN, row

BY_NAME = {figure.name: figure for figure in FIGURES}
ANALYSES = ("means", "profiles", "pareto", "growth", "break_even", "feasibility")


def rows() -> list[dict]:
    """Two maps, one refusing a set, and two projections on a line of three dimensions."""
    found = []
    broken = {"violation": 1e-6, "broken_share": 0.5}
    for n in (2, 4, 8):
        known = {"best_projection": "daqp", "speedup_osqp": 4.0, "speedup_best": 2.0}
        place = {"problem": f"cone-{n}x3", "speedup_osqp": 1.0, "speedup_best": 1.0}
        found += [
            row("a", 1.0 * n, **place | known, excess=2.0, setup_ms=0.5),
            row("b", 3.0 * n if n < 8 else None, **place | known, setup_ms=5.0, **broken),
            row("b_strict", 3.0 * n, **place | known, plain="b"),
            row("osqp", 4.0 * n, **place),
            row("daqp", 2.0 * n, **place | {"best_projection": "daqp"}),
        ]  # fmt: skip
    return found


def drawn(name: str, table: list[dict] | None = None):
    return BY_NAME[name].draw(rows() if table is None else table)


@pytest.mark.parametrize("name", ANALYSES)
def test_the_rows_behind_a_figure_have_the_same_columns_and_no_strict_twin(name):
    data = BY_NAME[name].data(rows())
    assert data and all(list(line) == list(data[0]) for line in data)
    assert {line["method"] for line in data} >= {"a"} and "b_strict" not in {line["method"] for line in data}


@pytest.mark.parametrize("name", ANALYSES)
def test_a_table_without_a_time_is_nothing_to_draw(name):
    with pytest.raises(NothingToDrawError, match="the table has no row"):
        drawn(name, [row("a", None), row("osqp", None)])


def test_rings_are_around_the_front():
    figure = drawn("pareto")
    front = where(BY_NAME["pareto"].data(rows()), problem="cone-2x3", front=1.0)
    rings = [line for line in figure.axes[0].lines if line.get_markersize() == 10]
    assert [list(zip(*line.get_data(), strict=True)) for line in rings] == [
        [(line["us_per_sample"], line["excess"]) for line in front]
    ]
    assert {line["method"] for line in front} == {"a", "daqp"}


def test_a_profile_ends_at_the_share_that_is_solved():
    feasible, near = drawn("profiles").axes
    ends = {line.get_label(): line.get_ydata()[-1] for line in feasible.lines}
    assert ends == {"a": 1.0, "b": pytest.approx(2 / 3), "osqp": 1.0, "daqp": 1.0}
    # a moves points twice as far as the projection, so that it has no line among the near answers.
    assert {line.get_label() for line in near.lines} == {"b", "osqp", "daqp"}


def test_means_are_written_beside_their_counts():
    texts = [text.get_text() for text in drawn("means").findobj(matplotlib.text.Text)]
    assert {"4.00x, 3 of 3", "2.00x, 3 of 3", "4.00x, 2 of 3"} <= set(texts)


def test_exponents_are_drawn_with_their_errors():
    figure = drawn("growth")
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    # Times are proportional to n; b has two points only.
    assert labels == ["a", "osqp", "daqp"] and axes.get_xlabel() == "exponent of n"
    exponents = [float(container.lines[0].get_xdata()[0]) for container in axes.containers]
    assert exponents == pytest.approx([1.0, 1.0, 1.0])


def test_never_and_at_once_have_ticks_of_their_own():
    osqp, best = drawn("break_even").axes
    for axes in (osqp, best):
        axes.figure.draw_without_rendering()
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert labels[0] == "at once" and labels[-1] == "never"
    never = best.get_xticks()[-1]
    # b takes longer a sample than daqp on both problems that it answers.
    assert sum(x == never for container in best.containers for x in container.lines[0].get_xdata()) == 2
    assert sum(x == 0.1 for container in osqp.containers for x in container.lines[0].get_xdata()) == 3


def test_guarantees_have_a_marker_each_and_zero_a_place():
    figure = drawn("feasibility")
    axes = figure.axes[0]
    figure.draw_without_rendering()
    assert "exact 0" in [label.get_text() for label in axes.get_xticklabels()]
    plain, strict, _ = axes.lines[:3]
    assert plain.get_marker() != strict.get_marker()
    assert max(plain.get_xdata()) == pytest.approx(1e-6 / 2**-23) and max(strict.get_xdata()) == 0.01


def test_every_dtype_is_within_the_common_limits():
    """Of panels that share an axis, whichever is drawn first."""
    more = [row("b", 1.0, dtype=dtype, violation=1.0, broken_share=0.5) for dtype in ("bfloat16", "float64")]
    figure = drawn("feasibility", rows() + more)
    figure.draw_without_rendering()
    assert len(figure.axes) == 3
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert all(low < x < high for line in axes.lines for x in line.get_xdata())


def test_the_table_behind_has_empty_fields_for_what_is_missing():
    text = csv_text([{"a": NAN, "b": math.inf, "c": [1, 2], "d": 1 / 3, "e": 'x,"y"'}])
    assert text == 'a,b,c,d,e\n,inf,1; 2,0.333333,"x,""y"""\n'
