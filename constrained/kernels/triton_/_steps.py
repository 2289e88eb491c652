# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
"""What both kernels of `refined` share: its steps, with v of a block of samples in registers."""

import triton
import triton.language as tl

from ._level import relu


@triton.jit
def multipliers(
    q, squares, start, factor, gram, inverse_depths, m, steps, keep,
    ROWS: tl.constexpr, SHIFTING: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """`t mu` after all steps, for `q = A x + bias` and |e|^2 or |x - c|^2."""
    i = tl.arange(0, ROWS)
    real = i < m
    square = i[:, None] * m + i[None, :]
    both = real[:, None] & real[None, :]
    s = tl.dot(q, tl.load(start + square, mask=both, other=0.0), input_precision=PRECISION)
    s = tl.where(real[None, :], s, 0.0)
    v = s
    again = tl.load(factor + square, mask=both, other=0.0)
    for _ in range(1, steps):
        v = tl.dot(tl.abs(v), again, s + keep * v, input_precision=PRECISION)
        v = tl.where(real[None, :], v, 0.0)
    mu = relu(v)
    products = tl.dot(mu, tl.load(gram + square, mask=both, other=0.0), input_precision=PRECISION)
    squared = tl.sum(mu * products, 1)
    depths = tl.load(inverse_depths + i, mask=real, other=0.0)[None, :]
    level = relu(tl.max(tl.where(real[None, :], q * depths, -float("inf")), 1))
    size = tl.sqrt_rn(squares)
    farthest = level * size if SHIFTING else size * tl.div_rn(level, 1.0 + level)
    too_far = squared > farthest * farthest
    t = tl.where(too_far, tl.div_rn(farthest, tl.sqrt_rn(tl.where(too_far, squared, 1.0))), 1.0)
    return t[:, None] * mu
