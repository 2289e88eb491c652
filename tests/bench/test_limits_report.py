"""The limits of a device in the report: targets with verdicts, tables, figures; nothing without a device."""

import json
import re

import pytest

from bench._tables_io import read_all
from bench.analyses import targets
from bench.plots import FIGURES, NothingToDrawError
from bench.plots._files import write_figure
from bench.report import report_main, write_pages
from bench.report._readme import BLOCKS
from tests.fixtures.limits import DEVICE, limits_rows
from tests.fixtures.tables import inference_rows, write_tables

SLUG = "nvidia-h100-80gb-hbm3"
FIGURE = {figure.name: figure for figure in FIGURES}


def inference(**times):
    """Rows of the device on the paper's problem, with these methods' µs a sample; None: skipped."""
    rows = inference_rows(["linear", "osqp", "shift"], device=DEVICE)
    (ours,) = (row for row in rows if row["problem"] == "checkerboard-784x16" and
               (row["batch"], row["method"]) == (256, "shift"))  # fmt: skip
    ours |= {"us_per_sample": 0.02, "violation": 2e-6}
    for name, us in times.items():
        role = "projection" if name == "batched_active_set" else "peer"
        failed = {"status": "skipped", "reason": "no environment", "us_per_sample": None}
        found = {"us_per_sample": us, "violation": 3e-4}
        rows.append(ours | {"method": name, "role": role} | (failed if us is None else found))
    return rows


def made(folder, limits=None, rows=None):
    write_tables(folder / "tables", DEVICE, limits=limits, inference=rows)
    return read_all(folder / "tables")[0]


def by_target(tables):
    return {(line["target"], line["place"]): line for line in targets(tables)}


@pytest.mark.parametrize(("fused", "verdicts"), [(0.9, {1.0}), (0.82, {1.0, 0.0}), (0.7, {0.0})])
def test_shares_of_a_copy_are_judged_at_the_largest_batch(tmp_path, fused, verdicts):
    lines = by_target(made(tmp_path, limits_rows(fused=fused)))
    shares = {key: line for key, line in lines.items() if "copy" in key[0]}
    assert {key[1] for key in shares} == {
        f"784x16, batch 65536, {dtype}" for dtype in ("float32", "bfloat16")
    }
    assert len(shares) == 4 and {line["met"] for line in shares.values()} == verdicts
    assert all(line["met"] == (line["value"] >= 0.8) for line in shares.values())


def test_the_product_is_that_of_the_same_points_and_rows(tmp_path):
    rows = limits_rows()
    for row in rows:
        if (row["what"], row["n"], row["dtype"]) == ("map", 1024, "bfloat16"):
            row["share_of_own_product"] = 0.69
    lines = [line for key, line in by_target(made(tmp_path, rows)).items() if "own product" in key[0]]
    assert {(line["place"], line["met"]) for line in lines} == {
        ("1024x1024, batch 65536, float32", 1.0),
        ("1024x1024, batch 65536, bfloat16", 0.0),
    }


@pytest.mark.parametrize(("network", "met"), [(1.05, 1.0), (1.2, 0.0)])
def test_a_network_may_take_a_tenth_more(tmp_path, network, met):
    lines = by_target(made(tmp_path, limits_rows(network=network)))
    line = lines[
        "network with shift in a graph: time / that without", "hidden 1024, 1024, batch 4096, float32"
    ]
    assert line["met"] == met and line["asked"] == 1.1 and not line["above"]
    assert len([key for key in lines if key[0].startswith("network")]) == 2 * 4 * 2


def test_speedups_are_over_the_batched_projection_and_the_peers_of_the_same_cell(tmp_path):
    rows = inference(batched_active_set=0.3, pinet=1.0, cvxpylayers=None)
    lines = by_target(made(tmp_path, limits_rows(), rows))
    place = "checkerboard-784x16, batch 256, float32"
    batched = lines["shift: times faster than batched_active_set", place]
    assert batched["value"] == pytest.approx(15) and batched["met"] == 1.0
    pinet = lines["shift: times faster than pinet", place]
    assert pinet["value"] == pytest.approx(50) and pinet["met"] == 0.0 and pinet["violations"] == [3e-4, 2e-6]
    skipped = lines["shift: times faster than cvxpylayers", place]
    assert skipped["value"] != skipped["value"] and skipped["met"] != skipped["met"]
    assert skipped["reason"] == "skipped: no environment"


def test_a_kernel_that_failed_is_not_measured_for_its_reason(tmp_path):
    rows = limits_rows()
    for row in rows:
        if row["what"] == "map" and row["path"] == "fused" and row["n"] == 784:
            numbers = [name for name, value in row.items() if isinstance(value, float)]
            row |= dict.fromkeys(numbers) | {"status": "failed", "reason": "out of registers"}
    lines = [line for key, line in by_target(made(tmp_path, rows)).items() if "copy" in key[0]]
    assert {line["reason"] for line in lines} == {"failed: out of registers"}


