"""Rounding: margins that make a strict map exact in floating point; the proof is docs/strict.md.

Notation of Higham, Accuracy and Stability of Numerical Algorithms, ch. 2 and 3: unit roundoff u and
gamma_k = k u / (1 - k u), which bounds the error of an inner product of k terms in any order, with or
without fused multiply-add. A strict map raises the level it moves a point by from q to

    h = q + slope ||x|| + offset,        then scales its step by gain,

and these three numbers follow from the sizes of the constants and from three dtypes: the one in which
residuals are computed, the one in which the step is computed, the one in which the value is stored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

STORES = {
    torch.float32: (torch.float16, torch.bfloat16, torch.float32),
    torch.float64: (torch.float16, torch.bfloat16, torch.float32, torch.float64),
}
"""For each dtype of the work, the dtypes in which a value may be stored."""
MAX_LOSS = 0.5
"""The largest part of a step that rounding may take away; a set that loses more is too thin."""
DOUBLE = 2.0**-50
"""Relative error of a constant that was computed in float64 from the user's rows in a few operations."""


def unit(dtype: torch.dtype) -> float:
    """The unit roundoff of a dtype, half its machine epsilon."""
    return torch.finfo(dtype).eps / 2


def gamma(k: int, u: float) -> float:
    """`k u / (1 - k u)`, infinite where k u >= 1."""
    return k * u / (1 - k * u) if k * u < 1 else np.inf


@dataclass(frozen=True)
class Dtypes:
    """Where residuals and step are computed and where the value is stored."""

    residual: torch.dtype
    work: torch.dtype
    store: torch.dtype

    @property
    def stored(self) -> float:
        """Relative error of the final conversion, 0 where there is none."""
        return 0.0 if self.store == self.work else unit(self.store)

    @property
    def tiny(self) -> float:
        """Largest absolute error of an operation that underflows, flushed to zero or not."""
        info = torch.finfo(self.store)
        smallest = info.tiny * info.eps / 2  # half the spacing of subnormals: a conversion is not flushed
        return max(torch.finfo(self.work).tiny, torch.finfo(self.residual).tiny, smallest)


Number = Any
"""A float for constant rows, a (batch, 1) tensor for rows of each sample: the formulas are the same."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the constants of a map, in the units of its scaled rows.

    Attributes:
        n: features.
        terms: the largest number of non-zeros in a row.
        rows: the largest Euclidean norm of a row.
        offsets: the largest `|b_i|`.
        target: the largest `sum_j |a_ij| |target_j|`, target being the direction or the centre.
        depth: the relative error of what the rows were divided by, where that was not done in float64.
    """

    n: int
    terms: int
    rows: Number
    offsets: Number
    target: Number
    depth: Number = 0.0

    @classmethod
    def of(cls, rows: np.ndarray, offsets: np.ndarray, target: np.ndarray) -> Sizes:  # (q, n), (q,), (n,)
        """Sizes of float64 constants, rounded up."""
        up = 1 + rows.shape[1] * 2.0**-50
        return cls(
            rows.shape[1],
            int((rows != 0).sum(1).max(initial=0)),
            up * float(np.linalg.norm(rows, axis=1).max(initial=0)),
            float(np.abs(offsets).max(initial=0)),
            up * float((np.abs(rows) @ np.abs(target)).max(initial=0)),
        )


@dataclass(frozen=True)
class Margin:
    """`slope`, `offset` and `gain` of the module's docstring; infinite where the set is too thin."""

    slope: Number
    offset: Number
    gain: Number

    @property
    def served(self) -> bool:
        """Whether the set is thick enough for this dtype."""
        return bool(np.isfinite([self.slope, self.offset, self.gain]).all())


def shift_margin(sizes: Sizes, dtypes: Dtypes) -> Margin:
    """For `x + t e` with `t = gain h`: docs/strict.md, section 3."""
    u = unit(dtypes.work)
    depth = gamma(sizes.n + 4, unit(torch.float64)) * sizes.target
    loss = (2 * u + dtypes.stored + _constants(dtypes.work)) * sizes.target + depth
    return _margin(sizes, dtypes, step=u + dtypes.stored, absolute=0.0, loss=loss)


def gauge_margin(sizes: Sizes, dtypes: Dtypes) -> Margin:
    """For `c + s (x - c)` with `1/s = 1 + gain h`: docs/strict.md, section 4."""
    u = unit(dtypes.work)
    step = 4 * u + dtypes.stored
    absolute = 2 * step * sizes.target + 2 * u
    centre = gamma(sizes.n + 4, unit(torch.float64)) + _constants(dtypes.work)
    loss = centre * (sizes.target + sizes.offsets) + absolute + _underflow(sizes, dtypes)
    return _margin(sizes, dtypes, step, absolute, loss)


