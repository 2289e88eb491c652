# Triton may be absent, and its language is no Python to a type checker.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false
"""Dual active set in the coordinates of the rows as a kernel for CUDA, one program a sample, in float64.

The method of `_goldfarb_idnani.py`, with another thing kept. With W the active rows, N the others and G the
Gram matrix, a program holds in registers the tableau and the vector

    T = [[-H, H G_WN], [G_NW H, G_NN - G_NW H G_WN]],  H = G_WW^-1,      z = (u_W, s_N)

so that column p says all of a step along row p: how fast the other residuals and the multipliers fall, and on
its diagonal how much of row p lies across W. A row that joins or leaves W is one exchange, T - v v^T / d but
for row and column k: m^2 operations, no system is solved. The steps end where no row is exceeded; then the
residuals are computed anew from G, one step of refinement with H, and again until the KKT residual says that
nothing is left to win. (Tried without gain, on 1e5 points of sets whose rows nearly depend on each other: the
same with G + shift, whose steps always end, as a proximal point method.)

Cost: about 2 m^2 operations for each row that joins or leaves. Nothing is looked at by the host.
Source: Goldfarb and Idnani, Mathematical Programming 27, 1983; the exchange: Goodnight, A tutorial on the
SWEEP operator, The American Statistician 33(3), 1979.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

DEPENDENT = tl.constexpr(1e-10)
"""What is left of a unit row across the active ones, squared, from which it counts as one of their span."""
ROUNDING = tl.constexpr(1e-12)
"""What counts as not exceeded, or as a multiplier of 0, relative to the point and the bound."""
PRECISE = tl.constexpr(1e-11)
"""KKT residuals above this are tried to be lowered."""
PASSES = tl.constexpr(3)
"""Of steps and refinement."""
MOST_STEPS = tl.constexpr(20)
"""For each row."""
TINY = tl.constexpr(2.2250738585072014e-308)
INFINITY = tl.constexpr(float("inf"))


@triton.jit
def _at(values, here):
    """The entry of a vector at the only place that is `here`."""
    return tl.sum(tl.where(here, values, 0.0), 0)


@triton.jit
def _column(T, i, k):
    """Column k of the tableau, which is row k but for its sign in no place."""
    return tl.sum(tl.where((i == k)[:, None], T, 0.0), 0)


@triton.jit
def _exchange(T, v, here, d, sign):
    """The tableau after the row `here` joined (`sign` 1) or left (-1); v its column, d the entry there."""
    v = tl.where(here, -sign, v)
    scaled = v * (1.0 / d)
    return tl.where(here[:, None] | here[None, :], 0.0, T) - scaled[:, None] * v[None, :], scaled


@triton.jit
def _steps(T, z, side, width, margin, small, real, i, most, TWO_SIDED: tl.constexpr):
    """Steps until no row is exceeded and no multiplier has the wrong sign, or none is possible."""
    zero = tl.sum(z * 0.0, 0)
    p, count, going = -1, 0, 1
    sign, raised = zero + 1.0, zero
    while going > 0:
        active = side != 0.0
        signed = tl.where(active, side * z, 0.0)
        least, lowest = tl.min(signed, 0, return_indices=True)
        # After a refinement a multiplier may have the wrong sign: its row leaves before the next is raised.
        wrong = (p < 0) & (least < -small)
        if (p < 0) & (least >= -small):
            free = real & (side == 0.0)
            excess = tl.where(free & (z > margin), z, 0.0)
            if TWO_SIDED:
                below = -z - width
                excess = tl.where(free & (below > margin), below, excess)
            over, p = tl.max(excess, 0, return_indices=True)
            going = tl.where(over > 0.0, 1, 0)
            sign, raised = tl.where(_at(z, i == p) > 0.0, zero + 1.0, zero - 1.0), zero
            if TWO_SIDED:
                sign = tl.where(_at(z, i == p) > _at(margin, i == p), zero + 1.0, zero - 1.0)
        if going > 0:
            k = tl.where(wrong, lowest, p)
            v = _column(T, i, k)
            joins = zero - 1.0
            moved = _at(z, i == k)
            if p >= 0:
                rest = _at(v, i == p)
                exceeded = moved
                if TWO_SIDED:
                    exceeded = tl.where(sign > 0.0, moved, -moved - _at(width, i == p))
                step = tl.where(rest > DEPENDENT, exceeded / rest, INFINITY)
                rate = side * sign * v
                until = tl.where(active & (rate > 0.0), tl.maximum(signed, 0.0) / rate, INFINITY)
                first, blocking = tl.min(until, 0, return_indices=True)
                joins = tl.where(step <= first, zero + 1.0, zero - 1.0)
                step = tl.minimum(step, first)
                going = tl.where(step < INFINITY, 1, 0)
                step = tl.where(step < INFINITY, step, 0.0)
                z -= step * sign * v
                raised += step
                moved = zero
                if joins < 0.0:
                    k = blocking
                    v = _column(T, i, k)
            if going > 0:
                here = i == k
                T, scaled = _exchange(T, v, here, _at(v, here), joins)
                z = tl.where(here, 0.0, z) - scaled * moved
                if joins > 0.0:
                    z = tl.where(here, sign * raised, z)
                    side = tl.where(here, sign, side)
                    p = -1
                else:
                    if TWO_SIDED:
                        z = tl.where(here & (side < 0.0), z - width, z)
                    side = tl.where(here, 0.0, side)
        count += 1
        going = tl.where(count < most, going, 0)
    return T, z, side


@triton.jit
def _residuals(level, gram, u, board, i, m, stride, AT_ONCE: tl.constexpr):
    """`s = e - G u`; by way of `board`, where every thread finds the entries of u that it needs."""
    tl.debug_barrier()
    tl.store(board + i, u, mask=i < m)
    tl.debug_barrier()
    s = level
    for start in range(0, m, AT_ONCE):
        j = start + tl.arange(0, AT_ONCE)
        tile = tl.load(
            gram + j[:, None] * stride + i[None, :], mask=(j < m)[:, None] & (i < m)[None, :], other=0.0
        )
        s -= tl.sum(tile * tl.load(board + j, mask=j < m, other=0.0)[:, None], 0)
    return s


@triton.jit
def _kkt(s, u, width, wide, size, TWO_SIDED: tl.constexpr):
    """The KKT residual, see `_pivoting.kkt_residual`; infinite where something is not a number."""
    primal, gap = s, tl.where(u > 0.0, tl.abs(s), wide)
    if TWO_SIDED:
        below = -s - width
        primal = tl.maximum(s, below)
        gap = tl.where(u > 0.0, tl.abs(s), tl.where(width == INFINITY, wide, tl.abs(below)))
    dual = tl.abs(u) / size * (gap / wide)
    worst = tl.maximum(primal / wide, dual)
    known = (primal == primal) & (dual == dual)
    return tl.maximum(tl.max(tl.where(known, worst, INFINITY), 0), 0.0)


@triton.jit
def _solve(
    e, norms, gram, width, bounds, multipliers, residuals, m, stride,
    ROWS: tl.constexpr, TWO_SIDED: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, ROWS)
    real = i < m
    both = real[:, None] & real[None, :]
    # Rows past the last are met whatever happens: their residual is -1, and no column reaches them.
    level = tl.load(e + sample * m + i, mask=real, other=-1.0)
    room = tl.load(width + i, mask=real, other=INFINITY)
    norm = tl.load(norms + sample)
    outside = level
    if TWO_SIDED:
        outside = tl.maximum(level, -level - room)
    size = tl.maximum(norm + tl.maximum(tl.max(outside, 0), 0.0), TINY)
    wide = size + tl.load(bounds + i, mask=real, other=0.0)
    margin, small = wide * ROUNDING, size * ROUNDING
    board = multipliers + sample * m
    best, found = size * 0.0 + INFINITY, level * 0.0
    if (norm < INFINITY) & (size < INFINITY):
        T = tl.load(gram + i[:, None] * stride + i[None, :], mask=both, other=0.0)
        z, side, again = level, level * 0.0, 0
        while again < PASSES:
            T, z, side = _steps(T, z, side, room, margin, small, real, i, m * MOST_STEPS, TWO_SIDED)
            active = side != 0.0
            u = tl.where(active, z, 0.0)
            s = _residuals(level, gram, u, board, i, m, stride, 16)
            off = tl.where(active, s, 0.0)
            if TWO_SIDED:
                off = tl.where(side < 0.0, s + room, off)
            u -= tl.where(active, tl.sum(T * off[:, None], 0), 0.0)
            s = _residuals(level, gram, u, board, i, m, stride, 16)
            kkt = _kkt(s, u, room, wide, size, TWO_SIDED)
            found = tl.where(kkt < best, u, found)
            best = tl.minimum(best, kkt)
            z = tl.where(active, u, s)
            again = tl.where(best <= PRECISE, PASSES, again + 1)
    known = best < INFINITY
    tl.store(multipliers + sample * m + i, tl.where(known, found, float("nan")), mask=real)
    tl.store(residuals + sample, tl.where(known, best, float("nan")))


def multipliers(
    e: Tensor,  # (q, m)
    norm: Tensor,  # (q,)
    gram: Tensor,  # (m + 1, m + 1)
    width: Tensor,  # (m,)
    bounds: Tensor,  # (m,)
    one_sided: bool,
) -> tuple[Tensor, Tensor]:
    """Multipliers (q, m) and KKT residuals (q,); NaN where the point is not finite or its norm overflows."""
    q, m = e.shape
    u, kkt = torch.empty_like(e), torch.empty_like(norm)
    if q:
        rows = max(16, triton.next_power_of_2(m))
        _solve[(q,)](
            e.contiguous(), norm.contiguous(), gram, width, bounds, u, kkt, m, gram.stride(0),
            ROWS=rows, TWO_SIDED=not one_sided, **launch(rows),
        )  # fmt: skip
    return u, kkt


def launch(rows: int) -> dict[str, int | None]:
    """Warps, so that the tableau takes at most 64 registers of a thread, and the most registers.

    Fewer registers put more programs on a processor, which hides that each waits for its own last step: as
    few as the assembler manages without storing more than some 100 bytes of a thread elsewhere.
    """
    warps = {16: 1, 32: 1, 64: 4}.get(rows, 16)
    return {"num_warps": warps, "maxnreg": {16: 112, 32: 168, 64: 168}.get(rows)}
