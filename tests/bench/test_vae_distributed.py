"""Two processes that share every batch make the steps of one process, up to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.experiments.vae import _timing, command
from bench.experiments.vae._settings import Places, Settings
from bench.experiments.vae._world import World
from bench.rows import Run
from constrained.errors import InvalidInputError

pytest.importorskip("osqp", reason="osqp is optional")
pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available() or not torch.distributed.is_gloo_available(),
    reason="this torch has no gloo",
)

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "methods": ["half_spaces", "nonnegative_code"], "seeds": 1, "learning_rates": [4e-3], "epochs": 3,
    "batch_size": 16, "latent": 3, "hidden": 8, "samples": 1, "judged_samples": 4, "timed_samples": 2,
    "projections": [],
}  # fmt: skip
SCRIPT = """
import json, sys
from bench.experiments.vae import _timing, command
from bench.experiments.vae._settings import Places, Settings
from pathlib import Path

_timing.BUDGET = 1e-4
given = {name: tuple(v) if isinstance(v, list) else v for name, v in json.loads(sys.argv[3]).items()}
command.parse = lambda argv: (Settings(sys.argv[1], **given), Places(Path(sys.argv[2])))
sys.exit(command.main([]))
"""
IMAGES = 66
"""65 are trained on: the last batch is a single image, the second process has none of it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """`idx:DIR` with noise in the place of digits."""
    folder, rng = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for prefix, size in (("train", IMAGES), ("t10k", 12)):
        images = 255 * rng.random((size, 28, 28))
        for name, array in (("images-idx3", images), ("labels-idx1", np.arange(size) % 10)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    return f"idx:{folder}"


def alone(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run of one process, this one."""
    monkeypatch.setattr(_timing, "BUDGET", 1e-4)
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in SETTINGS.items()}
    found = command.measure(Settings(source, **given), Places(folder / "raw"))
    assert found is not None
    return found


def together(folder: Path, source: str) -> Run:
    """The run of two processes under torchrun."""
    folder.mkdir()
    (folder / "script.py").write_text(SCRIPT)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(folder / "script.py"), source, str(folder / "raw"), json.dumps(SETTINGS)]
    done = subprocess.run(
        [sys.executable, *torchrun, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("rows: ") == 1
    (path,) = (folder / "raw").glob("*.json")  # a single file: the first process alone writes
    return Run.read(path)


def numbers(row: dict) -> dict:
    """The terms of the ELBO, without what is missing before training."""
    terms = ("elbo", "reconstruction", "divergence")
    return {name: row[name] for name in row if name.endswith(terms) and row[name] is not None}


def test_two_processes_reach_what_one_reaches_at_the_same_batch(source, tmp_path, monkeypatch):
    one, two = alone(tmp_path / "one", source, monkeypatch), together(tmp_path / "two", source)
    assert two.finished and len(one.rows) == len(two.rows)
    compared = 0
    for a, b in zip(one.rows, two.rows, strict=True):
        assert numbers(b) == pytest.approx(numbers(a), rel=1e-5, abs=1e-5), a["table"]
        compared += len(numbers(a))
    assert compared > 50
    assert {row["table"] for row in two.rows} == {"vae", "vae_training", "vae_timing", "vae_images"}


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_the_first_process_is_raised_by_all(monkeypatch, rank):
    sent = [None] if rank == 0 else [InvalidInputError("no digits")]

    def broadcast(box, src):
        box[:] = box if rank == 0 else sent

    def fail():
        raise InvalidInputError("no digits")

    monkeypatch.setattr("bench.experiments.vae._world.dist.broadcast_object_list", broadcast)
    with pytest.raises(InvalidInputError, match="no digits"):
        World("cpu", rank, 2).on_main(fail)


def test_parts_of_a_batch_are_the_batch():
    batch = torch.arange(5)
    parts = [World("cpu", rank, 3).share(batch) for rank in range(3)]
    assert sorted(torch.cat(parts).tolist()) == batch.tolist()
    assert [len(part) for part in parts] == [2, 2, 1]
    assert len(World("cpu", 1, 2).share(batch[:1])) == 0
    assert World("cpu").on_main(lambda: 3) == 3 and World("cpu").main
