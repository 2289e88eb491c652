"""The example of CONTRIBUTING.md, taken from there, keeps the contract of a projection."""

import re
from pathlib import Path

import pytest

from tests.contracts.projection import ProjectionContract

pytest.importorskip("scipy", reason="the example needs scipy")

TEXT = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()
SOLVER, TEST = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
# As a module of the package, so that its relative imports are those of a file beside the others.
EXAMPLE = {"__name__": "baselines.ldp_", "__package__": "baselines", "ProjectionContract": ProjectionContract}
exec(SOLVER, EXAMPLE)
exec(TEST, EXAMPLE)

TestLdp = EXAMPLE["TestLdp"]


def test_it_is_as_short_as_promised():
    _, docstring, code = SOLVER.split('"""', 2)
    assert docstring and len(code.strip().splitlines()) < 30
