"""The robustness table: the judge on synthetic outcomes, processes that die, a small real run, the report."""

import ctypes
import json
import time

import numpy as np
import pytest

from baselines.peers import AbstractPeer, PeerError, PeerTimeoutError
from bench._tables_io import Tables, read_table
from bench.report._document import markdown
from bench.report._robustness import robustness, robustness_in_short
from bench.robustness import CASES, COLUMNS, METHODS, OUTCOMES, judge, robustness_rows, robustness_table, run
from bench.robustness import _isolation as isolation
from bench.robustness._methods import AbstractLocal, Peer, ended
from bench.robustness._reports import shorten
from bench.rows import Run
from bench.schema import TABLES
from constrained.errors import EngineError, InvalidInputError, UnknownNameError, UnsupportedSetError
from constrained.parameterizations import PARAMETERIZATIONS

INPUTS = {case.name: case for case in CASES}
NAMES = list(INPUTS)


class Fake(AbstractLocal):
    """The exact answer where there is one, changed by `change(case, x)`."""

    role = "projection"

    def __init__(self, name="fake", change=None, projects=True, keeps=False):
        super().__init__(name)
        self.change, self.projects, self.keeps = change, projects, keeps

    def answer(self, case):
        nearest = case.nearest()
        x = np.full_like(case.points, np.nan) if nearest is None else nearest
        flagged = np.zeros(len(x), dtype=bool)
        return (x, flagged) if self.change is None else self.change(case, x, flagged)


def moved(size):
    def change(case, x, flagged):
        return x + size * max(1.0, np.abs(case.points[~case.spoiled]).max()), flagged

    return change


def outcome(case, change=None, **promises):
    method = Fake(change=change, **promises)
    return judge(method, INPUTS[case], method.attempt(INPUTS[case]))


WELL_POSED = [case.name for case in CASES if case.twin is not None and not case.spoiled.any()]


def test_every_word_is_explained_and_every_case_is_named_once():
    assert len(NAMES) == len(CASES) == 12
    assert [case.name for case in CASES if case.twin is None] == ["infeasible", "nan_matrix"]
    assert all(case.description for case in CASES)


@pytest.mark.parametrize("name", WELL_POSED)
def test_the_two_descriptions_of_a_set_agree_and_the_nearest_point_is_nearest(name):
    case, rng = INPUTS[name], np.random.default_rng(0)
    nearest = case.nearest()
    samples = nearest.repeat(50, 0) + case.scale * rng.standard_normal((50 * len(nearest), 3))
    if case.twin.p == 0:
        assert (case.polyhedron.contains(samples) == case.twin.contains(samples)).all()
    tolerance = 1e-9 * case.scale
    inside = samples[case.twin.violation(samples) <= tolerance]
    assert np.all(case.twin.violation(nearest) <= tolerance)
    for y, x in zip(case.points, nearest, strict=True):
        assert np.all((y - x) @ (inside - x).T <= 10 * tolerance * case.scale)


@pytest.mark.parametrize("name", WELL_POSED)
def test_judge_grades_by_size(name):
    assert outcome(name)["outcome"] == "correct"
    assert outcome(name, projects=False)["outcome"] == "feasible"
    assert outcome(name, moved(5e-6))["outcome"] == outcome(name, moved(1e-4))["outcome"] == "inaccurate"
    assert outcome(name, moved(2e-3))["outcome"] == "silent garbage"
    far = outcome(name, moved(1.0))
    assert far["outcome"] == "silent garbage" and far["distance"] > 1e-3


def test_a_feasible_point_that_is_not_the_nearest_is_garbage_of_a_projection_alone():
    assert outcome("zero_row", lambda case, x, flagged: (x - 1, flagged))["outcome"] == "silent garbage"
    row = outcome("zero_row", lambda case, x, flagged: (x - 1, flagged), projects=False)
    assert (row["outcome"], row["distance"]) == ("feasible", None)


