"""The sections that are worked out from the tables, in the page of results."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench._tables_io import Tables, read_all
from bench.plots import FIGURES
from bench.report import make_pages
from bench.report._break_even import samples
from bench.report._compiled import compiled
from bench.report._document import markdown
from bench.report._settings import settings
from bench.report._summary import summary
from constrained.errors import InvalidInputError
from tests.fixtures.learning import learned_rows
from tests.fixtures.report_tables import compiled_rows
from tests.fixtures.report_tables import row as made
from tests.fixtures.tables import inference_rows, us_per_sample, write_csv, write_tables


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the tables as they are, without figures."""
    folder = tmp_path_factory.mktemp("plain")
    write_tables(folder / "tables")
    return make_pages(folder / "tables", folder / "figures")[folder / "README.md"]


@pytest.fixture
def tables(tmp_path) -> Path:
    write_tables(tmp_path / "results" / "tables")
    return tmp_path / "results" / "tables"


def page(tables: Path) -> str:
    return make_pages(tables, tables.parent / "figures")[tables.parent / "README.md"]


def section(text: str, heading: str) -> str:
    """The part under a heading of level 3 or 2, until the next one."""
    return re.split(r"^##+ ", text.split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]


def lines(text: str, *starts: str) -> list[str]:
    """The table's lines that start with these cells."""
    return [line for line in text.splitlines() if line.startswith(f"| {' | '.join(starts)} |")]


def test_means_say_how_many_problems_and_which_are_missing(plain):
    text = section(plain, "Geometric means across problems")
    (line,) = lines(text, "`half_spaces`", "float32", "256")
    assert "| 6 of 9 |" in line
    assert line.endswith("| random_cone-8x16, random_cone-8x32, random_cone-128x256 |")
    assert lines(text, "`shift`", "float32", "256")[0].endswith("| – |")
    assert lines(text, "`box`", "float32", "256")[0].endswith("| every problem |")


def test_the_front_has_the_fastest_and_the_nearest(tables):
    rows = inference_rows()
    cell = [row for row in rows if row["problem"] == "random_cone-8x4" and row["batch"] == 256]
    for row in cell:
        row |= (
            {"excess": {"shift": 3.0, "daqp": 1.0}.get(row["method"], 9.0)} if row["status"] == "ok" else {}
        )
    write_tables(tables, inference=rows)
    front = lines(section(page(tables), "Time against nearness"), "random_cone-8x4")
    assert [re.findall(r"`(\w+)`.*?([\d.]+)x", line)[0] for line in front][-2:] == [
        ("shift", "3.000"),
        ("daqp", "1.000"),
    ]


def test_profiles_are_a_table_for_each_set_of_answers(plain):
    text = section(plain, "Performance profiles")
    assert text.count("| method | role | answered | fastest | within 2x | within 10x | within 100x |") == 2
    # osqp answers all nine and is the fastest nowhere; rays give up on one of them.
    assert lines(text, "`osqp`", "projection", "9 of 9", "0 %")
    assert lines(text, "`rays`", "embedded", "8 of 9")
    assert not lines(text, "`box`")


def test_growth_names_its_line_and_points(plain):
    text = section(plain, "Growth")
    (line,) = lines(text, "random_cone, m = 8, batch = 256", "`linear`")
    assert "| 8, 64, 784 |" in line
    exponent, error, r2 = map(float, line.rstrip(" |").split(" | ")[-3:])
    times = [us_per_sample("linear", n, 8) for n in (8, 64, 784)]
    assert exponent == pytest.approx(np.polyfit(np.log([8, 64, 784]), np.log(times), 1)[0], abs=0.005)
    assert error > 0 and 0 < r2 < 1
    # Two batch sizes are no line.
    assert "Seconds of a call" not in text


def test_break_even_is_a_row_a_problem(tables):
    rows = inference_rows()
    for row in rows:
        if row["problem"] == "random_cone-8x8" and row["batch"] == 256 and row["method"] == "shift":
            row["setup_ms"] = 1e4
    write_tables(tables, inference=rows)
    text = section(page(tables), "Set-up and break-even")
    header = next(line for line in text.splitlines() if line.startswith("| problem |"))
    (line,) = lines(text, "random_cone-8x8")
    cell = line.split(" | ")[header.split(" | ").index("`shift`")]
    after_osqp, after_best = map(int, re.fullmatch(r"10000 ms; (\d+) / (\d+)", cell).groups())
    assert 2e4 < after_osqp < 3e4 < after_best
    assert [samples(value) for value in (0.0, float("inf"), float("nan"))] == ["0", "never", "–"]


