"""What the peers written in torch share: arrays, and a gradient by autograd."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import AbstractPeer, cotangent

if TYPE_CHECKING:
    from torch import Tensor


class AbstractTorchPeer(AbstractPeer):
    """A peer whose `forward` is differentiable torch code."""

    def tensor(self, values: np.ndarray) -> Tensor:
        """In the dtype of the peer."""
        import torch

        return torch.tensor(np.asarray(values), dtype=getattr(torch, self.dtype))

    def load(self, y: np.ndarray) -> Tensor:
        """A tensor."""
        return self.tensor(y)

    def unload(self, x: Tensor) -> np.ndarray:
        """An array."""
        return x.detach().numpy()

    @abstractmethod
    def forward(self, state: Any, y: Tensor) -> Tensor:
        """(q, n) -> (q, n)."""

    def solve(self, state: Any, y: Tensor, backward: bool) -> tuple[Tensor, Tensor | None]:
        """Forward alone without gradients, or forward and backward."""
        import torch

        if not backward:
            with torch.no_grad():
                return self.forward(state, y), None
        y = y.detach().requires_grad_()
        x = self.forward(state, y)
        weights = torch.as_tensor(cotangent(x.shape[1])).to(x.dtype)
        (gradient,) = torch.autograd.grad(x, y, weights.expand_as(x))
        return x, gradient