def test_a_map_that_keeps_points_must_not_move_those_inside():
    def push(case, x, flagged):
        return x - 1, flagged

    assert outcome("inside", push, projects=False)["outcome"] == "feasible"
    row = outcome("inside", push, projects=False, keeps=True)
    assert row["outcome"] == "silent garbage" and row["distance"] > 0.1
    assert outcome("apex", push, projects=False, keeps=True)["distance"] is None  # no point is inside


def test_flags_count_and_numbers_beside_them_are_still_judged():
    def all_flagged(case, x, flagged):
        return x + 1, ~flagged

    def one_flagged(case, x, flagged):
        x[0], flagged[0] = x[0] + 1, True
        return x, flagged

    def one_flagged_one_wrong(case, x, flagged):
        x[:2], flagged[0] = x[:2] + 1, True
        return x, flagged

    assert outcome("zero_row", all_flagged)["outcome"] == "flagged"
    assert outcome("zero_row", one_flagged) | {"violation": 0} == {
        "method": "fake", "role": "projection", "input": "zero_row", "outcome": "flagged", "origin": "",
        "violation": 0, "distance": 0.0, "reason": "by its status",
    }  # fmt: skip
    assert outcome("zero_row", one_flagged_one_wrong)["outcome"] == "silent garbage"
    row = outcome("zero_row", lambda case, x, flagged: (x * np.nan, flagged))
    assert (row["outcome"], row["reason"]) == ("flagged", "NaN, without a status")


@pytest.mark.parametrize("name", ["infeasible", "nan_matrix"])
def test_any_number_is_garbage_where_there_is_no_answer(name):
    assert outcome(name)["outcome"] == "flagged"
    row = outcome(name, lambda case, x, flagged: (np.zeros_like(x), flagged))
    assert row["outcome"] == "silent garbage"
    assert row["violation"] == (None if name == "nan_matrix" else pytest.approx(1 / 2.291, rel=1e-3))
    assert outcome(name, lambda case, x, flagged: (np.zeros_like(x), ~flagged))["outcome"] == "flagged"


def test_a_nan_sample_must_stay_one_and_alone():
    assert outcome("nan_sample")["outcome"] == "flagged"
    assert "the others are right" in outcome("nan_sample")["reason"]
    spread = outcome("nan_sample", lambda case, x, flagged: (x * np.nan, flagged))
    assert spread["outcome"] == "spread"
    hidden = outcome("nan_sample", lambda case, x, flagged: (np.nan_to_num(x), flagged))
    assert hidden["outcome"] == "silent garbage" and "NaN has an answer" in hidden["reason"]
    wrong = outcome("nan_sample", lambda case, x, flagged: (x + 1, flagged))
    assert wrong["outcome"] == "silent garbage" and wrong["distance"] > 0.1


def test_an_answer_of_another_shape_is_garbage():
    assert (
        outcome("apex", lambda case, x, flagged: (x[:1], flagged))["reason"] == "the answer has shape (1, 3)"
    )


def raising(error):
    def change(case, x, flagged):
        raise error

    return change


@pytest.mark.parametrize(
    ("error", "word", "origin"),
    [
        (InvalidInputError("no"), "error", "suite"),
        (EngineError("no"), "error", "engine"),
        (ZeroDivisionError("no"), "error", "foreign"),
        (UnsupportedSetError("no"), "refused", ""),
        (PeerTimeoutError("no"), "timeout", ""),
    ],
)
def test_exceptions_are_told_apart(error, word, origin):
    row = outcome("apex", raising(error))
    assert (row["outcome"], row["origin"]) == (word, origin)
    assert row["reason"] == (f"{type(error).__name__}: no" if word == "error" else "no")


def test_reasons_are_short_and_name_no_folder():
    assert shorten("File /home/someone/project/file.py\n failed") == "File file.py failed"
    assert shorten("1 / 2 and a/b/c stay") == "1 / 2 and a/b/c stay"
    assert len(shorten("x" * 999)) == 200


class Misbehaving(Fake):
    """Dies at one input, hangs at another."""

    def answer(self, case):
        if case.name == "zero_row":
            ctypes.string_at(0)  # a segmentation fault
        if case.name == "apex":
            time.sleep(60)
        return super().answer(case)


