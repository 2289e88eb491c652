"""Peers on CUDA: what can be told without a device, and on one that each gives what it gives on the CPU."""

import inspect
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.peers import PEERS, PeerDeviceError, PeerProcess, Problem, _environments, peer
from baselines.peers import __main__ as command
from baselines.peers._process import _variables
from baselines.peers._torch import AbstractTorchPeer
from baselines.peers._versions import versions
from baselines.peers._worker import ROUND_SECONDS, Worker
from bench.measure import _status
from bench.methods import Peer, Target
from bench.problems import family
from constrained.errors import InvalidInputError, MissingDependencyError
from constrained.polyhedron import Polyhedron
from tests.baselines.fake_peer import FakePeer
from tests.baselines.pretended_cuda import pretended_cuda
from tests.baselines.test_peers import NEAR, SETS, SLOPE, needed, points

BOX = Polyhedron(np.eye(3), np.ones(3))
HELPER = Path(__file__).with_name("pretended_peer.py")
NAMES = [entry.name for entry in PEERS]


# The device on its way to the peer.


def test_the_device_arrives():
    with PeerProcess(FakePeer, BOX, device="cuda") as process:
        assert process.device == "cuda" and process.tuned["device"] == "cuda"
    with PeerProcess(FakePeer, BOX) as process:
        assert process.device == "cpu" and process.tuned["device"] == "cpu"


