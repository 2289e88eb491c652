"""Reports from synthetic tables: README parts, the page of results and the HTML page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench._cells import places
from bench._columns import LEGEND
from bench._numbers import error, number, share, speedup, times
from bench.report import BLOCKS, check_readme, report_main, update_readme, write_pages
from bench.report._document import Bullets, Paragraph, Table, code, literal, markdown
from bench.report._html_text import inline
from bench.report._inference import HEADER
from constrained.errors import InvalidInputError
from tests.fixtures.tables import TIME_REASON, inference_rows, network_rows, training_step_rows, write_tables

SVG = (
    '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><metadata>m</metadata><g id="a"/></svg>\n'
)


@pytest.fixture
def tables(tmp_path) -> Path:
    write_tables(tmp_path / "results" / "tables")
    return tmp_path / "results" / "tables"


@pytest.fixture
def readme(tmp_path) -> Path:
    parts = [f"<!-- begin:{name} -->\nold\n<!-- end:{name} -->\n" for name in BLOCKS]
    path = tmp_path / "README.md"
    path.write_text("# Title\n\n" + "\nprose\n\n".join(parts) + "\nlast line\n")
    return path


def part(readme: Path, name: str) -> str:
    """The generated text between two markers."""
    return readme.read_text().split(f"<!-- begin:{name} -->\n")[1].split(f"\n<!-- end:{name} -->")[0]


def change(rows: list[dict], selection: dict, **values) -> list[dict]:
    """The rows, those that match the selection with other values."""
    return [row | values if selection.items() <= row.items() else row for row in rows]


def test_readme_parts_are_written_and_the_rest_is_kept(tables, readme):
    assert check_readme(readme, tables) == list(BLOCKS)
    assert update_readme(readme, tables)
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!-- begin:main-result -->\n") and text.endswith("\nlast line\n")
    assert text.count("prose") == len(BLOCKS) - 1 and "old" not in text
    assert not update_readme(readme, tables) and check_readme(readme, tables) == []


def test_main_result_has_the_numbers_of_the_table(tables, readme):
    rows = change(
        inference_rows(), {"problem": "checkerboard-784x16", "batch": 256, "method": "half_spaces"},
        us_per_sample=0.812, us_q25=0.8, us_q75=0.9, speedup_osqp=531.4, speedup_osqp_low=510.0,
        speedup_osqp_high=560.0, violation=0.0, excess=1.0,
    )  # fmt: skip
    write_tables(tables, inference=rows)
    update_readme(readme, tables)
    line = next(line for line in part(readme, "main-result").splitlines() if "`half_spaces`" in line)
    assert "| embedded | 0.812 [0.800, 0.900] | 531 [510, 560] |" in line and "| 0 |" in line
    assert "moves 1.00x as far" in line
    assert "| 3.0e-07 |" in next(
        line for line in part(readme, "main-result").splitlines() if line.startswith("| `daqp`")
    )
    assert "fastest projection, `daqp`" in part(readme, "main-result")
    assert "checkerboard-784x16, batch 256, float32, cpu" in part(readme, "main-result")
    assert "| time / floor | time / Linear(784, 784) |" in part(readme, "main-result")


def test_main_result_has_both_yardsticks_and_no_strict_variant(tables, readme):
    cell = {"problem": "checkerboard-784x16", "batch": 256, "method": "half_spaces"}
    rows = change(
        inference_rows(), cell, ratio_floor=1.625, ratio_floor_low=1.5, ratio_floor_high=1.75,
        ratio_linear=0.125, ratio_linear_low=0.115, ratio_linear_high=0.135,
    )  # fmt: skip
    write_tables(tables, inference=rows)
    update_readme(readme, tables)
    text = part(readme, "main-result")
    assert "| 1.62 [1.50, 1.75] | 0.12 [0.12, 0.14] |" in text
    assert "| `floor` | yardstick |" in text and "_strict" not in text and "_tight" not in text
    assert "refused by this one: `box`, `monotone`." in text and "| `box`" not in text


def test_strict_variants_are_beside_their_plain_maps(tables, readme):
    cell = {"problem": "checkerboard-784x16", "batch": 256}
    rows = change(inference_rows(), cell | {"method": "shift"}, broken_share=0.5, violation=2e-6, excess=1.5)
    rows = change(
        rows, cell | {"method": "shift_tight"}, ratio_plain=2.5, ratio_plain_low=2.25, ratio_plain_high=2.75,
        broken_share=0.0, excess=1.75,
    )  # fmt: skip
    rows = change(
        rows, cell | {"method": "shift_strict"}, ratio_plain=1.25, broken_share=0.25, violation=1e-9
    )
    write_tables(tables, inference=rows)
    update_readme(readme, tables)
    lines = part(readme, "strict").splitlines()
    assert lines[2].startswith("| `rays` | 25 % (4.7e-05) | 1.04x | refused | – | – | not measured | – | – |")
    assert lines[3] == (
        "| `shift` | 50 % (2.0e-06) | 1.50x | 1.25 [1.04, 1.17] | 25 % (1.0e-09) | 1.06x "
        "| 2.50 [2.25, 2.75] | 0 % | 1.75x |"
    )
    assert not any("box" in line for line in lines)
    page, _ = write_pages(tables, tables.parent / "figures")
    assert page.read_text().count(lines[3]) == 1
    assert "x plain" in HEADER and "| 2.50 [2.25, 2.75] |" in page.read_text()


def test_the_training_step_is_a_column_a_problem(tables, readme):
    update_readme(readme, tables)
    lines = part(readme, "training-step").splitlines()
    assert lines[0] == "| training step / that of Linear(n, n) | checkerboard-196x4 | checkerboard-784x16 |"
    assert lines[2] == "| `linear` | 1 (9.00 µs) | 1 (9.00 µs) |"
    assert "| `shift` | 1.12 [1.06, 1.19] | 1.18 [1.12, 1.25] |" in lines
    assert "Made for other sets, and refused by these: `box`, `monotone`." in lines
    assert not any(line.startswith("| `box`") for line in lines)
    rows = training_step_rows()
    rows = change(rows, {"method": "rays", "n": 784}, status="refused", reason="no")
    write_tables(tables, training_step=rows)
    update_readme(readme, tables)
    assert "| `rays` | 1.12 [1.06, 1.19] | refused |" in part(readme, "training-step")


def test_planning_is_a_row_a_problem(tables):
    page, _ = write_pages(tables, tables.parent / "figures")
    assert "| random_cone-200x200 | 120 [108, 144] | 120 [108, 144] |" in page.read_text()
    assert r"| random_cone-1000x1000 | 3000 [2700, 3600] | timeout: \> 8 s" in page.read_text()


def test_a_method_that_failed_is_a_row_with_its_reason(tables, readme):
    cell = {"problem": "checkerboard-784x16", "method": "rays"}
    write_tables(
        tables, inference=change(inference_rows(), cell, status="timeout", reason="took | too *long*")
    )
    update_readme(readme, tables)
    assert r"| `rays` | embedded | timeout: took \| too \*long\* | – |" in part(readme, "main-result")


@pytest.mark.parametrize("name", BLOCKS)
def test_check_catches_an_edited_number(tables, readme, name):
    update_readme(readme, tables)
    text = part(readme, name)
    digit = re.search(r"\d", text)
    edited = text[: digit.start()] + str((int(digit[0]) + 1) % 10) + text[digit.end() :]
    readme.write_text(readme.read_text().replace(text, edited))
    assert check_readme(readme, tables) == [name]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("<!-- begin:verdict -->", ""), "end:verdict.*without its partner"),
        (lambda text: text.replace("<!-- end:machine -->", ""), "begin:machine.*without its partner"),
        (
            lambda text: re.sub(r"<!-- begin:verdict.*end:verdict -->", "", text, flags=re.S),
            "missing: verdict",
        ),
        (lambda text: text.replace(":verdict", ":verdikt"), "missing: verdict, unknown: verdikt"),
        (lambda text: text + text, "line .*each name once"),
    ],
)
def test_markers_that_do_not_match_are_an_error_and_the_file_stays(tables, readme, damage, message):
    text = damage(readme.read_text())
    readme.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        update_readme(readme, tables)
    assert readme.read_text() == text
    with pytest.raises(InvalidInputError, match="README"):
        update_readme(readme.parent / "README.rst", tables)


def test_verdict_without_a_loss_says_so(tables, readme):
    update_readme(readme, tables)
    verdict = part(readme, "verdict")
    assert "`half_spaces` takes 1.60 µs a sample, 512 times faster than `osqp` and 78 times faster" in verdict
    assert re.search(r"In none of the \d+ comparisons .* projection faster", verdict)
    assert "- `half_spaces` refused on random_cone-8x16" in verdict
    assert "- `box`, `monotone` refused on every problem" in verdict
    assert "strict" not in verdict


def test_places_are_named_by_the_shorter_list():
    everywhere = list("abcdef")
    assert places(everywhere, everywhere) == "every problem" and places(["a"], ["a"]) == "a"
    assert places(list("abcef"), everywhere) == "every problem but d"
    assert places(list("bcd"), everywhere) == "b, c, d"


def test_verdict_lists_every_cell_where_projection_wins(tables, readme):
    rows = inference_rows()
    lost = {"problem": "random_cone-8x32", "method": "rays", "batch": 256}
    rows = change(rows, lost, us_per_sample=100.0, speedup_best=0.5, speedup_best_high=0.6)
    rows = change(rows, lost | {"method": "paper_layer"}, speedup_best=0.98, speedup_best_high=1.03)
    write_tables(tables, inference=rows)
    update_readme(readme, tables)
    verdict = part(readme, "verdict")
    assert re.search(r"beats an embedded method in 2 of \d+ comparisons", verdict)
    assert "- random_cone-8x32, batch 256: `daqp` takes" in verdict
    assert "`rays` 100 µs (2.00 times slower)" in verdict
    assert "(1.02 times slower; the 95 % interval includes 1)" in verdict


def test_a_slower_method_is_called_slower(tables, readme):
    cell = {"problem": "checkerboard-784x16", "batch": 256, "method": "paper_layer"}
    write_tables(tables, inference=change(inference_rows(), cell, speedup_osqp=0.5, speedup_best=0.1))
    update_readme(readme, tables)
    assert "2.00 times slower than `osqp` and 10 times slower than `daqp`" in part(readme, "verdict")


def test_networks_have_their_epochs_reason_and_ratio(tables, readme):
    update_readme(readme, tables)
    assert "| 5 of 30, time budget of 60 s | 0.155 | 0.116 | 1.336 |" in part(readme, "networks")
    assert "4000 digits to train, 500 to validate, 500 to test" in part(readme, "networks")
    assert "Imagined CPU 3000, 2 cores, 2 threads" in part(readme, "machine")


def test_tables_that_are_not_there_yet_are_said_to_be_missing(tables, readme):
    for path in tables.rglob("*.*"):
        path.unlink()
    write_tables(tables, inference=None, training_step=None, networks=None, robustness=None)
    update_readme(readme, tables)
    silent = [name for name in BLOCKS if name != "machine"]
    assert all("`make bench`" in part(readme, name) for name in silent)


def test_pages_hold_every_table_figure_failure_and_limitation(tables):
    figures = tables.parent / "figures"
    write_tables(
        tables, "some-gpu", networks=[row | {"network": f"g_{row['network']}"} for row in network_rows()]
    )
    for name in ("headline", "violation"):
        (figures / "cpu").mkdir(parents=True, exist_ok=True)
        (figures / "cpu" / f"{name}.svg").write_text(SVG)
        (figures / "cpu" / f"{name}.csv").write_text("method,µs\nshift,0.5\n")
    page, html = write_pages(tables, figures)
    text = page.read_text()
    assert text.count("(figures/cpu/headline.svg)") == 1 and "training.svg" not in text
    assert text.count(f"timeout: {TIME_REASON}") == 2 * 2
    assert "## Device cpu" in text and "## Device some-gpu" in text
    assert "[tables/cpu/training.csv](tables/cpu/training.csv)" in text
    assert "[Data (CSV)](figures/cpu/headline.csv)" in text
    assert text.rindex("## ") == text.rindex("## Limitations") and "cpu: 2 cores" in text
    measured = [row for row in (*inference_rows(), *training_step_rows()) if row["status"] == "ok"]
    assert len(re.findall(r"^\| .* \| ok \| ", text, flags=re.M)) == 2 * len(measured)
    check_html(html.read_text())


def check_html(text: str) -> None:
    """Well-formed, every id once, two figures with their tables, nothing that a browser would fetch."""
    body = re.sub(r"<script>.*</script>", "", text.removeprefix("<!DOCTYPE html>\n"), flags=re.DOTALL)
    root = ElementTree.fromstring(body)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) and {"main-result", "main-result-2", "limitations"} <= set(ids)
    figures = list(root.iter("figure"))
    assert len(figures) == 2 and all(len(list(figure.iter("table"))) == 1 for figure in figures)
    csv = unquote(figures[0].find("a").get("href"))
    assert csv == "data:text/csv;charset=utf-8,method,µs\nshift,0.5\n"
    assert not re.search(
        r"<(link|iframe)\b|@import|url\(|https?:", text.replace("http://www.w3.org/2000/svg", "")
    )
    targets = re.findall(r'(?:href|src)="([^"]{0,20})', text)
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert {target[1:] for target in re.findall(r'href="(#[^"]+)"', text)} <= set(ids)


def test_geometric_means_count_what_was_answered(tables):
    page, _ = write_pages(tables, tables.parent / "figures")
    assert re.search(r"\| `half_spaces` \| float32 \| 256 \| 6 of 9 \| ", page.read_text())
    assert not re.search(r"\| `shift_strict` \| float32 \| 256 \| \d", page.read_text())


def test_a_strict_variant_of_a_refused_map_has_no_line_of_its_own(tables):
    cell = {"problem": "checkerboard-784x16", "batch": 256}
    rows = change(inference_rows(), cell | {"method": "rays"}, status="refused", reason="no")
    write_tables(tables, inference=rows)
    page, _ = write_pages(tables, tables.parent / "figures")
    assert "| `rays` | embedded |" in page.read_text() and "`rays_strict`" not in page.read_text()
    write_tables(tables)
    page, _ = write_pages(tables, tables.parent / "figures")
    assert "| `rays_strict` | embedded |" in page.read_text()


def test_the_command_writes_and_checks(tables, readme, capsys):
    arguments = [
        "--tables",
        str(tables),
        "--figures",
        str(tables.parent / "figures"),
        "--readme",
        str(readme),
    ]
    assert report_main([*arguments, "--check"]) == 1
    assert "block main-result" in capsys.readouterr().err
    assert "old" in readme.read_text()
    assert report_main(arguments) == 0 and report_main([*arguments, "--check"]) == 0
    page = tables.parent / "README.md"
    page.write_text(page.read_text().replace("Limitations", "Boasts"))
    capsys.readouterr()
    assert report_main([*arguments, "--check"]) == 1
    assert str(page) in capsys.readouterr().err
    (tables / "cpu" / "inference.csv").write_text("problem,fam")
    assert report_main(arguments) == 1
    assert "cut off" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        report_main([*arguments[:-1], str(page)])


def test_every_printed_column_has_a_legend():
    assert set(HEADER) - set(LEGEND) == {"method", "dtype"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(0.0512), "0.0512"), (number(12.345), "12.3"), (number(999.7), "1000"), (number(None), "–"),
        (number(16864.2), "16864"), (number(2e-5), "2.00e-05"), (times(1.019), "1.02"), (times(0.4), "0.40"),
        (times(530.4), "530"), (error(-1e-9), "0"), (error(3e-8), "3.0e-08"), (share(1e-5), "< 0.1 %"),
        (share(0.99999), "> 99.9 %"), (share(0.25), "25 %"),
        (speedup(float("nan"), "x"), "not comparable with x"),
        (speedup(0.5, "osqp"), "2.00 times slower than osqp"), (code("a|b"), r"a\|b"),
        (inline(literal("a < b | `c` & _d_ e_f")), "a &lt; b | `c` &amp; _d_ e_f"),
        (inline("**x** `y<` [z](t.csv)"), '<b>x</b> <code>y&lt;</code> <a href="t.csv">z</a>'),
        (markdown([Paragraph("p"), Bullets(("a", "b"))]), "p\n\n- a\n- b"),
        (markdown([Table(("h", "k"), (("1", "2"),))]), "| h | k |\n| --- | ---: |\n| 1 | 2 |"),
    ],
)  # fmt: skip
def test_texts(text, expected):
    assert text == expected
