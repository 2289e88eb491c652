"""Wheels for a machine without network: what is wanted, resolved and collected, here from a folder."""

import tomllib

import pytest

from baselines.peers._environments import REQUIREMENTS
from bench import wheels
from tests.baselines.test_peers_cuda import wheel


def test_groups_hold_the_extras_and_every_list_of_the_peers():
    found = dict(wheels.groups("13"))
    extras = tomllib.loads((wheels.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras["test"]) <= set(found["extras"])
    lists = {word for words in found.values() for word in words if word.startswith(str(REQUIREMENTS))}
    everything = {str(path) for path in REQUIREMENTS.glob("*.txt")}
    assert lists == everything - {str(REQUIREMENTS / "jax.cuda12.txt")}
    assert "jax, cuda13" not in dict(wheels.groups())


@pytest.mark.parametrize("name", ["torch", "triton", "nvidia-cudnn-cu13", "cuda-bindings"])
def test_what_comes_with_a_torch_for_cuda_is_there(name):
    assert wheels.THERE.fullmatch(name)
    assert not wheels.THERE.fullmatch("torchrunx") and not wheels.THERE.fullmatch("jax-cuda13-plugin")


def test_what_is_needed_is_collected_once_and_listed_by_size(monkeypatch, tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("small_one", "triton", "large_one"):
        wheel(source, name, "#" * 10**6 if name == "large_one" else "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    asked = [("first", ["small_one", "triton"]), ("second", ["small_one", "large_one"])]
    monkeypatch.setattr(wheels, "groups", lambda jax_cuda: asked)
    assert wheels.resolved(["small_one", "triton"]) == ["small-one==1.0"]
    assert wheels.main([str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines[:2]] == ["first: 1 wheels", "second: 1 wheels"]
    assert lines[2].endswith("1.0 MB  large_one-1.0-py3-none-any.whl") and "small_one" in lines[3]
    assert "1.0 MB  in 2 wheels, for Python 3." in lines[4]
    assert {path.name.partition("-")[0] for path in target.iterdir()} == {"small_one", "large_one"}
