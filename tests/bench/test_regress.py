"""The gate goes red for what is worse, names it, and stays green for noise."""

import numpy as np
import pandas as pd
import pytest

from bench import regress
from constrained import InvalidInputError


def measured(ours=2.0, linear=1.0, osqp=100.0, floor=0.5, spread=0.02, seed=0, strict_share=0.0, **ours_more):
    rng = np.random.default_rng(seed)

    def row(method, role, seconds, **more):
        values = (seconds * rng.lognormal(0, spread, 40)).tolist()
        base = {"method": method, "role": role, "status": "ok", "reason": "", "seconds": values, "plain": ""}
        return base | {"violation": 1e-7, "infeasible_share": 0.5, "distance": None, "excess": None} | more

    return [
        row("linear", "yardstick", linear, violation=None, infeasible_share=None),
        row("floor", "yardstick", floor, violation=None, infeasible_share=None),
        row("half_spaces", "embedded", ours, **({"excess": 1.2} | ours_more)),
        row("shift_strict", "embedded", ours, broken_share=strict_share, violation=0.0, plain="shift"),
        row("osqp", "projection", osqp, distance=1e-7),
    ]


@pytest.fixture
def reference(tmp_path):
    rows = [line | {"cell": "c"} for line in regress.reference_rows(measured())]
    path = tmp_path / "reference.csv"
    pd.DataFrame(rows, columns=regress.COLUMNS).to_csv(path, index=False)
    return regress.read_reference(path)


def worse(reference, *passes):
    return [str(finding) for finding in regress.compare(reference, {"c": list(passes)})]


def test_the_same_is_not_worse(reference):
    assert worse(reference, measured(seed=1)) == []


def test_a_faster_machine_is_not_worse(reference):
    assert worse(reference, measured(0.2, 0.1, 10.0, 0.05, seed=1)) == []


def test_a_slower_map_is_named_with_both_ratios(reference):
    text, strict = worse(reference, measured(ours=2.8, seed=1))
    assert (
        "c half_spaces: ratio_linear was 1.995" in text and "ratio_osqp" in text and "over 25% slower" in text
    )
    assert "ratio_floor was 3.973" in text and strict.startswith("c shift_strict: ratio_linear")


def test_a_floor_that_became_faster_is_no_row_that_became_slower(reference):
    assert not worse(reference, measured(floor=0.3, seed=1))


def test_a_refused_strict_variant_is_not_in_the_reference():
    rows = measured()
    refused = {
        "method": "box_strict",
        "plain": "box",
        "role": "embedded",
        "status": "refused",
        "reason": "no",
    }
    lines = regress.reference_rows([*rows, refused, refused | {"method": "box", "plain": ""}])
    assert [line["method"] for line in lines] == [*(row["method"] for row in rows), "box"]


def test_a_strict_map_may_break_no_row_at_all(reference):
    (text,) = worse(reference, measured(seed=1, strict_share=0.004))
    assert text == "c shift_strict: a strict map breaks an inequality at 0.004 of the points"


def test_noise_does_not_fail_the_gate(reference):
    assert worse(reference, measured(ours=2.6, spread=0.6, seed=3)) == []


def test_a_row_fails_only_if_every_pass_is_slow(reference):
    assert worse(reference, measured(ours=4.0), measured(seed=2)) == []
    assert worse(reference, measured(ours=4.0), measured(ours=4.0, seed=2))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"violation": 1e-3}, "violation was 1e-07, is 0.001"),
        ({"violation": None}, "violation was 1e-07, is not finite"),
        ({"infeasible_share": 0.9}, "infeasible share was 0.5, is 0.9"),
        ({"excess": 1.3}, "excess was 1.2, is 1.3"),
        ({"excess": None}, "excess was 1.2, is not finite"),
        ({"status": "failed", "reason": "boom"}, "status was ok, is failed: boom"),
    ],
)
def test_worse_feasibility_fails(reference, change, text):
    (found,) = worse(reference, measured(seed=1, **change))
    assert text in found


def test_a_vanished_row_fails(reference):
    rows = [row for row in measured(seed=1) if row["method"] != "half_spaces"]
    assert worse(reference, rows) == ["c half_spaces: the row vanished"]
    assert len(worse(reference)) == 5


@pytest.mark.parametrize("text", ["", "cell,method\na,b\n", "broken\x00", None])
def test_a_damaged_reference_is_named(tmp_path, text):
    path = tmp_path / "reference.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"reference\.csv"):
        regress.read_reference(path)


def test_a_reference_of_an_older_version_says_how_to_renew_it(tmp_path, reference):
    path = tmp_path / "old.csv"
    reference.drop(columns=["ratio_floor", "excess"]).to_csv(path, index=False)
    with pytest.raises(InvalidInputError, match=r"no column ratio_floor, excess.*older.*make reference"):
        regress.read_reference(path)


def test_a_reference_cut_off_in_a_row_is_named(tmp_path, reference):
    path = tmp_path / "cut.csv"
    text = reference.to_csv(index=False)
    path.write_text(text[: text.rindex("osqp") - 1])
    with pytest.raises(InvalidInputError, match="cut off"):
        regress.read_reference(path)


def test_another_number_of_threads_is_not_compared(reference):
    regress.check_threads(reference)
    with pytest.raises(InvalidInputError, match=r"measured on 64 thread\(s\).*OMP_NUM_THREADS=64"):
        regress.check_threads(reference.assign(threads=64))


CELLS = len(regress.grid("short").cells)


class TestGate:
    """From the command line, with the measurement replaced."""

    @pytest.fixture
    def gate(self, monkeypatch, tmp_path, reference, capsys):
        names = [str(cell) for cell in regress.grid("short").cells]
        table = pd.concat([reference.assign(cell=name) for name in names])
        path = tmp_path / "all.csv"
        table.to_csv(path, index=False)

        def run(*results):
            queue = list(results)
            calls = []

            def fake(cells, chosen, methods):
                calls.append([str(cell) for cell in cells])
                result = queue.pop(0)
                return {str(cell): result for cell in cells}

            monkeypatch.setattr(regress, "_measure", fake)
            code = regress.main(["--reference", str(path)])
            return code, calls, capsys.readouterr().out

        return run

    def test_green(self, gate):
        code, calls, out = gate(measured(seed=1))
        assert code == 0 and len(calls) == 1 and "none worse" in out

    def test_a_suspect_is_measured_again(self, gate):
        code, calls, _ = gate(measured(ours=4.0), measured(seed=1))
        assert code == 0 and len(calls) == 2

    def test_red_after_three_passes_with_the_rows_named(self, gate):
        code, calls, out = gate(*[measured(ours=4.0, seed=s) for s in range(3)])
        assert code == 1 and len(calls) == 3 and out.count("WORSE") == 2 * CELLS and "half_spaces" in out
