"""Figures from synthetic tables: all are made, from the tables alone, and damage is named."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import matplotlib
import pytest

from bench._cells import fewer_projections
from bench._tables_io import read_tables
from bench.plots import FIGURES, NothingToDrawError, make_plots, plots_main
from bench.plots import headline as headline_
from bench.plots._style import styles
from constrained.errors import InvalidInputError
from tests.fixtures.tables import (
    PLAIN,
    ROLES,
    digit_rows,
    inference_rows,
    training_rows,
    training_step_rows,
    write_csv,
    write_tables,
)

NAMES = [figure.name for figure in FIGURES]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    """Tables of one device, and the figures drawn from them once."""
    folder = tmp_path_factory.mktemp("plots")
    write_tables(folder / "tables")
    return folder / "tables", folder / "figures", make_plots(folder / "tables", folder / "figures")


def draw(folder: Path, name: str, **tables):
    """One figure drawn from the tables that `write_tables` makes, without writing it."""
    figure = FIGURES[NAMES.index(name)]
    return figure.draw(read_tables(write_tables(folder, **tables)).find(figure.table))


def note(figure) -> str:
    """The text under a figure on one line."""
    return " ".join(figure.get_supxlabel().split())


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def texts(figure) -> list[str]:
    found = figure.findobj(matplotlib.text.Text)
    return [text.get_text() for text in found if text.get_text()]


def test_every_figure_is_made_with_the_table_behind_it(made):
    _, figures, written = made
    expected = {figures / "cpu" / f"{name}.{ending}" for name in NAMES for ending in ("svg", "png", "csv")}
    assert set(written) == expected == set(figures.rglob("*.*"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written if path.suffix == ".png")
    assert all(b"<svg" in path.read_bytes()[:600] for path in written if path.suffix == ".svg")
    for path in (path for path in written if path.suffix == ".csv"):
        header, *lines = csv.reader(path.read_text().splitlines())
        assert lines and all(len(line) == len(header) for line in lines), path.name


def test_the_same_tables_give_the_same_bytes(made, tmp_path):
    tables, _, first = made
    settings = dict(matplotlib.rcParams)
    second = make_plots(tables, tmp_path)
    assert [path.name for path in first] == [path.name for path in second]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))
    assert dict(matplotlib.rcParams) == settings
    assert not any(re.search(rb"<dc:date>", path.read_bytes()) for path in first if path.suffix == ".svg")


def test_numbers_come_from_the_table(tmp_path):
    rows = inference_rows()
    for row in rows:
        if row["problem"] == "checkerboard-784x16" and row["method"] == "half_spaces":
            row |= {"us_per_sample": 1.23, "speedup_osqp": 777.0}
    figure = draw(tmp_path, "headline", inference=rows)
    assert any("1.23 µs" in text and "777x osqp, " in text for text in texts(figure))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == sorted(widths) and 1.23 in widths
    # Strict variants and what is made for other sets have no bar.
    assert len(widths) == len(ROLES) - len(PLAIN) - 2


def test_sweeps_choose_the_longest_line_of_one_family(tmp_path):
    dimension, constraints = (draw(tmp_path, name) for name in ("speedup_dimension", "speedup_constraints"))
    assert "random_cone, m = 8" in dimension.legends[0].get_title().get_text()
    assert [text.get_text() for text in dimension.axes[0].get_xticklabels()] == ["8", "64", "784"]
    assert "random_cone, n = 8" in constraints.legends[0].get_title().get_text()
    assert "fastest projection: daqp at m = 4, 8, 16, 32" in note(constraints)


@pytest.mark.parametrize("name", ["speedup_dimension", "speedup_constraints"])
def test_speedups_have_a_line_at_one_with_the_losing_side_named(tmp_path, name):
    for axes, other in zip(draw(tmp_path, name).axes, ("OSQP", "the projection"), strict=True):
        assert any(list(line.get_ydata()) == [1, 1] for line in axes.lines)
        assert any(text.get_text() == f"below 1: {other} is faster" for text in axes.texts)
        assert axes.get_ylim()[0] < 1 < axes.get_ylim()[1]


def test_zeros_are_drawn_at_a_labelled_floor(tmp_path):
    figure = draw(tmp_path, "violation")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert "exact 0" in [label.get_text() for label in axes.get_xticklabels()]
    assert {"eps float32", "eps float64"} <= set(texts(figure))
    dots = [x for container in axes.containers for x in container.lines[0].get_xdata()]
    assert min(dots) < 1e-16 and len(dots) == sum(
        row["status"] == "ok" and row["batch"] == 256 and row["role"] != "yardstick" and not row["plain"]
        for row in fewer_projections(inference_rows())
    )


def test_one_dtype_is_shown_and_named(tmp_path):
    two, one = (inference_rows(dtypes=dtypes) for dtypes in (("float32", "float64"), ("float32",)))
    (axes,) = draw(tmp_path, "time_per_sample", inference=two).axes
    (alone,) = draw(tmp_path, "time_per_sample", inference=one).axes
    assert axes.get_xlabel().endswith(", float32")
    assert len(axes.containers) == len(alone.containers) > 0
    for ours, same in zip(axes.containers, alone.containers, strict=True):
        assert list(ours.lines[0].get_xdata()) == list(same.lines[0].get_xdata())


def test_an_unknown_method_is_drawn_like_any_other(tmp_path):
    rows = inference_rows(methods=[*ROLES, "brand_new"])
    for name in ("time_per_sample", "speedup_dimension", "violation", "setup_time"):
        assert "brand_new" in legend(draw(tmp_path, name, inference=rows))
    headline = draw(tmp_path, "headline", inference=rows)
    assert "brand_new" in [label.get_text() for label in headline.axes[0].get_yticklabels()]


def test_many_methods_have_different_looks():
    names = [f"method {i}" for i in range(60)]
    looks = styles(names)
    assert len(set(looks.values())) == 60
    assert looks["method 3"] == styles(names[:4])["method 3"]
    assert len({look.colour for look in styles(names[:12]).values()}) == 12


def test_a_new_projection_or_yardstick_does_not_change_the_looks_of_a_map():
    roles = {"a": "embedded", "p": "projection", "b": "embedded", "y": "yardstick"}
    looks = styles(roles, roles)
    more = {"z": "yardstick", "q": "projection"} | roles
    assert all(styles(more, more)[name] == looks[name] for name in ("a", "b"))
    assert looks["a"] == styles(["a"])["a"] and len(set(looks.values())) == 4
    assert looks["p"].face == "#FFFFFF" and looks["p"].colour == "#000000"


def test_strict_variants_are_in_no_figure(tmp_path):
    for name in ("headline", "speedup_dimension", "time_per_sample", "setup_time", "violation", "excess"):
        assert not [text for text in texts(draw(tmp_path, name)) if "strict" in text or "tight" in text], name


def test_what_is_made_for_other_sets_is_one_line(tmp_path):
    for name in ("headline", "time_per_sample", "excess"):
        figure = draw(tmp_path, name)
        assert note(figure).count("box") == note(figure).count("monotone") == 1
        place = "checkerboard-784x16" if name == "headline" else "every problem"
        assert re.search(rf"refused \(reasons in the table\): (.*; )?box, monotone at {place}", note(figure))
    assert "refused" not in note(
        draw(tmp_path, "headline", inference=inference_rows(["half_spaces", "osqp"]))
    )


def test_the_training_step_is_drawn_from_its_own_table(tmp_path):
    rows = training_step_rows()
    for row in rows:
        if row["method"] == "shift" and row["n"] == 784:
            row |= {"ratio_linear": 1.375, "ratio_linear_low": 1.25, "ratio_linear_high": 1.5}
    figure = draw(tmp_path, "training_step", training_step=rows)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "checkerboard-196x4",
        "checkerboard-784x16",
    ]
    dots = [x for container in axes.containers for x in container.lines[0].get_xdata()]
    assert 1.375 in dots and any(list(line.get_xdata()) == [1.0, 1.0] for line in axes.lines)
    assert "linear" not in legend(figure) and "shift" in legend(figure)


def test_a_method_without_a_number_is_named_under_the_figure(tmp_path):
    rows = inference_rows()
    for row in rows:
        if row["method"] == "rays":
            reason = f"stopped at {row['n']} rays"
            row.update(dict.fromkeys(list(row)[10:], None), status="failed", reason=reason)
    for name in ("headline", "speedup_dimension", "time_per_sample", "setup_time", "violation"):
        figure = draw(tmp_path, name, inference=rows)
        assert re.search(r"rays: failed at .*: (e\.g\. )?stopped at \d+ rays", note(figure)), name
    assert "rays" not in legend(figure)
    assert "half_spaces at random_cone-8x16, random_cone-8x32" in note(figure)


def test_a_method_that_was_not_measured_there_is_named(tmp_path):
    rows = [row for row in inference_rows() if row["method"] not in ("cvxpy", "rays") or row["batch"] == 1]
    assert "not measured here: rays" in note(draw(tmp_path, "time_per_sample", inference=rows))
    assert "not measured here: rays, cvxpy" in note(draw(tmp_path, "headline", inference=rows))


def test_training_shows_every_network_and_the_optimum(tmp_path):
    figure = draw(tmp_path, "training")
    assert legend(figure)[-1] == "optimum: the true projection" and len(legend(figure)) == 5
    assert "scaled into the box from epoch 26: v_parameterization" in note(figure)
    for axes in figure.axes:
        assert any(set(line.get_ydata()) == {0.115} for line in axes.lines)


def test_digits_are_rows_of_panels_in_order(tmp_path):
    figure = draw(tmp_path, "digits", digits=digit_rows(count=3)[::-1])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["input", "projection"]
    assert axes.images[0].get_clim() == (-1, 1)
    assert axes.images[0].get_array().shape == (6 * 30 - 2, 3 * 30 - 2)
    assert axes.images[0].get_array()[1, 0] == pytest.approx(digit_rows(1)[0]["p28"])


def test_a_missing_table_skips_its_figure_and_says_how_to_make_it(made, tmp_path, capsys):
    tables, figures = tmp_path / "tables", tmp_path / "figures"
    write_tables(tables, inference=None, training=None)
    old = figures / "cpu" / "training.svg"
    old.parent.mkdir(parents=True)
    old.write_text("drawn from a table that is gone")
    written = make_plots(tables, figures)
    learning = {"learning_curves", "learned", "ablation", "stability"}
    limits = {"limits", "network_graphs"}
    vae = {"vae_elbo", "vae_samples", "vae_traversals"}
    assert {path.stem for path in written} == {"digits", "training_step", *learning, *vae, *limits}
    assert not old.exists()
    said = capsys.readouterr().out
    assert "training.csv is missing; `make bench` makes it" in said
    assert said.count("inference.csv is missing") == 13


def test_a_table_without_a_usable_row_is_nothing_to_draw(tmp_path):
    rows = [row | {"problem": "other-784x16"} for row in inference_rows() if row["batch"] == 1]
    with pytest.raises(NothingToDrawError, match="checkerboard-784x16 at batch 256"):
        draw(tmp_path, "headline", inference=rows[:1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: text.rindex(",") - 9], r"line \d+: expected 47 fields, found \d+"),
        (lambda text: text[:-1], "ends without a line break, so it was cut off"),
        (lambda text: text.replace("us_per_sample", "us_per_simple", 1), "line 1: .*us_per_sample"),
        (lambda text: text + text.splitlines(keepends=True)[1], "an earlier line has the same problem"),
        (lambda text: "", "expected a header, found an empty file"),
        (lambda text: text + '"', "not readable as CSV"),
    ],
)
def test_a_damaged_table_is_named_and_nothing_is_drawn(tmp_path, damage, message):
    path = write_tables(tmp_path / "tables") / "inference.csv"
    path.write_text(damage(path.read_text()))
    refuses(tmp_path, path, message)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("us_per_sample", "fast", "line 3, column us_per_sample: expected a number, found 'fast'"),
        ("us_per_sample", -1.0, "line 3, column us_per_sample: .*needs a positive time"),
        ("us_per_sample", None, "line 3, column us_per_sample: .*needs a positive time"),
        ("role", "magic", "line 3, column role: .*found 'magic'"),
        ("status", "done", "line 3, column status: .*found 'done'"),
        ("stable", "maybe", "line 3, column stable: expected True or False"),
        ("n", "", "line 3, column n: expected a whole number"),
        ("problem", " ", "line 3, column problem: expected a text"),
    ],
)
def test_a_wrong_value_is_named_by_line_and_column(tmp_path, column, value, message):
    rows = inference_rows()
    rows[1][column] = value
    refuses(tmp_path, write_tables(tmp_path / "tables", inference=rows) / "inference.csv", message)


def refuses(folder: Path, path: Path, message: str) -> None:
    """The damaged file is named with what to do, and nothing is written."""
    with pytest.raises(InvalidInputError, match=message) as raised:
        make_plots(folder / "tables", folder / "figures")
    assert str(path) in str(raised.value) and "`make bench`" in str(raised.value)
    assert not (folder / "figures").exists()


def test_a_count_must_be_whole_and_pixels_square(tmp_path):
    rows = training_rows(2)
    rows[1]["epoch"] = 1.5
    write_csv(tmp_path / "tables" / "cpu" / "training.csv", rows)
    with pytest.raises(InvalidInputError, match="line 3, column epoch: expected a whole number, found 1.5"):
        make_plots(tmp_path / "tables", tmp_path / "figures")
    crooked = [{key: value for key, value in row.items() if key != "p7"} for row in digit_rows(1)]
    with pytest.raises(InvalidInputError, match="pixels of a square image"):
        draw(tmp_path, "digits", digits=crooked)


def test_the_command(tmp_path, capsys):
    arguments = ["--tables", str(tmp_path / "tables"), "--figures", str(tmp_path / "figures")]
    assert plots_main(arguments) == 1
    assert "expected tables in" in capsys.readouterr().err
    write_tables(tmp_path / "tables", "some-gpu", inference=None, digits=None)
    assert plots_main(arguments) == 0
    assert (tmp_path / "figures" / "some-gpu" / "training.svg").exists()


def test_figures_show_the_projections_that_are_the_fastest_somewhere():
    rows = inference_rows()
    kept = {row["method"] for row in fewer_projections(rows) if row["role"] == "projection"}
    assert kept == {"osqp", *(row["best_projection"] for row in rows if row.get("best_projection"))}
    assert "cvxpy" not in kept
    maps = {row["method"] for row in rows if row["role"] == "embedded"}
    assert maps == {row["method"] for row in fewer_projections(rows) if row["role"] == "embedded"}


def test_the_headline_compares_with_osqp_and_with_the_fastest_projection():
    row = {"method": "shift", "us_per_sample": 0.5, "speedup_osqp": 700.0, "speedup_best": 2.5}
    assert headline_._label(row | {"best_projection": "daqp"}) == "0.500 µs   700x osqp, 2.50x daqp"
    assert headline_._label(row | {"best_projection": "osqp"}) == "0.500 µs   700 times faster than osqp"
