"""The gate goes red for what is worse, names it, and stays green for noise."""

import pytest

from bench.grid import grid
from bench.regress import _gate
from bench.regress._reference import read_reference, write_reference
from bench.regress._verdicts import Verdict, judge
from tests.fixtures.passes import measured


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("gate") / "reference.csv"
    write_reference(path, {"c": [measured(seed=seed) for seed in (10, 11, 12)]}, "a test")
    return read_reference(path).rows


def judged(reference, *passes):
    """The rows that are not ok, by method."""
    found = judge(reference, {"c": list(passes)})
    assert [row.method for row in found] == [row["method"] for row in reference]
    return {row.method: row for row in found if row.verdict is not Verdict.OK}


def slow(count, ours=2.8, **more):
    return [measured(ours=ours, seed=seed, **more) for seed in range(1, count + 1)]


def test_the_same_is_ok(reference):
    assert judged(reference, measured(seed=1)) == {}


def test_a_faster_machine_changes_nothing(reference):
    assert judged(reference, measured(0.2, 0.1, 10.0, 0.05, seed=1)) == {}


def test_a_slower_map_is_named_with_its_ratios_after_three_passes(reference):
    assert {row.verdict for row in judged(reference, *slow(2)).values()} == {Verdict.INCONCLUSIVE}
    found = judged(reference, *slow(3))
    assert set(found) == {"half_spaces", "shift_strict"}
    row = found["half_spaces"]
    assert row.verdict is Verdict.SLOWER and row.verdict.fails
    assert str(row).startswith("over 25% slower than the reference; ratio to linear was 2.0")
    assert "to floor was" in str(row) and "to osqp was" in str(row)
    factors = {change.yardstick: change for change in row.changes}
    assert set(factors) == {"linear", "floor", "osqp"}
    for change in factors.values():
        assert 1.3 < change.low < change.factor < change.high < 1.5


def test_more_rounds_narrow_the_interval(reference):
    def width(passes):
        change = judge(reference, {"c": passes})[2].changes[0]
        return change.high - change.low

    noisy = [measured(seed=seed, spread=0.5) for seed in range(1, 10)]
    alone = sum(width([rows]) for rows in noisy) / len(noisy)
    assert width(noisy) < 0.7 * alone
    assert not any(row.verdict.fails for row in judged(reference, *noisy).values())


def test_the_interval_of_the_reference_counts_as_well(reference):
    (row,) = [row for row in reference if row["method"] == "half_spaces"]
    unsure = row | {f"{name}_high": 1.2 * row[name] for name in ("ratio_linear", "ratio_floor", "ratio_osqp")}
    assert judge([row], {"c": slow(3)})[0].verdict is Verdict.SLOWER
    assert judge([unsure], {"c": slow(3)})[0].verdict is Verdict.INCONCLUSIVE


def test_a_yardstick_that_became_faster_is_no_row_that_became_slower(reference):
    assert not judged(reference, *slow(3, ours=2.0, floor=0.3))


def test_most_yardsticks_decide(reference):
    """Slower than Linear and OSQP say, while the floor became slower too."""
    found = judged(reference, *slow(3, floor=0.7))
    assert {row.verdict for row in found.values()} == {Verdict.SLOWER}


def test_noise_is_undecided_and_does_not_fail(reference):
    found = judged(reference, *slow(3, ours=2.6, spread=0.6))
    assert {row.verdict for row in found.values()} == {Verdict.INCONCLUSIVE}
    assert not Verdict.INCONCLUSIVE.fails and "undecided after 3 pass(es)" in found["half_spaces"].text


def test_a_row_is_slower_only_if_it_is_so_in_every_pass(reference):
    once_fast = [measured(seed=9), *slow(4, ours=4.0)]
    assert {row.verdict for row in judged(reference, *once_fast).values()} == {Verdict.INCONCLUSIVE}
    assert {row.verdict for row in judged(reference, *once_fast[1:]).values()} == {Verdict.SLOWER}


def test_a_busy_first_pass_is_outweighed(reference):
    assert judged(reference, measured(ours=4.0)), "undecided as long as it is alone"
    assert judged(reference, measured(ours=4.0), *[measured(seed=seed) for seed in (2, 3, 4)]) == {}


def test_a_faster_row_says_so(reference):
    found = judged(reference, measured(ours=1.0, seed=1))
    assert {row.verdict for row in found.values()} == {Verdict.FASTER} and len(found) == 2
    assert "over 25% faster" in found["half_spaces"].text and not Verdict.FASTER.fails
    assert judged(reference, measured(ours=1.7, seed=1)) == {}


def test_the_time_of_other_projections_is_not_compared(reference):
    assert judged(reference, *slow(3, ours=2.0, osqp=300.0)) == {}


def test_a_strict_map_may_break_no_row_at_all(reference):
    (row,) = judged(reference, measured(seed=1, strict_share=0.004)).values()
    assert row.method == "shift_strict" and row.verdict is Verdict.INFEASIBLE
    assert row.text == "a strict map breaks an inequality at 0.004 of the points"


