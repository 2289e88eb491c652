"""A method set up for one set, dtype and device, with one face for the checks whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines import DifferentiableProjection
from baselines.peers import PeerProcess, tuning_points

from ..methods import AbstractMethod, AbstractModuleMethod, Peer, Projected, Target
from ..problems import Instance

SETUP_SECONDS, PEER_SECONDS = 20.0, 60.0


@dataclass
class Subject:
    """What the checks call.

    Attributes:
        call: (*batch, in_features) -> (*batch, n); with `batches` false, (q, in_features) with q > 0 only.
        in_features: the width of the input.
        projects: whether the input is a point of n features that is brought into the set.
        module: the torch module, for a method that is one.
        gradient: (q, in_features) -> that of `sum_ij x_ij w_j`, w = `weights(n)`; None: it has none.
        close: to be called at the end.
    """

    call: Callable[[Tensor], Tensor]
    in_features: int
    projects: bool
    batches: bool = True
    module: nn.Module | None = None
    gradient: Callable[[Tensor], Tensor] | None = None
    close: Callable[[], None] = lambda: None


def weights(n: int) -> Tensor:  # (n,) float64
    """What the outputs are weighted with before they are differentiated; those of `PeerProcess`."""
    return torch.cos(torch.arange(n, dtype=torch.float64))


def set_up(method: AbstractMethod, instance: Instance, dtype: torch.dtype, device: torch.device) -> Subject:
    """The method ready for the set; raises what its own set-up raises."""
    if isinstance(method, AbstractModuleMethod):
        return _of_module(method, instance, dtype, device)
    if isinstance(method, Projected):
        return _of_projection(method, instance)
    if isinstance(method, Peer):
        return _of_peer(method, instance, dtype, device)
    ready = method.prepare(instance, Target(device, dtype, SETUP_SECONDS, PEER_SECONDS))
    return Subject(ready.run, ready.in_features, ready.projects, batches=False, close=ready.close)


def _of_module(
    method: AbstractModuleMethod, instance: Instance, dtype: torch.dtype, device: torch.device
) -> Subject:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights, where the method has some
        module, width = method.build(instance.polyhedron, SETUP_SECONDS)
    module = module.to(device, dtype).eval()

    def call(z: Tensor) -> Tensor:
        with torch.no_grad():
            return module(z)

    projects = method.projects(instance.polyhedron, width)
    return Subject(call, width, projects, module=module, gradient=_differentiate(module))


def _of_projection(method: Projected, instance: Instance) -> Subject:
    project = method.entry(instance.polyhedron, tol=method.setting)
    layer = DifferentiableProjection(project)
    n = instance.polyhedron.n
    return Subject(lambda y: project(y).x, n, projects=True, gradient=_differentiate(layer))


def _of_peer(method: Peer, instance: Instance, dtype: torch.dtype, device: torch.device) -> Subject:
    P = instance.polyhedron
    method.entry.check_available()
    name: Any = str(dtype).removeprefix("torch.")
    tuning = instance.points.mean(0) + tuning_points(P.n, float(instance.points.std()))
    process = PeerProcess(method.entry, P, name, tuning, PEER_SECONDS, device.type)

    def call(y: Tensor) -> Tensor:
        return torch.from_numpy(np.array(process.run(y.cpu().numpy())[0])).to(y.device)

    def gradient(y: Tensor) -> Tensor:
        return torch.from_numpy(np.array(process.run(y.cpu().numpy(), backward=True)[2])).to(y.device)

    differentiable = gradient if method.entry.differentiable else None
    projects = method.entry.kind == "projection"
    return Subject(call, P.n, projects, batches=False, gradient=differentiable, close=process.close)


def _differentiate(module: nn.Module) -> Callable[[Tensor], Tensor]:
    def gradient(z: Tensor) -> Tensor:
        z = z.detach().requires_grad_()
        x = module(z)
        return torch.autograd.grad((x * weights(x.shape[-1]).to(x)).sum(), z)[0]

    return gradient
