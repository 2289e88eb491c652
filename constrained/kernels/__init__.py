"""Fused kernels for CUDA: `shift`, `gauge`, `half_spaces`, `refined` and sparse `rays` as operators of torch.

What lies between the points and the values stays in registers. Where rows are few (`held_whole`), `shift`,
`gauge` and `half_spaces` read each point once and write each value once; elsewhere a point is read a second
time, from cache if those of all programs fit there, and products take longer than either. `refined` is
the same in inference, and in training two kernels, its steps and then the move. `rays` of generators that
are mostly zeros read latent numbers where an entry needs them, see `combine.py`.

They are operators `torch.ops.constrained.*`: one node of a graph, with rules for shapes, autograd and
`torch.func.vmap`. On CUDA they run Triton (the extra "cuda"; CUDA builds of torch for Linux bring it), on the
CPU the formula in operators of torch; the maps call them on CUDA only, where `usable` says so. A module on
CUDA keeps its rows a second time, laid out as the kernels read them, in a buffer that is not saved.

    with constrained.kernels.fused(False): ...      the plain path; or CONSTRAINED_FUSED=0 in the environment

Double precision, `strict="tight"`, constraints of each sample, more than 4096 features or rows (128 rows in
`refined`), and sets whose products the library makes faster take the plain path. An exported program needs
`import constrained` where it is loaded. Under TRITON_INTERPRET=1 the operators run the kernels on CPU
tensors, for tests.
"""

from ._choice import MOST_REGISTERS, fused, held_whole, model, usable
from ._registration import by_rows
from .combine import combine
from .half_spaces import half_spaces
from .move import move
from .pull_and_move import pull_and_move
from .refined import pull

__all__ = [
    "MOST_REGISTERS",
    "by_rows",
    "combine",
    "fused",
    "half_spaces",
    "held_whole",
    "model",
    "move",
    "pull",
    "pull_and_move",
    "usable",
]
