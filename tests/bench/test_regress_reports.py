"""The gate's reference file, its command line, and what it writes for people and programs."""

import json
from xml.etree import ElementTree

import pandas as pd
import pytest

from bench.grid import grid
from bench.regress import _command, _gate, main
from bench.regress._reference import check_threads, read_reference, reference_rows, write_reference
from bench.regress._summary import junit, markdown, terminal
from bench.regress._verdicts import Change, Judgement, Verdict
from constrained import InvalidInputError
from tests.fixtures.passes import measured

FOUND = [
    Judgement("a", "linear", Verdict.OK),
    Judgement("a", "rays", Verdict.SLOWER, "1 | 2 <x>", (Change("linear", 2.0, 3.0, 1.5, 1.4, 1.6),)),
    Judgement("a", "shift", Verdict.FASTER, "over 25% faster"),
    Judgement("b", "rays", Verdict.INCONCLUSIVE, "undecided"),
    Judgement("b", "gauge", Verdict.MISSING, "boom \x1b[31m\x00"),
]


class TestReference:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "reference.csv"
        write_reference(path, {"c": [measured(seed=seed) for seed in range(3)]}, "a new machine")
        return path

    def test_ratios_are_those_of_all_rounds_with_their_intervals(self, path):
        (row,) = [row for row in read_reference(path).rows if row["method"] == "half_spaces"]
        assert row["ratio_linear"] == pytest.approx(2, rel=0.01)
        assert 1.9 < row["ratio_linear_low"] < row["ratio_linear"] < row["ratio_linear_high"] < 2.1
        one = reference_rows("c", [measured(seed=0)])[2]
        assert row["ratio_linear_high"] - row["ratio_linear_low"] < (
            one["ratio_linear_high"] - one["ratio_linear_low"]
        )
        assert row["excess"] == 1.2 and row["violation"] == pytest.approx(1e-7)

    def test_reason_and_origin_are_kept(self, path):
        facts = json.loads(path.with_suffix(".json").read_text())
        assert facts["reason"] == "a new machine" and facts["passes"] == 3
        assert facts["machine"]["threads"] >= 1 and "commit" in facts["machine"] and facts["command"]
        reference = read_reference(path)
        assert reference.origin().endswith(": a new machine.") and reference.other_machine() == ""

    def test_another_machine_is_told(self, path):
        side = path.with_suffix(".json")
        facts = json.loads(side.read_text())
        facts["machine"]["cpu"] = "Imagined CPU 3000"
        side.write_text(json.dumps(facts))
        assert "another machine (cpu 'Imagined CPU 3000' there" in read_reference(path).other_machine()
        side.unlink()
        assert "not recorded" in read_reference(path).origin()

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"reason": "x"}', '{"reason": "x", "date": "y", "machine": 1}']
    )
    def test_damaged_facts_are_named(self, path, text):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(InvalidInputError, match=r"reference\.json.*make reference"):
            read_reference(path)

    @pytest.mark.parametrize("text", ["", "cell,method\na,b\n", "broken\x00", None])
    def test_a_damaged_reference_is_named(self, path, text):
        path.unlink() if text is None else path.write_text(text)
        with pytest.raises(InvalidInputError, match=r"reference\.csv.*make reference"):
            read_reference(path)

    def test_one_without_intervals_says_how_to_renew_it(self, path):
        frame = pd.read_csv(path)
        frame.drop(columns=[name for name in frame if name.endswith(("_low", "_high"))]).to_csv(
            path, index=False
        )
        with pytest.raises(
            InvalidInputError, match=r"ratio_linear_low, .*older.*make reference REASON='why'"
        ):
            read_reference(path)

    def test_a_ratio_without_an_interval_is_named(self, path):
        frame = pd.read_csv(path)
        frame.loc[2, "ratio_floor_high"] = None
        frame.to_csv(path, index=False)
        with pytest.raises(
            InvalidInputError, match="line 4, column ratio_floor_low: ratio_floor needs an int"
        ):
            read_reference(path)

    def test_one_that_was_cut_off_is_named(self, path):
        text = path.read_text()
        path.write_text(text[: text.rindex("osqp") - 1])
        with pytest.raises(InvalidInputError, match=r"line 6: expected 17 fields, found 1"):
            read_reference(path)

    def test_a_refused_strict_variant_has_no_row(self):
        rows = measured()
        refused = {"method": "box_strict", "plain": "box", "role": "embedded", "status": "refused"}
        lines = reference_rows("c", [[*rows, refused, refused | {"method": "box", "plain": ""}]])
        assert [line["method"] for line in lines] == [*(row["method"] for row in rows), "box"]

    def test_a_status_that_comes_and_goes_is_no_reference(self, tmp_path):
        passes = [measured(), measured(status="timeout")]
        with pytest.raises(InvalidInputError, match="c half_spaces: expected one status.*ok, timeout"):
            write_reference(tmp_path / "reference.csv", {"c": passes}, "x")
        assert not list(tmp_path.iterdir())

    def test_another_number_of_threads_is_not_compared(self, path):
        rows = read_reference(path).rows
        check_threads(rows)
        with pytest.raises(InvalidInputError, match=r"measured on 64 thread\(s\).*OMP_NUM_THREADS=64"):
            check_threads([row | {"threads": 64} for row in rows])


