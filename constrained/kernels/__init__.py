"""Fused kernels for CUDA: `shift`, `gauge`, `half_spaces` and `refined` as operators of torch.

Each map reads its points once and writes its values once, with what lies between in registers. They are
operators `torch.ops.constrained.*`: one node of a graph, with rules for shapes, autograd and
`torch.func.vmap`. On CUDA they run Triton (the extra "cuda"; CUDA builds of torch for Linux bring it), on the
CPU the formula in operators of torch; the maps call them on CUDA only, where `usable` says so.

    with constrained.kernels.fused(False): ...      the plain path; or CONSTRAINED_FUSED=0 in the environment

Double precision, `strict="tight"`, constraints of each sample, more than 4096 features or rows, and sets
whose products the library makes faster take the plain path. An exported program needs `import constrained`
where it is loaded. Under TRITON_INTERPRET=1 the operators run the kernels on CPU tensors, for tests.
"""

from ._choice import MOST_REGISTERS, fused, model, usable
from ._registration import by_rows
from .half_spaces import half_spaces
from .move import move
from .refined import pull

__all__ = ["MOST_REGISTERS", "by_rows", "fused", "half_spaces", "model", "move", "pull", "usable"]
