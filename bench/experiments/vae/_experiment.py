"""One run of the autoencoders: train each from where it stopped, judge it, time all, make the pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import torch
from torch import Tensor

from constrained.errors import ConstraintError, InvalidInputError, require

from ...data import Digits
from ...rows import Run
from .._checkpoints import load_checkpoint, save_checkpoint
from ._board import Board
from ._evaluation import elbo, exact, judge
from ._methods import PROJECTED, Method, method
from ._model import Vae
from ._noise import JUDGED, PRIOR, normal
from ._pictures import picture_rows
from ._settings import Settings
from ._timing import OSQP, fastest, projector, time_samples
from ._training import Job, Trainer
from ._world import World

T = TypeVar("T")
Row = dict[str, Any]

OK, FAILED = "ok", "failed"
CHECKPOINT_SECONDS = 5.0
"""A checkpoint follows the first epoch that ends this long after the last one, and the last epoch: writing
one after each would take a third of the time of the fast methods. A kill costs these seconds at most."""


class Experiment:
    """Adds rows for every training, then those of times and pictures; what is there is not repeated.

    Args:
        settings, digits: what to measure.
        run: where rows go; `None` in all processes but the first.
        checkpoints: folder of the checkpoints that belong to this run.
        world: the processes that share each batch.
        board: where curves go beside the run.
    """

    def __init__(
        self, settings: Settings, digits: Digits, run: Run | None, checkpoints: Path, world: World,
        board: Board,
    ) -> None:  # fmt: skip
        require("tqdm", "bench")
        self.settings, self.digits, self.run, self.world = settings, digits, run, world
        self.checkpoints, self.board = checkpoints, board
        self.train, self.val = digits.train.to(world.device), digits.val.to(world.device)
        self.rows: list[Row] = world.on_main(lambda: _trained(run))
        self.first: dict[str, Trainer] = {}
        """The trainings of seed 0 that were made in this process."""
        self.saved = monotonic()

    def measure(self) -> None:
        """Everything that is left to do."""
        self._train()
        networks = {name: self._network(name) for name in self.settings.methods if self._best(name)}
        self._add(lambda: self._timing(networks))
        self._add(lambda: picture_rows(networks, self.digits))

    def _add(self, make: Callable[[], list[Row]]) -> None:
        """Rows that the first process makes and writes."""

        def call() -> list[Row]:
            rows = make()
            if self.run is not None:
                self.run.add(*rows)
            return rows

        self.rows += self.world.on_main(call)

    def _train(self) -> None:
        from tqdm import tqdm

        total = len(self.settings.methods) * (len(self.settings.learning_rates) + self.settings.seeds - 1)
        silent = None if self.world.main else True
        with tqdm(desc="vae", total=total * self.settings.epochs, unit="epoch", disable=silent) as bar:
            for job in self._jobs():
                bar.set_postfix_str(str(job))
                self._measure(job, bar.update)

    def _jobs(self) -> Iterator[Job]:
        """The trainings in their order; those of later seeds are known once those of seed 0 are done."""
        for rate in self.settings.learning_rates:
            for name in self.settings.methods:
                yield Job(method(name), 0, rate)
        for seed in range(1, self.settings.seeds):
            for name in self.settings.methods:
                if (best := self._best(name)) is not None:
                    yield Job(method(name), seed, best["learning_rate"])

    def _best(self, name: str) -> Row | None:
        """The row of seed 0 with the largest validation ELBO, of the rates that did not fail."""
        return best_row(row for row in self.rows if row["method"] == name)

    def _measure(self, job: Job, tick: Callable[[int], object]) -> None:
        """One training with its rows; nothing if they are there."""
        if any(row["table"] == "vae" and _belongs(row, job) for row in self.rows):
            tick(self.settings.epochs)
            return
        try:
            trainer = self._trained(job, tick)
            rows = [*trainer.rows, self.world.on_main(lambda: self._result(trainer))]
        except ConstraintError as error:
            rows = [{"table": "vae", **job.key(), "status": FAILED, "reason": str(error)}]
            if self.world.main:
                print(f"{job} failed: {error}", file=sys.stderr)
        self._add(lambda: rows)
        if job.seed or rows[-1]["status"] == FAILED:
            self.world.on_main(lambda: self._checkpoint(job).unlink(missing_ok=True))

    def _trained(self, job: Job, tick: Callable[[int], object]) -> Trainer:
        """The trainer at its end, from its checkpoint if it has one."""
        trainer = self._resume(job)
        tick(max(0, len(trainer.rows) - 1))
        while not trainer.done:
            row = trainer.advance()
            tick(int(row["epoch"] > 0))
            if self.world.main:
                self.board.add(str(job), row)
            self.world.on_main(lambda: self._save(trainer))
        if job.seed == 0:
            self.first[str(job)] = trainer
        return trainer

    def _save(self, trainer: Trainer) -> None:
        """A checkpoint if one is due; the first process decides alone, clocks differ."""
        if not trainer.done and monotonic() - self.saved < CHECKPOINT_SECONDS:
            return
        self.saved = monotonic()
        state = trainer.state() | {"belongs": self._belongs_to(trainer.job)}
        save_checkpoint(self._checkpoint(trainer.job), state)

    def _belongs_to(self, job: Job) -> dict[str, Any]:
        """What a checkpoint must agree in to be gone on from."""
        recipe = self.settings.recipe
        return job.key() | vars(recipe) | {"images": self.digits.fingerprint()}

    def _resume(self, job: Job) -> Trainer:
        """A trainer at the last checkpoint; one that is damaged or of other settings is named and left."""
        trainer = self._start(job)
        state = self.world.on_main(lambda: self._load(job))
        if state is not None:
            try:
                trainer.restore(state)
            except (RuntimeError, KeyError, ValueError, TypeError) as error:
                self._complain(f"the checkpoint {self._checkpoint(job)} does not fit ({error})", job)
                trainer = self._start(job)
        return trainer

    def _start(self, job: Job) -> Trainer:
        return Trainer(job, self.settings.recipe, self.train, self.val, self.world)

    def _load(self, job: Job) -> dict[str, Any] | None:
        """The state in the checkpoint of `job`, `None` without a good one."""
        path = self._checkpoint(job)
        if not path.exists():
            return None
        try:
            state = load_checkpoint(path)
        except InvalidInputError as error:
            return self._complain(str(error), job)
        expected, found = self._belongs_to(job), state.get("belongs")
        if found != expected:
            return self._complain(
                f"the checkpoint {path} belongs to another configuration: expected {expected}, found {found}",
                job,
            )
        return state

    def _complain(self, what: str, job: Job) -> None:
        if self.world.main:
            print(f"{what}; {job} is trained from the start", file=sys.stderr)

    def _checkpoint(self, job: Job) -> Path:
        return self.checkpoints / f"{job}.pt"

    def _result(self, trainer: Trainer) -> Row:
        """What a training reached: ELBO of validation and test images, violations, plain and strict."""
        job, settings, network = trainer.job, self.settings, trainer.network
        y = self.digits.test[: settings.judged_samples].to(self.world.device)
        noise = self._noise(len(y))
        strict = self._strict(network)
        judged = {} if strict is None else judge(strict, y, noise)
        return {
            "table": "vae",
            **job.key(),
            "status": OK,
            "reason": "",
            "train_seconds": trainer.seconds,
            "parameters": sum(value.numel() for value in network.parameters()),
            **elbo(network, self.val, settings.samples).columns("val"),
            **elbo(network, self.digits.test.to(self.world.device), settings.samples).columns("test"),
            **judge(network, y, noise, self._project(job.method)),
            **{f"strict_{name}": value for name, value in judged.items()},
        }

    def _project(self, chosen: Method) -> Callable[[Tensor], Tensor]:
        """How the images that are judged come into the set: as a user would bring them there."""
        return projector(OSQP) if chosen.projects else exact

    def _noise(self, size: int) -> Tensor:
        return normal(size, self.settings.latent, JUDGED, PRIOR).to(self.world.device)

    def _strict(self, network: Vae) -> Vae | None:
        """The same weights with the guarantee, for methods whose constraint is part of the network."""
        if not network.method.embedded:
            return None
        with torch.random.fork_rng(devices=[]):  # its own first weights are drawn, and replaced
            strict = Vae(network.method, self.settings.latent, self.settings.hidden, strict=True)
        strict.load_weights(network.weights())
        return strict.to(self.world.device)

    def _network(self, name: str) -> Vae:
        """The network of seed 0 at its best learning rate; trained again where its checkpoint is lost."""
        best = self._best(name)
        assert best is not None
        job = Job(method(name), 0, best["learning_rate"])
        trainer = self.first.get(str(job)) or self._trained(job, lambda epochs: None)
        return trainer.network

    def _timing(self, networks: dict[str, Vae]) -> list[Row]:
        """Times of the methods whose images are in the set, and of the network without any step."""
        chosen = {name: network for name, network in networks.items() if network.method.judged == "images"}
        strict = {name: self._strict(network) for name, network in chosen.items()}
        noise = self._noise(self.settings.timed_samples)
        best = OSQP
        if PROJECTED in chosen:
            with torch.inference_mode():
                best = fastest(self.settings.projections, chosen[PROJECTED].sample(noise))
        known = {name: network for name, network in strict.items() if network is not None}
        return time_samples(chosen, known, noise, best)


def best_row(rows: Any) -> Row | None:
    """Of rows of a method, that of seed 0 with the largest validation ELBO, the first of equals."""
    done = [row for row in rows if row["table"] == "vae" and row["seed"] == 0 and row["status"] == OK]
    return max(done, key=lambda row: row["val_elbo"], default=None)


def _belongs(row: Row, job: Job) -> bool:
    return all(row[name] == value for name, value in job.key().items())


def _trained(run: Run | None) -> list[Row]:
    """The rows of trainings; those of times and pictures that an earlier call left are made anew."""
    assert run is not None
    run.rows[:] = [row for row in run.rows if row["table"] in ("vae", "vae_training")]
    run.add()  # the file exists from here on
    return list(run.rows)
