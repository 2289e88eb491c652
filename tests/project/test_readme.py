"""The README: its numbers are those of the tables, its links exist. Its code is run by `test_docs.py`."""

import re
from pathlib import Path

from bench.report import check_readme

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_generated_blocks_are_those_of_the_tables():
    assert check_readme(ROOT / "README.md", ROOT / "results" / "tables") == []


def test_links_and_pictures_exist():
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_two_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("bench", "test", "bench-full", "bench-cuda", "regress", "plots", "help", "reference"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