def test_a_crash_and_a_hang_cost_their_own_rows(monkeypatch):
    monkeypatch.setattr(isolation, "CASE_SECONDS", 4.0)
    rows = {row["input"]: row for row in robustness_rows([Misbehaving()])}
    assert list(rows) == NAMES
    assert rows["zero_row"]["outcome"] == "crash"
    assert rows["zero_row"]["reason"] == "its process ended with exit code -11"
    assert (rows["apex"]["outcome"], rows["apex"]["reason"]) == ("timeout", "no answer within 4 s")
    others = [rows[name]["outcome"] for name in WELL_POSED if name not in ("zero_row", "apex")]
    assert set(others) == {"correct"}


def test_the_seconds_of_a_method_are_limited(monkeypatch):
    monkeypatch.setattr(isolation, "METHOD_SECONDS", 0.0)
    rows = robustness_rows([Fake()])
    assert {row["outcome"] for row in rows} == {"timeout"}
    assert "used up" in rows[0]["reason"]


class Unpicklable(Fake):
    def __setstate__(self, state):
        raise RuntimeError("not in this process")


def test_a_worker_that_does_not_start_is_no_crash_of_the_method():
    with pytest.raises(EngineError, match="a worker process did not start"):
        robustness_rows([Unpicklable()])


def test_the_text_of_a_dead_peer_is_known():
    """`ended` reads the text of `PeerProcess`, so both must say the same."""
    from baselines.peers import PeerProcess
    from constrained.polyhedron import Polyhedron
    from tests.baselines.fake_peer import ACTIONS, FakePeer

    with PeerProcess(FakePeer, Polyhedron(np.eye(3), np.ones(3)), "float64", limit=20) as process:
        with pytest.raises(PeerError) as failed:
            process.run(np.full((1, 3), ACTIONS["error"]))
        with pytest.raises(PeerError) as died:
            process.run(np.full((1, 3), ACTIONS["crash"]))
    assert not ended(failed.value) and ended(died.value)


def test_one_peer_process_serves_all_sets():
    rows = {row["input"]: row for row in robustness_rows(["hardnet_aff"])}
    assert rows["huge_points"]["outcome"] == rows["inside"]["outcome"] == "feasible"
    assert rows["duplicate_rows"]["outcome"] == "refused" and rows["nan_matrix"]["outcome"] == "error"


class AbsentPeer(AbstractPeer):
    name, citation, environment = "absent", "none", "nowhere"
    requires, reads, kind = ("numpy",), ("numpy",), "projection"

    def setup(self, problem, tuning):
        raise AssertionError

    load = unload = solve = setup


def test_a_peer_without_its_environment_is_skipped_by_name():
    rows = robustness_rows([Peer(AbsentPeer)])
    assert {row["outcome"] for row in rows} == {"skipped"}
    assert "the peer 'absent' needs the environment 'nowhere'" in rows[0]["reason"]