def test_feasibility_has_a_row_a_guarantee_and_dtype(tables):
    write_tables(tables, inference=inference_rows(dtypes=("float32", "float64")))
    text = section(page(tables), "Feasibility by dtype")
    for dtype in ("float32", "float64"):
        assert lines(text, "`shift`", "embedded", "strict", dtype, "1", "0", "0", "0 %", "0 %")
        assert lines(text, "`shift`", "embedded", "plain", dtype, "18")


def test_the_summary_is_about_the_maps_that_answer_most_problems(tables):
    (paragraph,) = summary(read_all(tables)[0])
    assert paragraph.text.startswith("Over the 9 problems at batch 256, geometric means of the speed-up")
    named = re.findall(r"`(\w+)` [\d.]+ and [\d.]+ times \((\d) of 9 problems\)", paragraph.text)
    assert dict(named) == {"shift": "9", "half_spaces": "6", "rays": "8", "paper_layer": "8"}
    assert re.search(r"after a median of \d+ samples against `osqp`", paragraph.text)
    half = [row for row in inference_rows() if row["method"] != "shift" or row["n"] == 784]
    write_tables(tables, inference=half)
    assert "`shift`" not in summary(read_all(tables)[0])[0].text


def test_machines_are_side_by_side_only_where_there_are_two(tables, plain):
    assert "Machines side by side" not in plain
    rows = inference_rows()
    for row in rows:
        if row["method"] == "shift" and row["batch"] == 256:
            row["speedup_osqp"] = 7.0
    write_tables(tables, "some-gpu", inference=rows)
    text = page(tables)
    assert "x best, some-gpu" in section(text, "Geometric means over the common problems")
    (line,) = lines(section(text, "Every common cell"), "random_cone-8x8", "`shift`", "float32", "256")
    assert re.search(r"256 \| \d+ \| 7.00 \| ([\d.]+) \| \1 \|", line)


def test_compiled_is_beside_eager_with_its_ratio():
    text = markdown(compiled(compiled_rows()))
    assert "| cone-4x2 | `a` | float32 | 256 | ok | 3.00 | 1.50 | 2.00 | 900 |" in text
    assert r"| cone-4x2 | `b` | float32 | 256 | refused: graph \| break | 4.00 | – | – | – |" in text
    assert "CUDA graph" not in text and compiled([]) == []


def test_a_captured_graph_is_beside_eager_in_a_table_of_its_own():
    rows = compiled_rows()
    graph = [row | {"method": row["method"].replace("_compiled", "_graph"), "setup_ms": 2.0} for row in rows]
    text = markdown(compiled([*rows, *graph[1::2]]))
    compiled_part, graph_part = text.split("### Eager and in a CUDA graph")
    assert "| eager, us | compiled, us | eager / compiled |" in compiled_part and "900 |" in compiled_part
    assert "| eager, us | graph, us | eager / graph |" in graph_part and "900" not in graph_part
    assert "| cone-4x2 | `a` | float32 | 256 | ok | 3.00 | 1.50 | 2.00 | 2.00 |" in graph_part


def test_cold_caches_are_beside_warm_ones():
    warm, cold = {"threads": 2.0, "cache": "warm"}, {"threads": 1.0, "cache": "cold"}
    times = {"us_q25": 2.5, "us_q75": 3.5}
    rows = [made("a", 1.0, **warm), made("b", 1.0, **warm), made("a", 3.0, **cold, **times)]
    text = markdown(settings(Tables(Path("here"), {"inference": rows}, None)))
    assert "| cone-4x2 | `a` | float32 | 256 | cold | 1 | 3.00 [2.50, 3.50] | 3.00 |" in text
    assert settings(Tables(Path("here"), {"inference": rows[:2]}, None)) == []


