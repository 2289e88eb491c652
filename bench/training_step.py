"""Training step: forward and backward through a linear layer and a constrained one, and nothing else.

    loss = mean(layer(W x + c)^2),    gradients with respect to x, W and c

No optimiser, no data. The yardstick is Linear(n, n) alone, so that the ratio to it says what the
layer adds to a network that ends in n features anyway; a map with k latent features has W (k, n). The
paper's layer begins with a linear layer of its own, which takes the place of that one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .methods import METHODS, AbstractMethod, AbstractModuleMethod, Prepared, Target
from .problems._base import Instance


class TrainingStep(AbstractMethod):
    """The training step with a method as the last layer, under the method's name."""

    def __init__(self, method: AbstractModuleMethod) -> None:
        super().__init__(method.name)
        self.method, self.role, self.feasible = method, method.role, method.feasible

    def prepare(self, instance: Instance, target: Target) -> Prepared:
        """The network in training mode, its weights drawn from a seed of their own."""
        n = instance.polyhedron.n
        layer, width = self.method.build(instance.polyhedron, target.setup_seconds)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = layer if self.method.begins_linear else nn.Sequential(nn.Linear(n, width), layer)
        network = network.to(target.device, target.dtype).train()
        weights = tuple(network.parameters())

        def run(x: Tensor) -> Tensor:
            x = x.detach().requires_grad_()
            output = network(x)
            torch.autograd.grad(output.square().mean(), (x, *weights))
            return output.detach()

        return Prepared(run, n, projects=False)


STEPS: tuple[AbstractMethod, ...] = tuple(
    TrainingStep(method)
    for method in METHODS
    if isinstance(method, AbstractModuleMethod) and not method.plain and method.name != "floor"
)
"""The yardstick Linear(n, n) and every embedded map; strict variants differ in the forward pass alone."""