def _margin(sizes: Sizes, dtypes: Dtypes, step: float, absolute: Number, loss: Number) -> Margin:
    u = unit(dtypes.work)
    residual = gamma(sizes.terms + 2, unit(dtypes.residual)) + _constants(dtypes.residual)
    second = 1 + 4 * (u + dtypes.stored)  # products of two roundings
    # The computed norm of x, and the few roundings of h itself.
    slack = second * (1 + 2 * gamma(sizes.n + 8, u)) * (1 + 8 * u)
    slope = slack * (residual + step) * sizes.rows
    norm_underflow = slope * (sizes.n * torch.finfo(dtypes.work).tiny) ** 0.5
    offset = slack * (residual * sizes.offsets + absolute + _underflow(sizes, dtypes)) + norm_underflow
    return Margin(slope, offset, _gain(second * (loss + sizes.depth), u))


@dataclass(frozen=True)
class ClipSizes:
    """Sizes of the constants of `half_spaces`, rows scaled by powers of 2 to norms in [1, 2).

    Attributes:
        n, m: features and rows.
        terms: the largest number of non-zeros in a row.
        rows: the largest Euclidean norm of a row.
        offsets: the largest finite bound.
        spread: the largest entry of `|A| |A^+|`.
        inverse: the largest entry of `|A A^+ - I|`.
    """

    n: int
    m: int
    terms: int
    rows: float
    offsets: float
    spread: float
    inverse: float


@dataclass(frozen=True)
class ClipMargin:
    """Each bound is tightened by `gain (slope ||z|| + offset + excess ||w||_1)`, w being the excess."""

    slope: float
    offset: float
    excess: float
    gain: float


def clip_margin(sizes: ClipSizes, dtypes: Dtypes) -> ClipMargin | None:
    """For `z - A^+ w`: docs/strict.md, section 5. None if the rows are too ill-conditioned."""
    u, constants = unit(dtypes.work), _constants(dtypes.work)
    stored = gamma(sizes.m + 3, u) + dtypes.stored
    residual = gamma(sizes.terms + 2, unit(dtypes.residual)) + _constants(dtypes.residual)
    second = 1 + 4 * (u + dtypes.stored)  # products of two roundings
    excess = second * (sizes.inverse + (stored + constants) * sizes.spread + 4 * u)
    if not sizes.m * excess <= MAX_LOSS:
        return None
    slack = second * (1 + 2 * gamma(sizes.n + sizes.m + 8, u)) * (1 + 8 * u)
    slope = slack * (residual + 3 * unit(dtypes.residual) + stored) * sizes.rows
    underflow = 4 * dtypes.tiny * (sizes.terms + sizes.n**0.5 * sizes.rows + sizes.m * sizes.spread + 1)
    underflow += slope * (sizes.n * torch.finfo(dtypes.work).tiny) ** 0.5
    offset = slack * (residual + 3 * unit(dtypes.residual)) * sizes.offsets + underflow
    return ClipMargin(slope, offset, slack * excess, (1 + 8 * u) / (1 - sizes.m * excess))


def _constants(dtype: torch.dtype) -> float:
    """Relative error of a constant: computed in float64, rounded to `dtype`."""
    return DOUBLE + unit(dtype)


def _underflow(sizes: Sizes, dtypes: Dtypes) -> Number:
    return 4 * dtypes.tiny * (sizes.terms + 1 + sizes.n**0.5 * (sizes.rows + 1))


def _gain(loss: Number, u: float) -> Number:
    if isinstance(loss, Tensor):
        return torch.where(loss <= MAX_LOSS, (1 + 8 * u) / (1 - loss), torch.inf)
    return (1 + 8 * u) / (1 - loss) if loss <= MAX_LOSS else np.inf


def products_are_reduced(x: Tensor) -> bool:
    """Whether matrix products with `x` may, as settings stand, round float32 inputs to TF32 or bfloat16."""
    return x.dtype == torch.float32 and _reduced(x.is_cuda)


@torch.compiler.assume_constant_result
def _reduced(cuda: bool) -> bool:
    """What the settings say; in a compiled graph, what they said when it was traced."""
    backend = torch.backends.cuda if cuda else torch.backends.mkldnn
    precision = getattr(getattr(backend, "matmul", None), "fp32_precision", None)
    if precision is None:  # torch before 2.9
        return torch.get_float32_matmul_precision() != "highest" or FORCED
    return precision not in ("ieee", "none") or FORCED


FORCED = os.environ.get("NVIDIA_TF32_OVERRIDE") == "1" or any(
    os.environ.get(name, "STRICT").upper() != "STRICT"
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")
)
"""Whether the environment asks for reduced precision, whatever torch is told."""