def test_the_cpu_has_no_targets(tmp_path):
    write_tables(tmp_path / "tables", limits=None)
    (tables,) = read_all(tmp_path / "tables")
    assert targets(tables) == []
    text = write_pages(tmp_path / "tables", tmp_path / "figures")[0].read_text()
    assert "Limits of the device" not in text


def test_the_section_has_yardsticks_targets_maps_and_networks(tmp_path):
    made(tmp_path, limits_rows(), inference(batched_active_set=0.3, pinet=1.0, cvxpylayers=None))
    for name in ("limits", "network_graphs"):
        rows = read_all(tmp_path / "tables")[0].find("limits")
        write_figure(FIGURE[name], rows, tmp_path / "figures", SLUG)
    page, html = write_pages(tmp_path / "tables", tmp_path / "figures")
    text = page.read_text()
    section = text[text.index("### Limits of the device") : text.index("### Networks\n")]
    assert "a copy moves 2900 GB/s" in section and "in bfloat16 makes 640 TFLOP/s" in section
    assert section.count(".svg)") == 2 and f"(figures/{SLUG}/limits.svg)" in section
    lines = section.splitlines()
    (line,) = (x for x in lines if x.startswith("| fused shift: share of a copy") and "float32" in x)
    assert line.endswith("| at least 80 % | 88.9 % | reached |")
    place = "checkerboard-784x16, batch 256, float32; largest violation 3.0e-04 and 2.0e-06"
    assert f"| shift: times faster than pinet | {place} | at least 100 | 50 | missed |" in lines
    assert any("cvxpylayers" in x and x.endswith("| – | skipped: no environment |") for x in lines)
    count = re.search(r"(\d+) reached, (\d+) missed, 1 not measured", section)
    assert count and int(count[1]) + int(count[2]) + 1 == 8 + 16 + 3
    found = [x for x in lines if x.startswith("| `shift` | yes | bfloat16 | 65536 | warm |")]
    assert len(found) == 2 and all(x.count("|") == 14 for x in found)  # of both sizes
    assert any(x.startswith("| 256 | 65536 | ") for x in lines)
    assert "Limits of the device" in html.read_text() and "out of range" not in html.read_text()


def test_the_facts_of_the_device_are_said(tmp_path):
    made(tmp_path, limits_rows())
    path = tmp_path / "tables" / SLUG / "machine.json"
    gpu = {"memory_gb": 79.6, "capability": "9.0", "cuda": "12.8", "driver": "570.86"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"gpu": gpu}))
    text = write_pages(tmp_path / "tables", tmp_path / "figures")[0].read_text()
    assert f"{DEVICE}, driver 570.86, CUDA 12.8, compute capability 9.0, 2 cores" in text


def test_written_pages_are_up_to_date(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("".join(f"<!-- begin:{name} -->\n<!-- end:{name} -->\n" for name in BLOCKS))
    write_tables(tmp_path / "results" / "tables", limits=None)
    write_tables(tmp_path / "results" / "tables", DEVICE, inference=inference(pinet=1.0))
    options = ["--tables", str(tmp_path / "results" / "tables"), "--readme", str(readme)]
    options += ["--figures", str(tmp_path / "results" / "figures")]
    assert report_main([*options, "--check"]) == 1
    assert report_main(options) == 0 and report_main([*options, "--check"]) == 0


@pytest.mark.parametrize("name", ["limits", "network_graphs"])
def test_figures_show_what_was_measured_in_graphs(tmp_path, name):
    rows = made(tmp_path, limits_rows()).find("limits")
    figure = FIGURE[name].draw(rows)
    values = {line.get_label() for axes in figure.axes for line in axes.lines}
    assert values and DEVICE in figure.legends[0].get_title().get_text()
    column = {"limits": "share_of_copy", "network_graphs": "ratio_unconstrained"}[name]
    drawn = {y for axes in figure.axes for line in axes.lines for y in map(float, line.get_ydata())}
    for row in FIGURE[name].data(rows):
        assert row[column] in drawn and row["map"] != "unconstrained"
    with pytest.raises(NothingToDrawError, match="the table has no row of a"):
        FIGURE[name].draw([row for row in rows if row["what"] == "copy"])


def test_a_panel_for_each_size_and_share(tmp_path):
    figure = FIGURE["limits"].draw(made(tmp_path, limits_rows()).find("limits"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        *("784x16, float32", "1024x1024, float32", "784x16, bfloat16", "1024x1024, bfloat16"),
        *("784x16, float32", "1024x1024, float32"),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("shift", "half_spaces", "fused", "plain"),
    ]