def test_every_figure_that_is_drawn_is_on_the_page_once(tables):
    figures = tables.parent / "figures"
    (figures / "cpu").mkdir(parents=True)
    for figure in FIGURES:
        (figures / "cpu" / f"{figure.name}.svg").write_text("<svg/>")
    text = make_pages(tables, figures)[tables.parent / "README.md"]
    assert sorted(re.findall(r"\(figures/cpu/(\w+)\.svg\)", text)) == sorted(f.name for f in FIGURES)
    assert "Other figures" not in text


def test_a_figure_without_a_section_is_among_the_others(tables, monkeypatch):
    class Fresh:
        name, caption = "fresh", "A new one."

    monkeypatch.setattr("bench.report._pictures.FIGURES", (Fresh(),))
    (tables.parent / "figures" / "cpu").mkdir(parents=True)
    (tables.parent / "figures" / "cpu" / "fresh.svg").write_text("<svg/>")
    assert "A new one." in section(page(tables), "Other figures")


def test_the_same_tables_give_the_same_pages(tables):
    figures = tables.parent / "figures"
    assert make_pages(tables, figures) == make_pages(tables, figures)


def test_a_table_without_an_answer_has_sentences_in_place_of_tables(tables):
    rows = [row for row in inference_rows() if row["status"] != "ok"]
    write_tables(tables, inference=rows)
    text = page(tables)
    for heading in ("Time against nearness", "Performance profiles", "Set-up and break-even", "Growth"):
        assert re.search(r"^No [^|]+\.$", section(text, heading), flags=re.MULTILINE), heading


@pytest.mark.parametrize(
    ("ending", "text", "message"),
    [
        ("svg", "", "expected an SVG image, found none"),
        ("csv", "a,b\n1\n", "found .1, 2."),
        ("csv", "a,b\n1,2", "cut off"),
        ("csv", "", "found .., or it was cut off"),
    ],
)
def test_a_damaged_figure_is_named(tables, ending, text, message):
    folder = tables.parent / "figures" / "cpu"
    folder.mkdir(parents=True)
    (folder / "means.svg").write_text("<svg/>")
    (folder / f"means.{ending}").write_text(text)
    with pytest.raises(InvalidInputError, match=rf"means\.{ending}: .*{message}.*bench plots"):
        page(tables)


def test_the_four_questions_come_first_and_are_answered_from_the_tables(tables):
    text = page(tables)
    places = [text.index(f"#### {i}. ") for i in (1, 2, 3, 4)]
    assert places == sorted(places) and places[-1] < text.index("### Main result")
    third = text[places[2] : places[3]]
    assert "better on 2 (`digits`, `fuel`)" in third
    assert (
        "`digits`: `rays` reaches a test loss of 0.200; minus that of `test_time_projection`: -0.100 ["
        in third
    )
    assert "worse than projection at test time on 2 of 2 tasks (`digits`, `fuel`)" in third
    assert "in any epoch of any seed is 0." in third


def test_a_task_that_embedding_loses_is_named(tables):
    rows = learned_rows()
    for row in rows:
        if row["task"] == "fuel" and row["method"] == "rays":
            row |= {"test_difference": 0.1, "test_difference_low": 0.05, "test_difference_high": 0.15}
    write_csv(tables / "cpu" / "learned.csv", rows)
    text = page(tables)
    assert "better on 1 (`digits`); worse on 1 (`fuel`)" in text


def test_a_question_without_tables_says_what_measures_them(tables):
    for name in ("learned", "learning", "learning_rates", "inference"):
        (tables / "cpu" / f"{name}.csv").unlink()
    text = page(tables)
    assert "Not measured yet: the timing grid; `make bench` does." in text
    assert "Not measured yet: the training comparison; `python -m bench run learning` does." in text


def test_the_training_comparison_has_a_table_for_each_task_the_ablation_and_the_rates(tables):
    text = page(tables)
    section = text[text.index("### Training comparison") :]
    assert section.index("#### Task `digits`") < section.index("#### Task `fuel`")
    assert "| `rays` | 0.200 [0.180, 0.220] | **-0.100 [-0.120, -0.0800]** |" in section
    assert "Not for this set: `box`." in section
    assert "| `no_norm` | no normalisation | 0.250 [0.230, 0.270] |" in section  # above the optimum of 0.1
    assert "| `digits` | `rays` | 0.201 | 0.203 |" in section