def test_another_device_is_refused(monkeypatch):
    with pytest.raises(InvalidInputError, match=r"device must be one of 'cpu', 'cuda'; found 'mps'"):
        PeerProcess(FakePeer, BOX, device="mps")
    monkeypatch.setattr(FakePeer, "devices", ("cpu",))
    with pytest.raises(PeerDeviceError, match=r"'fake' computes on cpu alone"):
        PeerProcess(FakePeer, BOX, device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", NAMES)
def test_without_a_device_there_is_a_sentence_and_no_answer(name):
    entry = needed(name)
    with pytest.raises(PeerDeviceError, match=f"peer '{name}' cannot compute on 'cuda': its .* sees no"):
        PeerProcess(entry, SETS["cone" if name != "linsat" else "simplex"], device="cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_row_on_cuda_is_skipped_with_the_sentence():
    instance = family("random_cone").generate((8, 4), 2)
    with pytest.raises(PeerDeviceError, match="sees no CUDA device") as raised:
        Peer(peer("dc3")).prepare(instance, Target(torch.device("cuda"), torch.float32, 5.0))
    assert isinstance(raised.value, MissingDependencyError) and _status(raised.value) == "skipped"


def test_jax_leaves_memory_to_others_and_is_told_the_device():
    on_cuda = _variables({}, threads=2, isolated=True, device="cuda")
    assert on_cuda["JAX_PLATFORMS"] == "cuda,cpu"
    assert on_cuda["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert _variables({}, threads=2, isolated=True)["JAX_PLATFORMS"] == "cpu"


# The clock.


class Logged:
    """A peer that writes down what is asked of it."""

    def __init__(self, device):
        self.device, self.log = device, []

    def solve(self, state, points, backward):
        self.log.append("solve")
        return points, None

    def wait(self, result):
        self.log.append("wait")
        return result


def timed(device, message, seconds):
    worker = Worker()
    worker.peer, worker.seconds = Logged(device), seconds
    worker.time({"backward": False} | message)
    return worker.peer.log


def test_the_clock_stops_when_the_device_is_idle():
    assert timed("cpu", {"calls": None}, ROUND_SECONDS / 4) == ["solve", "wait"]
    assert timed("cuda", {"calls": None}, ROUND_SECONDS / 4) == [*["solve"] * 4, "wait"]
    assert timed("cuda", {"calls": None}, 2 * ROUND_SECONDS) == ["solve", "wait"]
    assert timed("cuda", {"calls": 1}, ROUND_SECONDS / 4) == ["solve", "wait"]


def test_nothing_is_on_its_way_when_the_clock_starts(tmp_path):
    np.savez(tmp_path / "points.npz", points=points(2, 3))
    worker = Worker()
    worker.peer = Logged("cuda")
    worker.peer.load = worker.peer.unload = lambda x: x
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("points", "answer")}
    worker.run({"backward": False} | paths)
    assert worker.peer.log == ["solve", "wait"] * 2


def test_cold_caches_are_cold_for_a_single_call(monkeypatch):
    class Process:
        def __init__(self, *arguments):
            assert arguments[-1] == "cuda"

        def time(self, calls=None):
            return calls

        def close(self):
            pass

    monkeypatch.setattr("bench.methods.PeerProcess", Process)
    instance = family("random_cone").generate((8, 4), 2)
    for cold, calls in ((False, None), (True, 1)):
        target = Target(torch.device("cuda"), torch.float32, 5.0, cold=cold)
        clock = Peer(peer("dc3")).prepare(instance, target).clock
        assert clock is not None and clock() == calls


def test_torch_waits_for_its_device_alone(monkeypatch):
    log = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("idle"))
    entry = peer("hardnet_aff")
    assert entry("float32", 1, "cpu").wait("x") == "x" and log == []
    assert entry("float32", 1, "cuda").wait("x") == "x" and log == ["idle"]


# The peers in torch on a device that is not there.


def test_tensors_of_two_devices_do_not_meet():
    with pretended_cuda():
        x, y = torch.ones(3, device="cuda"), torch.ones(3)
        assert x.is_cuda and (2 * x + y.to("cuda")).cpu().tolist() == [3.0] * 3
        with pytest.raises(RuntimeError, match="of the host meets"):
            x + y


@pytest.mark.parametrize("name", [entry.name for entry in PEERS if issubclass(entry, AbstractTorchPeer)])
def test_a_peer_in_torch_makes_its_tensors_on_the_device(name):
    entry = needed(name)
    arguments = [_environments.python(entry.environment), "-P", str(HELPER), inspect.getfile(entry)]
    done = subprocess.run([*arguments, entry.__name__], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found and max(found.values()) < 1e-12, found


# Environments without a network.


def wheel(folder, name, text=""):
    """A wheel with one module."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


class Small(FakePeer):
    environment, requires, reads = "small", ("for_cpu", "for_cuda"), ("for_cpu", "numpy")


def test_an_environment_from_a_folder_of_wheels(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(_environments, "REQUIREMENTS", tmp_path)
    monkeypatch.setenv(_environments.VARIABLE, str(tmp_path / "peers"))
    (tmp_path / "small.txt").write_text("# A comment.\nfor_cpu==1.0\ntorch==0.0.1\n")
    (tmp_path / "small.cuda13.txt").write_text("for_cuda==1.0\n")
    assert _environments.environments() == ["small"]
    wheel(tmp_path, "for_cpu")

    assert _environments.build("small", str(tmp_path), cuda="13") is None
    assert "small: for_cuda==1.0 left out: ERROR: No matching distribution" in capsys.readouterr().out
    assert "No module named 'for_cuda'" in (_environments.probe(Small) or "")
    with pytest.raises(MissingDependencyError, match="lacks something: fake: .*'for_cuda'"):
        Small.check_available()

    wheel(tmp_path, "for_cuda")  # what was left out is tried again
    assert _environments.build("small", str(tmp_path), cuda="13") is None
    assert _environments.probe(Small) is None
    Small.check_available()
    assert versions(Small) == {"for_cpu": "1.0", "numpy": np.__version__}  # numpy: of this interpreter
    _environments._call(_environments.python("small"), "-c", "import for_cpu, numpy")

    capsys.readouterr()
    assert _environments.build("small", str(tmp_path), cuda="13") is None
    assert "there already" in capsys.readouterr().out


def test_an_environment_for_cuda_needs_a_torch_for_cuda(monkeypatch, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SystemExit):
        command.main(["--cuda"])
    assert "torch of this interpreter is not built for CUDA" in capsys.readouterr().err
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    asked = []
    monkeypatch.setattr(command, "build", lambda *arguments: asked.append(arguments) or "a reason")
    monkeypatch.setattr(command, "probe", lambda entry: None)
    assert command.main(["--cuda", "--wheels", "folder"]) == 1
    assert asked == [("jax", "folder", "13"), ("torch", "folder", "13")]


# On a device.

SERVED = [
    (entry.name, case)
    for entry in PEERS
    for case, polyhedron in SETS.items()
    if entry.accepts(Problem.of(polyhedron)) is None
]


@pytest.mark.cuda
@pytest.mark.parametrize(("name", "case"), SERVED)
def test_a_peer_gives_the_same_on_both_devices(name, case):
    entry, P = needed(name), SETS[case]
    y, found = points(24, P.n), {}
    for device in ("cpu", "cuda"):
        try:
            with PeerProcess(entry, P, limit=300, device=device) as process:
                found[device] = process.run(y, backward=True)
                assert process.time() > 0
        except PeerDeviceError as error:
            pytest.skip(str(error))
    (x, _, gradient), (there, _, there_gradient) = found["cpu"], found["cuda"]
    assert there == pytest.approx(x, abs=2 * NEAR.get(name, 2e-5))
    assert there_gradient == pytest.approx(gradient, abs=2 * SLOPE.get(name, 1e-3))


@pytest.mark.cuda
def test_jax_takes_what_it_needs_of_the_memory():
    entry, (before, total) = needed("pinet"), torch.cuda.mem_get_info()
    try:
        with PeerProcess(entry, SETS["cone"], limit=300, device="cuda") as process:
            process.run(points(24, SETS["cone"].n))
            assert before - torch.cuda.mem_get_info()[0] < total / 4  # by default it takes 3 / 4
    except PeerDeviceError as error:
        pytest.skip(str(error))
