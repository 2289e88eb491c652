"""Training step: forward and backward through a linear layer and a constrained one, and nothing else.

    loss = mean(layer(W x + c)^2),    gradients with respect to x, W and c

No optimiser, no data. The yardstick is Linear(n, n) alone, so that the ratio to it says what the
layer adds to a network that ends in n features anyway; a map with k latent features has W (k, n). The
paper's layer begins with a linear layer of its own, which takes the place of that one. Of a projection the
derivative is `DifferentiableProjection`'s. Of a peer, forward and backward of its layer alone are timed, in
its own process and without the linear layer, which flatters it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines import PROJECTIONS, AbstractProjection, DifferentiableProjection
from baselines.peers import PEERS

from .methods import METHODS, AbstractMethod, AbstractModuleMethod, Peer, Prepared, Target
from .problems._base import Instance

PROJECTED = ("osqp", "daqp", "batched_active_set")
"""The paper's baseline, and the two that are the fastest of the suite on most problems."""


class TrainingStep(AbstractMethod):
    """The training step with a method as the last layer, under the method's name."""

    def __init__(self, method: AbstractModuleMethod) -> None:
        super().__init__(method.name)
        self.method, self.role, self.feasible = method, method.role, method.feasible
        self.package = method.package

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The network in training mode, its weights drawn from a seed of their own."""
        n = instance.polyhedron.n
        layer, width = self.method.build(instance.polyhedron, target.setup_seconds)
        linear = [] if self.method.begins_linear else [_linear(n, width)]
        return Prepared(_step(nn.Sequential(*linear, layer), target), n, projects=False)


class ProjectionStep(AbstractMethod):
    """The training step with a projection, differentiated through, after Linear(n, n)."""

    role = "projection"

    def __init__(self, entry: type[AbstractProjection]) -> None:
        super().__init__(entry.name)
        self.entry, self.host = entry, not entry.tensors

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """See `TrainingStep`."""
        n = instance.polyhedron.n
        layer = DifferentiableProjection(self.entry(instance.polyhedron))
        step = _step(nn.Sequential(_linear(n, n), layer), target)
        return Prepared(step, n, projects=False, bounded=True, batched=self.entry.batched)


def _linear(n: int, width: int) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(n, width)


def _step(network: nn.Module, target: Target) -> Callable[[Tensor], Tensor]:
    network = network.to(target.device, target.dtype).train()
    weights = tuple(network.parameters())

    def run(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        output = network(x)
        torch.autograd.grad(output.square().mean(), (x, *weights))
        return output.detach()

    return run


STEPS: tuple[AbstractMethod, ...] = (
    *(
        TrainingStep(method)
        for method in METHODS
        if isinstance(method, AbstractModuleMethod) and not method.plain and method.name != "floor"
    ),
    *(ProjectionStep(entry) for entry in PROJECTIONS if entry.name in PROJECTED),
    *(Peer(entry, backward=True) for entry in PEERS),
)
"""The yardstick Linear(n, n) and every embedded map, the strict variants aside, which differ in the forward
pass alone; projections; peers."""
