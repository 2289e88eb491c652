"""The tool that finds host round trips: each kind is found, with its line; clean code gives nothing."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from constrained.parameterizations import _guard
from tests.round_trips import round_trips

X = torch.arange(12.0).view(4, 3) - 5
MASK = X > 0
SPD = torch.eye(3)


def put(x: Tensor, index: Tensor, value) -> None:
    x.clone()[index] = value


FOUND = {
    "item": lambda: X.sum().item(),
    "float": lambda: float(X.sum()),
    "int": lambda: int(X.sum()),
    "bool": lambda: bool(MASK.any()),
    "comparison": lambda: max(X.sum(), 0),
    "index": lambda: [0, 1][MASK.sum() - MASK.sum()],
    "tolist": lambda: X.tolist(),
    "numpy": lambda: X.numpy(),
    "array": lambda: np.asarray(X),
    "cpu": lambda: X.cpu(),
    "to cpu": lambda: X.to("cpu"),
    "to cpu by name": lambda: X.to(device="cpu"),
    "repr": lambda: repr(X),
    "equal": lambda: torch.equal(X, X),
    "allclose": lambda: torch.allclose(X, X),
    "nonzero": lambda: X.nonzero(),
    "where": lambda: torch.where(MASK),
    "masked_select": lambda: X.masked_select(MASK),
    "mask": lambda: X[MASK],
    "mask of rows": lambda: X[MASK[:, 0]],
    "put by a mask": lambda: put(X, MASK, X[0, 0].expand(6)),
    "put a number of the device by a mask": lambda: put(X, MASK, X[0, 0]),
    "unique": lambda: X.unique(),
    "unique_consecutive": lambda: X.unique_consecutive(),
    "repeat_interleave": lambda: X.repeat_interleave(MASK.sum(1), 0),
    "bincount": lambda: torch.bincount(MASK.sum(1)),
    "tensor": lambda: torch.tensor([1.0, 2.0]),
    "as_tensor": lambda: torch.as_tensor([1.0, 2.0]),
    "new_tensor": lambda: X.new_tensor([1.0]),
    "from_numpy": lambda: torch.from_numpy(np.ones(3)),
    "cholesky": lambda: torch.linalg.cholesky(SPD),
    "solve": lambda: torch.linalg.solve(SPD, SPD),
    "eigh": lambda: torch.linalg.eigh(SPD),
}
CLEAN = {
    "arithmetic": lambda: (X @ X.T + 1).relu().amax(-1, keepdim=True).clamp(min=0.5),
    "where": lambda: torch.where(MASK, X, 0.0),
    "put a number by a mask": lambda: put(X, MASK, 1.0),
    "put by rows": lambda: put(X, MASK.long().argmax(0), 1.0),
    "index_select": lambda: X.index_select(0, MASK.sum(0)),
    "constants on the device": lambda: torch.full_like(X, 2.0) + torch.arange(3, device=X.device),
    "another dtype": lambda: X.to(torch.float64).float(),
    "another's device": lambda: X.to(MASK.device),
    "a tensor as it is": lambda: torch.as_tensor(X),
    "so often, known": lambda: X.repeat_interleave(2, 0),
    "unchecked": lambda: torch.linalg.cholesky_ex(SPD),
    "sort": lambda: X.sort(-1).values.cumsum(-1),
}


class ReadsBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, v):
        return v * v.sum().item()


@pytest.mark.parametrize("kind", FOUND)
def test_each_kind_is_found(kind):
    with round_trips() as found:
        FOUND[kind]()
    assert found and all(entry.split(" at ")[1].startswith("tests/project/") for entry in found)


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_code_gives_nothing(kind):
    with round_trips() as found:
        CLEAN[kind]()
    assert found == []


def test_nothing_is_noted_outside_the_block():
    with round_trips() as found:
        pass
    X.sum().item(), torch.tensor(1.0), torch.from_numpy(np.ones(1))
    assert found == []


def test_one_call_is_one_entry_with_the_line_of_ours():
    with round_trips() as found:
        assert _guard.below(X, 100)
    assert len(found) == 1 and found[0].startswith("item at constrained/parameterizations/_guard.py:")


def test_backward_passes_are_seen():
    x = X.clone().requires_grad_()
    y = ReadsBackwards.apply(x).sum()
    with round_trips() as found:
        y.backward()
    assert [entry.split(" at ")[0] for entry in found] == ["item"]


def test_operators_written_in_python_are_seen_through():
    @torch.library.custom_op("constrained::reads_a_value", mutates_args=())
    def reads(x: Tensor) -> Tensor:
        return x * x.sum().item()

    with round_trips() as found:
        reads(X)
    assert [entry.split(" at ")[0] for entry in found] == ["item"]


def test_the_steps_of_an_optimiser_are_on_the_host():
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    with round_trips() as found:
        layer(X).sum().backward()
        optimizer.step()
    assert found == []


def test_another_device_than_the_one_asked_for_does_not_count():
    with round_trips("cuda") as found:
        for kind in FOUND.values():
            kind()
    assert found == []


@pytest.mark.cuda
def test_copies_between_host_and_device():
    x = X.cuda()
    for copy in (lambda: x + X.to(x.device), lambda: X.to("cuda"), lambda: X.copy_(x), lambda: x.to("cpu")):
        with round_trips("cuda") as found:
            copy()
        assert len(found) == 1
    with round_trips("cuda") as found:
        (x @ x.T).relu().to(torch.float64)
    assert found == []
