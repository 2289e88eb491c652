"""bench/cuda.sh with a stub in place of Python: its parts, their order, and what one that fails does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.cuda_limits import MAPS, sanitize

ROOT = Path(__file__).resolve().parents[2]
STUB = """#!/bin/sh
case "$*" in
    *is_available*) exit {cuda} ;;
    "-c import torch") exit {torch} ;;
    *purelib*) echo .venv-cuda; exit 0 ;;
    "-m venv"*) mkdir -p .venv-cuda/bin; cp "$0" .venv-cuda/bin/python; exit 0 ;;
esac
echo "$*" >> calls
case "$*" in {cases} esac
exit 0
"""
TESTS = "-m pytest -q -m cuda --continue-on-collection-errors"
LIMITS = "-m bench.cuda_limits --raw results/raw"
GRID = "-m bench run --grid cuda --raw results/raw -m cuda"
RESULTS = ["-m bench tables --raw results/raw", "-m bench plots", "-m bench report"]


@pytest.fixture
def script(tmp_path):
    """The script in a folder of its own: (what is run, the finished process) for an environment."""

    def run(cuda=0, has_torch=0, cases="nothing) ;;", path="", **environment):
        stub = tmp_path / "python-stub"
        stub.write_text(STUB.format(cuda=cuda, torch=has_torch, cases=cases))
        stub.chmod(0o755)
        done = subprocess.run(
            ["sh", str(ROOT / "bench" / "cuda.sh")],
            cwd=tmp_path,
            env={"PATH": f"{path}:/usr/bin:/bin", "PYTHON": str(stub), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        calls = tmp_path / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return lines, done

    return run


def test_all_parts_in_their_order_with_the_time_they_took(script, tmp_path):
    calls, done = script()
    assert calls == [TESTS, LIMITS, GRID, *RESULTS] and done.returncode == 0, done.stderr
    assert "skipped: WHEELS names no folder" in done.stdout
    assert (tmp_path / ".venv-cuda" / "machine.pth").read_text() == ".venv-cuda\n"
    for part in ("peers", "tests", "limits", "grid", "results"):
        assert f"bench-cuda: {part}\n" in done.stdout and f"bench-cuda: {part} done, " in done.stdout
    assert "sanitize" not in done.stdout and done.stdout.rstrip().endswith("s in all")


def test_a_part_that_fails_stops_no_other_and_is_named_at_the_end(script):
    calls, done = script(cases="*pytest*|*'run --grid'*) exit 3 ;;")
    assert calls == [TESTS, LIMITS, GRID, *RESULTS] and done.returncode == 1
    assert "bench-cuda: grid failed with status 3" in done.stdout
    assert done.stderr == "bench-cuda: not all went well: tests grid\n"


def test_some_parts_another_grid_and_another_place_for_the_rows(script):
    calls, done = script(PARTS="grid limits", GRID="default", RAW="kept here")
    assert done.returncode == 0
    assert calls == [
        "-m bench run --grid default --raw kept here -m cuda",
        "-m bench.cuda_limits --raw kept here",
    ]


def test_a_part_is_stopped_at_the_limit_and_the_next_one_runs(script):
    calls, done = script(cases="*cuda_limits*) exec sleep 30 ;;", PARTS="limits results", LIMIT="1")
    assert calls == [LIMITS, *RESULTS] and done.returncode == 1
    assert "bench-cuda: limits stopped after 1 s" in done.stdout
    assert done.stderr == "bench-cuda: not all went well: limits\n"


def test_an_unknown_part_is_named_and_nothing_is_run(script, tmp_path):
    calls, done = script(PARTS="tests limit")
    assert calls == [] and done.returncode == 2 and "unknown part 'limit'" in done.stderr
    assert not (tmp_path / ".venv-cuda").exists()


def test_the_sanitizer_is_used_where_there_is_one(script, tmp_path):
    calls, done = script(PARTS="sanitize")
    assert calls == [] and done.returncode == 0 and "compute-sanitizer is not on PATH" in done.stdout
    tool = tmp_path / "tools" / "compute-sanitizer"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho "$PYTORCH_NO_CUDA_MEMORY_CACHING $*" > watched\n')
    tool.chmod(0o755)
    _, done = script(PARTS="sanitize", path=str(tool.parent))
    assert done.returncode == 0
    assert (tmp_path / "watched").read_text() == (
        "1 --tool memcheck --error-exitcode 1 .venv-cuda/bin/python -m bench.cuda_limits.sanitize\n"
    )


@pytest.mark.parametrize(
    ("options", "text"), [({"cuda": 1}, "no CUDA device here"), ({"has_torch": 1}, "has no torch")]
)
def test_without_torch_or_a_device_nothing_is_run(script, tmp_path, options, text):
    calls, done = script(**options)
    assert calls == [] and done.returncode == 1 and text in done.stderr
    assert not (tmp_path / ".venv-cuda").exists()


def test_packages_are_installed_first(script):
    calls, _ = script(PARTS="limits", WHEELS="/some/wheels")
    assert calls == ["bench/wheels/install.py /some/wheels", LIMITS]
    calls, done = script(PARTS="limits", WHEELS="gone", cases="bench/wheels/install.py*) exit 1 ;;")
    assert calls[-1] == "bench/wheels/install.py gone" and done.returncode == 1


def test_a_peer_that_cannot_be_built_is_no_failure(script):
    calls, done = script(PARTS="peers limits", WHEELS="/some/wheels", cases="*baselines.peers*) exit 1 ;;")
    built = "-m baselines.peers --cuda --wheels /some/wheels"
    assert calls == ["bench/wheels/install.py /some/wheels", built, LIMITS] and done.returncode == 0
    assert "some peers are missing" in done.stdout


def test_the_parts_are_commands_that_there_are():
    from bench.__main__ import COMMANDS
    from bench.grid import grid

    assert {"run", "tables", "plots", "report"} <= set(COMMANDS) and grid("cuda").kept
    done = subprocess.run(
        [sys.executable, *GRID.split(), "--collect-only", "--raw", "nowhere"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    expected = 5 if not torch.cuda.is_available() else 0  # 5: all were deselected, none is on a device
    assert done.returncode == expected, done.stdout + done.stderr


def test_the_kernels_are_run_at_sizes_that_no_block_divides():
    cases = list(sanitize.cases())
    assert {case[0] for case in cases} == set(MAPS) and {case[1] for case in cases} == {False, True}
    assert any(n % 8 and batch % 2 for _, _, (n, _), batch, _ in cases)
    assert sanitize.difference(cases[0], torch.device("cpu")) == 0.0


def test_paths_that_are_apart_are_named(monkeypatch, capsys):
    monkeypatch.setattr(sanitize, "difference", lambda case, device: None if case[1] else float("nan"))
    assert sanitize.main(torch.device("cpu")) == 1
    told = capsys.readouterr()
    assert told.err.count("the paths differ by nan") == len(list(sanitize.cases())) / 2


@pytest.mark.cuda
def test_the_paths_agree_on_a_device():
    assert sanitize.main(torch.device("cuda")) == 0


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_the_script_is_clean():
    done = subprocess.run(["shellcheck", str(ROOT / "bench/cuda.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