def test_methods_are_those_of_the_tuples():
    from baselines import PROJECTIONS
    from baselines.peers import PEERS

    names = [method.name for method in METHODS]
    assert len(set(names)) == len(names) == 2 * len(PARAMETERIZATIONS) + len(PROJECTIONS) + len(PEERS)
    with pytest.raises(UnknownNameError, match="'gauge'"):
        robustness_rows(["nothing"])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of two methods, cut off after the first and continued."""
    raw = tmp_path_factory.mktemp("robustness") / "raw"
    with pytest.MonkeyPatch.context() as patch:
        add = Run.add

        def interrupted(self, *rows):
            add(self, *rows)
            raise KeyboardInterrupt

        patch.setattr(Run, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(raw, ["gauge", "closed_box"])
    return run(raw, ["gauge", "closed_box"])


def test_a_small_real_run(measured):
    assert measured.finished and measured.header["kind"] == "robustness"
    assert list(measured.path.parent.glob("*.json")) == [measured.path]
    assert [(row["method"], row["input"]) for row in measured.rows] == [
        (method, name) for method in ("gauge", "closed_box") for name in NAMES
    ]
    words = {(row["method"], row["input"]): row["outcome"] for row in measured.rows}
    assert set(words.values()) <= set(OUTCOMES)
    assert words["gauge", "infeasible"] == words["closed_box", "nan_matrix"] == "error"
    assert words["gauge", "nan_sample"] == "flagged"
    assert {words["gauge", name] for name in WELL_POSED} == {"feasible"}
    assert words["closed_box", "empty_interior"] == "correct" and words["closed_box", "apex"] == "refused"
    assert json.loads(measured.path.read_text())["rows"] == measured.rows


def test_table_and_report_of_a_run(measured, tmp_path):
    frame = robustness_table(measured.rows)
    assert tuple(frame.columns) == COLUMNS and set(COLUMNS) == set(TABLES["robustness"].all)
    assert len(frame) == 2 * len(NAMES)
    path = tmp_path / "robustness.csv"
    path.write_text(frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    text = markdown(robustness(read_table(path, TABLES["robustness"])))
    assert "| `gauge` | embedded |" in text and "| `closed_box` | projection |" in text
    assert "embedded 0 of 12; projection 0 of " in text


@pytest.mark.parametrize("rows", [[], None])
def test_the_short_report_without_a_table_says_how_to_make_it(rows, tmp_path):
    tables = Tables(tmp_path, {"robustness": rows}, None)
    assert markdown(robustness_in_short(tables)).startswith("Not measured yet: `make bench`")


def line(method, role, name, word, **values):
    empty = {"origin": "", "violation": np.nan, "distance": np.nan, "reason": ""}
    return {"method": method, "role": role, "input": name, "outcome": word} | empty | values


def test_the_report_says_what_the_table_says(tmp_path):
    rows = [
        line("a", "embedded", "infeasible", "error", origin="suite"),
        line("a", "embedded", "apex", "feasible", violation=0.0),
        line("a_strict", "embedded", "infeasible", "error", origin="suite"),
        line("a_strict", "embedded", "apex", "feasible", violation=0.0),
        line("p", "projection", "infeasible", "error", origin="foreign", reason="ValueError: x"),
        line("p", "projection", "apex", "inaccurate", violation=0.0, distance=2e-5),
        line("q", "peer", "infeasible", "silent garbage", violation=0.44),
        line("q", "peer", "apex", "crash"),
        line("r", "peer", "infeasible", "refused"),
        line("r", "peer", "apex", "refused"),
        line("s", "peer", "infeasible", "skipped", reason="needs an environment"),
        line("s", "peer", "apex", "skipped", reason="needs an environment"),
    ]
    text = markdown(robustness(rows))
    assert "### Robustness" in text
    assert "| method | role | `infeasible` | `apex` |" in text
    assert "| `a`, `a_strict` | embedded | error | feasible |" in text
    assert "| `p` | projection | error (foreign) | inaccurate 2.0e-05 |" in text
    assert "| `q` | peer | **garbage** 4.4e-01 | crash |" in text
    assert "| `r`" not in text and "| `s`" not in text
    assert "embedded 0 of 4; projection 0 of 2; peer 1 of 2." in text
    assert "0 spread, 1 crash, 0 timeout; of 3 exceptions, 0 of a solver or peer, 1 of a class" in text
    assert "- `q` (peer): silent garbage on `infeasible` 4.4e-01" in text
    assert "since made for other sets: `r`" in text
    assert "- `s` skipped: needs an environment" in text
    assert "For `infeasible` there is no answer" in text
    short = markdown(robustness_in_short(Tables(tmp_path, {"robustness": rows}, None)))
    assert short.startswith("2 inputs, 6 methods. Silent garbage, of the calls")
    assert "- `q` (peer): silent garbage on `infeasible` 4.4e-01" in short and "`s`" not in short
    clean = [row for row in rows if row["outcome"] != "silent garbage"]
    assert "- " not in markdown(robustness_in_short(Tables(tmp_path, {"robustness": clean}, None)))
