"""Combinations of few entries as one operator: what `rays` makes of generators that are mostly zeros.

    x_j = sum over the entries (i, j) of value_ij c(z_i),    c = |.| or relu for i < bent, the identity beyond

and back, for a gradient v of x, the same over the rows: c'(z_i) sum_j value_ij v_j. Each latent number is
read where it is needed and each feature written once. Entries come in blocks of LANES features, those with
equally many entries together: entry e of lane k of a block is at `start + e * LANES + k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ._registration import register, runs_kernels, samples_first

LANES = 32
"""Features of a block: one warp reads and writes neighbours together."""

Entries = Sequence[Tensor]
"""index, feature and value of each entry, (slots,): index -1 where a lane has no more of them, feature -1
where there is no lane; start and count of each block, (blocks,)."""


def arrange(
    index: np.ndarray, feature: np.ndarray, value: np.ndarray, features: int
) -> dict[str, np.ndarray]:
    """`Entries` for the triplets of a matrix, (nnz,) each."""
    counts = np.bincount(feature, minlength=features)
    order = np.argsort(-counts, kind="stable")  # the longest blocks start first
    blocks = -(-features // LANES)
    height = np.maximum(counts[order[::LANES]], 1)  # the first of a block is its longest
    start = np.concatenate([[0], np.cumsum(height * LANES)])
    lane = np.empty(features, dtype=np.int64)
    lane[order] = np.arange(features)
    by_feature = np.argsort(feature, kind="stable")
    index, feature, value = (v[by_feature] for v in (index, feature, value))
    rank = np.arange(len(feature)) - np.concatenate([[0], np.cumsum(counts)])[feature]
    at = start[lane[feature] // LANES] + rank * LANES + lane[feature] % LANES
    none = np.full(start[-1], -1, np.int32)
    found = {"index": none.copy(), "feature": none, "value": np.zeros(start[-1])}
    for block in range(blocks):
        own = order[block * LANES : (block + 1) * LANES]
        lanes = found["feature"][start[block] : start[block + 1]].reshape(-1, LANES)
        lanes[:, : len(own)] = own
    found["index"][at], found["value"][at] = index, value
    found["start"], found["count"] = start[:-1].astype(np.int32), height.astype(np.int32)
    return found


def forward(
    z: Tensor,  # (batch, k)
    entries: Entries,
    back: Entries,
    features: int,
    bent: int,
    relu: bool,
    store: torch.dtype,
) -> Tensor:  # (batch, features), in the dtype `store`
    """The combination; `back` are the entries of the transposed matrix, for the gradient."""
    if runs_kernels(z):
        from .triton_ import combine as kernels

        return kernels.forward(z, entries, z.new_empty(len(z), features, dtype=store), bent, relu)
    return plain(z, entries, features, bent, relu, store)


def plain(z: Tensor, entries: Entries, features: int, bent: int, relu: bool, store: torch.dtype) -> Tensor:
    """The same by operators of torch."""
    value = entries[2]
    z = z.to(value.dtype)
    coefficients = torch.relu(z[:, :bent]) if relu else z[:, :bent].abs()
    return _summed(torch.cat([coefficients, z[:, bent:]], 1), entries, features).to(store)


def backward(
    v: Tensor,  # (batch, features)
    z: Tensor,  # (batch, k)
    back: Entries,
    bent: int,
    relu: bool,
) -> Tensor:  # (batch, k), in the dtype of z
    """The gradient of `z` for one of the value."""
    if runs_kernels(z):
        from .triton_ import combine as kernels

        return kernels.backward(v, z, back, bent, relu)
    return plain_backward(v, z, back, bent, relu)


def plain_backward(v: Tensor, z: Tensor, back: Entries, bent: int, relu: bool) -> Tensor:
    """The same by operators of torch, which can be differentiated again."""
    value = back[2]
    total = _summed(v.to(value.dtype), back, z.shape[1])
    first = z[:, :bent].detach().to(value.dtype)
    slope = (first > 0).to(value.dtype) if relu else first.sign()
    return torch.cat([total[:, :bent] * slope, total[:, bent:]], 1).to(z.dtype)


def _summed(c: Tensor, entries: Entries, features: int) -> Tensor:
    index, feature, value = entries[:3]
    terms = torch.where(index >= 0, c.index_select(1, index.clamp(min=0)) * value, 0)
    return c.new_zeros(len(c), features).index_add(1, feature.clamp(min=0), terms)


def _fake(z: Tensor, entries: Entries, back: Entries, features: int, *others: Any) -> Tensor:
    """Shape and dtype."""
    return z.new_empty(z.shape[0], features, dtype=others[-1])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    z, entries, back, ctx.features, ctx.bent, ctx.relu, _ = inputs
    ctx.entries = len(entries)
    ctx.save_for_backward(z, *entries, *back)


def _back(ctx: Any, v: Tensor) -> tuple[Any, ...]:
    z, *entries = ctx.saved_tensors
    run = plain_backward if torch.is_grad_enabled() else gradient_of_combine
    found = run(v, z, entries[ctx.entries :], ctx.bent, ctx.relu)
    return found, [None] * ctx.entries, [None] * (len(entries) - ctx.entries), None, None, None, None


def _fold(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    """torch.func.vmap: samples of samples are samples."""
    return samples_first(combine, (0,), info, in_dims, arguments)


def _fold_back(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
    return samples_first(gradient_of_combine, (0, 1), info, in_dims, arguments)


combine = register(
    "combine(Tensor z, Tensor[] entries, Tensor[] back, int features, int bent, bool relu, ScalarType store) "
    "-> Tensor",
    forward,
    _fake,
    _fold,
    (_keep, _back),
)
gradient_of_combine = register(
    "combine_backward(Tensor v, Tensor z, Tensor[] back, int bent, bool relu) -> Tensor",
    backward,
    lambda v, z, *_: z.new_empty(z.shape),
    _fold_back,
)
