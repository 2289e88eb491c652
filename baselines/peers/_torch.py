"""What the peers written in torch share: arrays, a gradient by autograd, and the device.

On CUDA the constants and the points lie there before the clock starts, and it stops when the device is idle.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from ._base import AbstractPeer, cotangent

if TYPE_CHECKING:
    from torch import Tensor


class AbstractTorchPeer(AbstractPeer):
    """A peer whose `forward` is differentiable torch code."""

    devices = ("cpu", "cuda")
    weights: Tensor  # (n,)

    def start_device(self) -> str | None:
        """On CUDA: its context and what torch sets up at a first product."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            return f"its torch {torch.__version__} sees no CUDA device"
        if self.device == "cuda":
            square = torch.ones(64, 64, device=self.device)
            self.wait(square @ square)
        return None

    def tensor(self, values: np.ndarray, dtype: str = "") -> Tensor:
        """In the dtype of the peer or another one, on its device."""
        import torch

        return torch.tensor(np.asarray(values), dtype=getattr(torch, dtype or self.dtype), device=self.device)

    def load(self, y: np.ndarray) -> Tensor:
        """A tensor; what the outputs are weighted with is loaded as well."""
        self.weights = self.tensor(cotangent(y.shape[1]))
        return self.tensor(y)

    def unload(self, x: Tensor) -> np.ndarray:
        """An array."""
        return x.detach().cpu().numpy()

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
        (gradient,) = torch.autograd.grad(x, y, self.weights.expand_as(x))
        return x, gradient

    def wait(self, result: Any) -> Any:
        """Once the device is idle."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()
        return result
