"""The README: its examples print what it says, its numbers are those of the tables."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from bench.report import check_readme

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text()


def test_examples_print_what_the_readme_says():
    pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```\n```\n(.*?)```", TEXT, re.DOTALL)
    assert len(examples) >= 2
    for code, printed in examples:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)
        assert out.getvalue() == printed


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