@pytest.mark.parametrize(
    ("change", "verdict", "text"),
    [
        ({"violation": 1e-3}, Verdict.INFEASIBLE, "violation was 1e-07, is 0.001"),
        ({"violation": None}, Verdict.INFEASIBLE, "violation was 1e-07, is not finite"),
        ({"infeasible_share": 0.9}, Verdict.INFEASIBLE, "infeasible share was 0.5, is 0.9"),
        ({"excess": 1.3}, Verdict.INFEASIBLE, "excess was 1.2, is 1.3"),
        ({"excess": None}, Verdict.INFEASIBLE, "excess was 1.2, is not finite"),
        ({"status": "failed", "reason": "boom"}, Verdict.MISSING, "status was ok, is failed: boom"),
        ({"status": "crashed"}, Verdict.MISSING, "status was ok, is crashed"),
    ],
)
def test_what_is_no_matter_of_noise_fails_at_once(reference, change, verdict, text):
    (row,) = judged(reference, measured(seed=1, **change)).values()
    assert (row.verdict, row.text) == (verdict, text) and verdict.fails
    (row,) = judged(reference, measured(seed=1), measured(seed=2, **change)).values()
    assert row.verdict is verdict, "in a later pass as well"


def test_a_vanished_row_fails(reference):
    rows = [row for row in measured(seed=1) if row["method"] != "half_spaces"]
    (row,) = judged(reference, rows).values()
    assert (row.method, row.verdict, row.text) == ("half_spaces", Verdict.MISSING, "the row vanished")
    assert {row.verdict for row in judged(reference).values()} == {Verdict.MISSING}


def test_a_row_without_its_yardsticks_is_not_passed(reference):
    gone = [row | ({"status": "skipped"} if row["role"] != "embedded" else {}) for row in measured(seed=1)]
    found = judged(reference, gone)
    assert "no yardstick" in found["half_spaces"].text and all(row.verdict.fails for row in found.values())


class TestMeasuring:
    """Which cells are measured, and how often."""

    @pytest.fixture
    def gate(self, monkeypatch, reference):
        chosen = grid("short")
        names = [str(cell) for cell in chosen.cells]
        rows = [row | {"cell": name} for name in names for row in reference]
        clock = {"now": 0.0}
        monkeypatch.setattr(_gate, "monotonic", lambda: clock["now"])

        def run(passes, limit=100.0):
            """`passes(cell number, pass number)` is measured, each for ten seconds."""
            calls = []

            def fake(cell, chosen, methods):
                number = names.index(str(cell))
                clock["now"] += 10
                calls.append(number)
                return passes(number, calls.count(number))

            monkeypatch.setattr(_gate, "measure_pass", fake)
            found = _gate.gate(rows, chosen, 0.25, limit)
            return calls, {row.verdict for row in found}

        return run, len(names)

    def test_every_cell_once_if_nothing_is_open(self, gate):
        run, cells = gate
        assert run(lambda cell, number: measured(seed=number)) == ([*range(cells)], {Verdict.OK})

    def test_a_cell_with_an_open_row_is_measured_until_it_is_decided(self, gate):
        run, cells = gate
        calls, verdicts = run(lambda cell, number: measured(ours=4.0 if cell == 1 else 2.0, seed=number))
        assert calls == [*range(cells), 1, 1] and verdicts == {Verdict.OK, Verdict.SLOWER}

    def test_the_limit_ends_it_undecided(self, gate):
        run, cells = gate
        open_rows = lambda cell, number: measured(ours=2.6, spread=0.8, seed=cell)  # noqa: E731
        calls, verdicts = run(open_rows, limit=10.0 * cells + 20)
        assert len(calls) == cells + 2 and Verdict.INCONCLUSIVE in verdicts
        assert not any(verdict.fails for verdict in verdicts)

    def test_a_cell_that_the_grid_lost_is_missing(self, gate, reference, monkeypatch):
        monkeypatch.setattr(_gate, "measure_pass", lambda cell, chosen, methods: measured(seed=1))
        found = _gate.gate(reference, grid("short"), 0.25, 0.0)
        assert {(row.cell, row.verdict) for row in found} == {("c", Verdict.MISSING)}

    def test_every_cell_is_measured_even_without_time(self, gate):
        run, cells = gate
        assert run(lambda cell, number: measured(seed=number), limit=0.0) == ([*range(cells)], {Verdict.OK})


def test_a_pass_measures_the_methods_of_the_reference_and_the_yardsticks(monkeypatch):
    monkeypatch.setattr(
        _gate, "measure_cell", lambda cell, chosen, device, methods: [m.name for m in methods]
    )
    chosen = grid("short")
    assert _gate.measure_pass(chosen.cells[0], chosen, {"half_spaces"}) == [
        "linear",
        "floor",
        "half_spaces",
        "osqp",
    ]
