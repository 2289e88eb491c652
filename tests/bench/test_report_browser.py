"""The page in headless Chromium: it opens without an error, fits every width, sorts, filters and saves."""

from __future__ import annotations

import base64
import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from bench._tables_io import read_all
from bench.plots import FIGURES
from bench.plots._files import write_figure
from bench.report import write_pages
from tests.fixtures.tables import write_tables

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
DRAWN = ("headline", "pareto", "training")
WIDTHS = (390, 1920)
BIG = 'table[data-name="results"]'


@pytest.fixture(scope="module")
def browser() -> str:
    """The path of a browser that has its driver; a skip that says what is missing otherwise."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None or shutil.which("chromedriver") is None:
        pytest.skip(f"needs one of {', '.join(BROWSERS)}, and chromedriver, on the PATH")
    return found


@pytest.fixture(scope="module")
def page(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two machines with three figures each."""
    folder = tmp_path_factory.mktemp("page")
    for device in ("cpu", "some-gpu"):
        write_tables(folder / "tables", device)
    for tables in read_all(folder / "tables"):
        for figure in (figure for figure in FIGURES if figure.name in DRAWN):
            write_figure(figure, tables.find(figure.table), folder / "figures", tables.device)
    return write_pages(folder / "tables", folder / "figures")[1]


@pytest.fixture(scope="module")
def driver(browser: str, page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that has the page open from the file system."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.get(page.as_uri())
    yield driver
    driver.quit()


def column(driver: Any, name: str) -> list[str]:
    """The texts of a column of the big table, the rows that are shown, from top to bottom."""
    return driver.execute_script(
        """const table = document.querySelector(arguments[0]);
        const headers = Array.from(table.tHead.rows[0].cells, (cell) => cell.textContent);
        const rows = Array.from(table.tBodies[0].rows).filter((row) => row.offsetParent);
        return rows.map((row) => row.cells[headers.indexOf(arguments[1])].textContent);""",
        BIG,
        name,
    )


def header(driver: Any, name: str) -> Any:
    return driver.find_element("xpath", f'(//table[@data-name="results"])[1]//th[.="{name}"]')


def tools(driver: Any) -> Any:
    """What stands above the big table."""
    return driver.find_element("xpath", '(//table[@data-name="results"])[1]/../preceding-sibling::div[1]')


def test_the_page_opens_without_a_message_and_shows_every_figure(driver):
    assert driver.get_log("browser") == []
    widths = driver.execute_script("return Array.from(document.images, (image) => image.naturalWidth)")
    assert len(widths) == 2 * len(DRAWN) and min(widths) > 0
    assert len(driver.find_elements("xpath", '//table[@data-name="results"]')) == 2, "one a machine"
    fetched = driver.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(name.startswith("data:") for name in fetched)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_as_wide_as_the_window(driver, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert driver.execute_script("return innerWidth") == width
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_header_sorts_by_its_numbers_and_back(driver):
    """Of powers of ten the first digits say nothing: 4.7e-05 is more than 7.7e-06."""

    def violations() -> list[float]:
        return [float(text) for text in column(driver, "violation") if text != "–"]

    unsorted = violations()
    button = header(driver, "violation").find_element("tag name", "button")
    # A button is reached and pressed by the keyboard as well.
    button.send_keys("\n")
    assert violations() == sorted(unsorted) != unsorted
    assert header(driver, "violation").get_attribute("aria-sort") == "ascending"
    button.click()
    assert violations() == sorted(unsorted, reverse=True)
    assert header(driver, "violation").get_attribute("aria-sort") == "descending"
    assert column(driver, "violation")[-1] == "–", "what has no number comes last in either direction"
    header(driver, "method").find_element("tag name", "button").click()
    assert header(driver, "violation").get_attribute("aria-sort") == "none"
    assert column(driver, "method") == sorted(column(driver, "method"))


def test_text_and_boxes_filter_the_big_table(driver):
    box = tools(driver)
    total = len(column(driver, "problem"))
    boxes = {label.text.split()[0]: label for label in box.find_elements("tag name", "label")}
    assert list(boxes) == ["search", "problem", "role", "dtype", "batch"]
    for name, value in (("problem", "random_cone-8x4"), ("role", "embedded"), ("batch", "256")):
        boxes[name].find_element("xpath", f'.//option[.="{value}"]').click()
        assert set(column(driver, name)) == {value}
    assert set(column(driver, "method")) >= {"half_spaces", "rays", "shift"}
    boxes["search"].find_element("tag name", "input").send_keys("SHIFT")
    assert column(driver, "method") == ["shift"]
    assert f"1 of {total} rows" in box.text
    saved = driver.execute_script("return csvOf(document.querySelector(arguments[0]))", BIG)
    assert [line[1] for line in csv.reader(saved.splitlines())] == ["method", "shift"]
    boxes["search"].find_element("tag name", "input").send_keys("\b" * 5)
    for name in ("problem", "role", "batch"):
        boxes[name].find_element("xpath", './/option[.="all"]').click()
    assert len(column(driver, "problem")) == total


def test_every_table_can_be_saved_and_every_figure_brings_its_rows(driver, page):
    assert driver.execute_script(
        "return Array.from(document.querySelectorAll('table')).every((table) =>"
        " table.parentNode.previousElementSibling.textContent.endsWith('CSV'))"
    )
    links = driver.find_elements("css selector", "figure a.download")
    assert len(links) == 2 * len(DRAWN)
    for link in links[: len(DRAWN)]:
        name = link.get_attribute("download")
        text = unquote(link.get_attribute("href").partition(",")[2])
        assert text == (page.parent / "figures" / "cpu" / name).read_text()
        assert len(text.splitlines()) > 5


def test_a_figure_survives_being_put_inside_the_page(driver):
    """A picture of a figure has more than one colour: what is inside was drawn."""
    image = driver.find_element("css selector", "figure img")
    driver.execute_script("arguments[0].scrollIntoView()", image)
    assert len(base64.b64decode(image.screenshot_as_base64)) > 10_000