class TestSummaries:
    def test_a_person_reads_the_gravest_first(self):
        lines = terminal(FOUND, ["from there"]).splitlines()
        assert lines[0] == "from there" and lines[1].startswith("MISSING b gauge: boom")
        assert lines[2] == ("SLOWER a rays: 1 | 2 <x>; ratio to linear was 2, is 3, 1.50 [1.40, 1.60] times")
        assert "make reference REASON=" in lines[5] and "--limit" in lines[6]
        assert lines[-1] == (
            "regression gate failed: 5 rows: 1 missing, 1 slower, 1 inconclusive, 1 faster, 1 ok"
        )
        assert terminal(FOUND[:1]) == "regression gate passed: 1 rows: 1 ok"

    def test_the_markdown_table_is_whole(self):
        text = markdown(FOUND, ["from | there"])
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len(lines) == 2 + len(FOUND)
        assert {line.replace(r"\|", "").count("|") for line in lines} == {8}
        assert r"| **slower** | a | `rays` | 1.50 [1.40, 1.60] |  |  | 1 \| 2 &lt;x> |" in lines
        assert text.startswith("### Regression gate failed\n") and lines[-1].startswith("| ok | a |")

    def test_junit_counts_failures_and_takes_any_character(self):
        (suite,) = ElementTree.fromstring(junit(FOUND))
        assert suite.get("tests") == "5" and suite.get("failures") == "2" and suite.get("skipped") == "1"
        cases = {(case.get("classname"), case.get("name")): case for case in suite}
        failure = cases["a", "rays"].find("failure")
        assert failure is not None and failure.get("type") == "slower" and failure.text == str(FOUND[1])
        assert cases["b", "rays"].find("skipped") is not None and len(cases["a", "linear"]) == 0
        assert cases["a", "shift"].findtext("system-out") == "faster: over 25% faster"


class TestCommand:
    """From the command line, with the measurement replaced."""

    @pytest.fixture
    def gate(self, monkeypatch, tmp_path, capsys):
        monkeypatch.delenv(_command.STEP_SUMMARY, raising=False)

        def run(*arguments, **pass_):
            monkeypatch.setattr(_gate, "measure_pass", lambda cell, chosen, methods: measured(**pass_))
            code = main(["--reference", str(tmp_path / "reference.csv"), *arguments])
            return code, capsys.readouterr().out

        return run

    def test_a_reference_and_then_green_and_red(self, gate, tmp_path, monkeypatch):
        code, out = gate("--update", "--reason", "first one")
        assert code == 0 and "wrote" in out
        assert len(read_reference(tmp_path / "reference.csv").rows) == 5 * len(grid("short").cells)
        code, out = gate(seed=1)
        assert code == 0 and "regression gate passed" in out and ": first one." in out
        page = tmp_path / "page.md"
        page.write_text("before\n")
        monkeypatch.setenv(_command.STEP_SUMMARY, str(page))
        outputs = ["--markdown", str(tmp_path / "a" / "gate.md"), "--junit", str(tmp_path / "gate.xml")]
        code, out = gate(*outputs, ours=4.0)
        assert code == 1 and out.count("SLOWER") == 2 * len(grid("short").cells)
        text = (tmp_path / "a" / "gate.md").read_text()
        assert text.count("**slower**") == 2 * len(grid("short").cells)
        assert page.read_text() == f"before\n{text}"
        assert ElementTree.parse(tmp_path / "gate.xml").getroot()[0].get("failures") == "8"

    def test_on_another_machine_time_does_not_decide_but_quality_does(self, gate, tmp_path):
        gate("--update", "--reason", "first one")
        side = tmp_path / "reference.json"
        facts = json.loads(side.read_text())
        facts["machine"]["cpu"] = "Imagined CPU 3000"
        side.write_text(json.dumps(facts))
        code, out = gate(ours=4.0)
        assert code == 0 and "another machine" in out and "SLOWER" not in out and "INCONCLUSIVE" in out
        code, out = gate(strict_share=0.01)
        assert code == 1 and "INFEASIBLE" in out

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--update"], "--update needs --reason"),
            (["--update", "--reason", "  "], "--update needs --reason"),
            (["--reason", "x"], "--reason goes with --update"),
            (["--tolerance", "25"], "expected a number between 0 and 1, found 25"),
            (["--limit", "-1"], "expected seconds from 0 on, found -1"),
            (["--limit", "nan"], "expected seconds from 0 on, found nan"),
        ],
    )
    def test_bad_options_say_what_is_expected(self, arguments, message, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2 and message in capsys.readouterr().err
