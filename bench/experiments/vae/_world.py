"""One process, or several under `torchrun` that share every batch; the first one alone touches files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from constrained.errors import ConstraintError, InvalidInputError

T = TypeVar("T")


class World:
    """The processes of this run.

    Args:
        device: "cpu" or "cuda"; with CUDA each process has a device of its own.
        rank, size: of this process, and how many there are.
    """

    def __init__(self, device: str, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        local = int(os.environ.get("LOCAL_RANK", rank)) if size > 1 else 0
        self.device = torch.device("cuda", local) if device == "cuda" else torch.device(device)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:  # (B,) -> about B / size
        """This process's part of a batch of indices; it may be empty."""
        return batch[self.rank :: self.size]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, everywhere the same."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def on_main(self, call: Callable[[], T]) -> T:
        """The result of `call` in the first process, in all of them; an error of ours, or of a disk, too."""
        if self.size == 1:
            return call()
        box: list = [None]
        if self.main:
            try:
                box = [call()]
            except (ConstraintError, OSError) as error:
                box = [error]
        dist.broadcast_object_list(box, src=0)
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]


@contextmanager
def world(device: str) -> Iterator[World]:
    """The world that `torchrun` describes in the environment, or the one process without it.

    Gradients meet through gloo on the CPU and NCCL on CUDA.

    Raises:
        InvalidInputError: there is no such device here.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidInputError("there is no CUDA device here; try --device cpu")
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device)
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield World(device, dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
