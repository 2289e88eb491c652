"""Wheels for a machine without network: what is wanted, collected here from a folder, and installed there."""

import subprocess
import tomllib

import pytest

from baselines.peers._environments import REQUIREMENTS
from bench.wheels import collect, install
from tests.baselines.test_peers_cuda import wheel


def test_groups_hold_the_extras_and_every_list_of_the_peers():
    found = dict(collect.groups("13"))
    extras = tomllib.loads((install.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras["test"]) <= set(found["extras"])
    lists = {word for words in found.values() for word in words if word.startswith(str(REQUIREMENTS))}
    everything = {str(path) for path in REQUIREMENTS.glob("*.txt")}
    assert lists == everything - {str(REQUIREMENTS / "jax.cuda12.txt")}
    assert "jax, cuda13" not in dict(collect.groups())


@pytest.mark.parametrize("name", ["torch", "triton", "nvidia-cudnn-cu13", "cuda-bindings"])
def test_what_comes_with_a_torch_for_cuda_is_there(name):
    assert collect.THERE.fullmatch(name)
    assert not collect.THERE.fullmatch("torchrunx") and not collect.THERE.fullmatch("jax-cuda13-plugin")


def test_what_is_needed_is_collected_once_and_listed_by_size(monkeypatch, tmp_path, capsys):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("small_one", "triton", "large_one"):
        wheel(source, name, "#" * 10**6 if name == "large_one" else "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(source))
    asked = [("first", ["small_one", "triton"]), ("second", ["small_one", "large_one"])]
    monkeypatch.setattr(collect, "groups", lambda jax_cuda: asked)
    assert collect.resolved(["small_one", "triton"]) == ["small-one==1.0"]
    assert collect.main([str(target)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(",")[0] for line in lines[:2]] == ["first: 1 wheels", "second: 1 wheels"]
    assert lines[2].endswith("1.0 MB  large_one-1.0-py3-none-any.whl") and "small_one" in lines[3]
    assert "1.0 MB  in 2 wheels, for Python 3." in lines[4]
    assert {path.name.partition("-")[0] for path in target.iterdir()} == {"small_one", "large_one"}


class TestInstallation:
    """What is asked of pip, with pip replaced."""

    def test_every_extra_and_versions_of_what_is_installed_stay(self, monkeypatch):
        wanted = install.extras()
        assert {"osqp>=1.0", "matplotlib>=3.8", "pplpy>=0.8.10", "hypothesis>=6.100"} <= set(wanted)
        assert len(set(wanted)) == len(wanted)
        found = {"torch": "2.9.0+cu128", "numpy": "2.1.0"}
        monkeypatch.setattr(install, "_installed", lambda name: found.get(name, ""))
        tested, kept = install.constraints()
        assert kept == ["torch==2.9.0+cu128", "numpy==2.1.0"]
        names = [line.partition("==")[0] for line in tested]
        assert "scipy" in names and "osqp" in names and not {"torch", "numpy"} & set(names)
        assert not any("#" in line or not line for line in tested)

    def test_all_at_once_or_one_by_one_at_the_tested_version_or_at_any(self):
        asked = []

        def pip(wanted, limits):
            lines = limits.read_text().splitlines()
            asked.append((list(wanted), lines))
            exact = "b==1" in lines
            return len(wanted) == 1 and (wanted[0] == "a" or (wanted[0] == "b" and not exact))

        wanted, here = ["a", "d", "b", "c"], lambda one: one != "d"
        assert install.install(wanted, ["b==1"], ["torch==2"], pip, here) == ["d", "c"]
        both, kept = ["b==1", "torch==2"], ["torch==2"]
        assert asked == [
            (["a", "b", "c"], both),
            (["a"], both), (["b"], both), (["b"], kept), (["c"], both), (["c"], kept),
        ]  # fmt: skip
        assert install.install(["a"], [], [], lambda wanted, limits: True, lambda one: True) == []

    def test_what_is_not_there_is_named(self, tmp_path, monkeypatch, capsys):
        assert install.main(str(tmp_path / "gone")) == 1 and "expected a folder" in capsys.readouterr().err
        commands = []

        def run(command, capture_output):
            commands.append(command)
            return subprocess.CompletedProcess(command, int("osqp>=1.0" in command))

        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(install, "_installed", lambda name: "" if name.startswith("py") else "1.0")
        for name in ("pytest", "pytest_benchmark", "pytest_xdist", "pynormaliz", "pycddlib_standalone"):
            (tmp_path / f"{name}-9-py3-none-any.whl").touch()
        (tmp_path / "python_flint-1.tar.gz").touch()
        assert install.main(str(tmp_path)) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"not in {tmp_path}, skipped: osqp>=1.0",
        ]
        assert all("--no-index" in command and str(tmp_path) in command for command in commands)
