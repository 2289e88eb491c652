"""What strict mode is tried on: sets, points and settings, and the judge that counts in exact arithmetic.

`tests/constrained/test_strict.py` takes a few points of each; `python -m tests.exactness_sweep` millions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from inspect import signature

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench.problems.random_cone import random_cone
from constrained import Generators, Polyhedron, UnsupportedSetError, generators
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization
from tests.exactness import Count, exact_excess, exactly_feasible

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SCALES = (1e-30, 1e-10, 1e-3, 1.0, 1e3, 1e10, 1e30)
MODES = (True, "tight")


def polytope(n: int, m: int, p: int = 0, seed: int = 0, size: float = 1.0) -> Polyhedron:
    """Around a point c: unit rows, `b = A c + s` with s in [0.1, 1], `d = C c`; everything times size."""
    rng = np.random.default_rng(seed)
    A, C = rng.standard_normal((m, n)), rng.standard_normal((p, n))
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    c = rng.standard_normal(n)
    return Polyhedron(A, size * (A @ c + rng.uniform(0.1, 1, m)), C, size * (C @ c))


def cone_with_equalities(n: int, m: int, p: int) -> Polyhedron:
    rng = np.random.default_rng(1)
    A, C, e = rng.standard_normal((m, n)), rng.standard_normal((p, n)), rng.standard_normal(n)
    e -= C.T @ np.linalg.solve(C @ C.T, C @ e)
    return Polyhedron(-A * np.sign(A @ e)[:, None], C=C)


def nearly_opposite(n: int, margin: float) -> Polyhedron:
    """`a x <= 0` and `(-a + margin g) x <= 0`, then a few random rows: a wedge of that angle."""
    rng = np.random.default_rng(2)
    a, g = np.linalg.qr(rng.standard_normal((n, 2)))[0].T
    others = rng.standard_normal((3, n))
    inside = -g - 0.5 * margin * a
    return Polyhedron(np.vstack([a, -a + margin * g, -others * np.sign(others @ inside)[:, None]]))


def thin_slab(n: int, margin: float) -> Polyhedron:
    """`0 <= a x <= margin` beside wider slabs."""
    A = np.random.default_rng(3).standard_normal((3, n))
    return Polyhedron(A, b=[margin, 1.0, 2.0], lower=[0.0, -1.0, -np.inf])


def rescaled(polyhedron: Polyhedron, decades: float = 8.0) -> Polyhedron:
    """The same set up to rounding, rows of norms from 1e-8 to 1e8."""
    factor = 10 ** np.random.default_rng(4).uniform(-decades, decades, polyhedron.m)
    return Polyhedron(polyhedron.A * factor[:, None], polyhedron.b * factor)


def repeated(polyhedron: Polyhedron) -> Polyhedron:
    """Rows twice, thrice as long, and within rounding of each other."""
    A, b = polyhedron.A, polyhedron.b
    return Polyhedron(np.vstack([A, A, 3 * A, A / 3]), np.concatenate([b, b, 3 * b, b / 3]))


def slabs(n: int, m: int) -> Polyhedron:
    rng = np.random.default_rng(5)
    A, c = rng.standard_normal((m, n)), rng.standard_normal(n)
    width = rng.uniform(0.1, 1, m)
    return Polyhedron(A, b=A @ c + width, lower=A @ c - 2 * width)


def orthogonal_rows(n: int, m: int) -> Polyhedron:
    rng = np.random.default_rng(6)
    return Polyhedron(np.linalg.qr(rng.standard_normal((n, m)))[0].T * rng.uniform(0.5, 3, (m, 1)))


# Bounds that no dtype holds exactly, one-sided and missing ones too.
BOX = Polyhedron.box([-0.1, -np.inf, 1 / 3, -1e-3, -np.inf], [0.3, 0.7, 2 / 3, np.inf, np.inf])

FAMILIES: dict[str, Callable[[], Polyhedron]] = {
    "cone 8x16": lambda: random_cone(8, 16),
    "cone 64x32": lambda: random_cone(64, 32),
    "cone 784x16": lambda: random_cone(784, 16),
    "cone 16x64": lambda: random_cone(16, 64),
    "orthogonal rows": lambda: orthogonal_rows(24, 6),
    "polytope 8x32": lambda: polytope(8, 32),
    "polytope 64x32": lambda: polytope(64, 32),
    "polytope of size 1e-12": lambda: polytope(8, 32, size=1e-12),
    "polytope of size 1e12": lambda: polytope(8, 32, size=1e12),
    "polytope with equalities": lambda: polytope(12, 20, 3),
    "cone with equalities": lambda: cone_with_equalities(9, 5, 2),
    "nearly opposite rows": lambda: nearly_opposite(16, 1e-6),
    "thin slab": lambda: thin_slab(12, 1e-6),
    "norms 1e-8 to 1e8, cone": lambda: rescaled(random_cone(16, 24)),
    "norms 1e-8 to 1e8, polytope": lambda: rescaled(polytope(8, 20)),
    "repeated rows": lambda: repeated(polytope(10, 8)),
    "two-sided slabs": lambda: slabs(14, 5),
    "one row": lambda: Polyhedron(np.random.default_rng(8).standard_normal((1, 30))),
    "box": lambda: BOX,
    "nonnegative": lambda: Polyhedron.nonnegative(16),
    "simplex": lambda: Polyhedron.simplex(10),
    "monotone": lambda: Polyhedron.monotone(16),
    "convex sequence": lambda: Polyhedron.convex_sequence(12),
    "product": lambda: Polyhedron.product(BOX, random_cone(6, 4), Polyhedron.simplex(4), polytope(5, 9)),
}
THIN = {"nearly opposite rows", "thin slab", "polytope of size 1e-12", "polytope of size 1e12"}
"""May be refused for a dtype whose numbers are too coarse for the set."""


@cache
def family(name: str) -> Polyhedron:
    return FAMILIES[name]()


def has_strict(entry: type[AbstractParameterization]) -> bool:
    return entry.strict_map is not AbstractParameterization.strict_map


STRICT_METHODS = [entry for entry in PARAMETERIZATIONS if has_strict(entry)]


@cache
def accepted(entry: type[AbstractParameterization], name: str) -> bool:
    """Whether the method serves the set; one that enumerates gets only sets with few generators."""
    P = family(name)
    return entry.accepts(P) is None and (not enumerates(entry) or (P.n <= 100 and P.m <= max(P.n, 16)))


def enumerates(entry: type[AbstractParameterization]) -> bool:
    return "generators" in signature(entry).parameters


@cache
def enumerated(name: str) -> Generators:
    return generators(family(name))


@cache
def build(entry: type[AbstractParameterization], name: str, strict: bool | str, dtype: torch.dtype):
    """The layer with float64 constants for float64 points, float32 constants otherwise."""
    if dtype == torch.float32:
        options = {"generators": enumerated(name)} if enumerates(entry) else {}
        return entry(family(name), strict=strict, **options)
    layer = build(entry, name, strict, torch.float32)
    return deepcopy(layer).double() if dtype == torch.float64 else layer


def scales(dtype: torch.dtype) -> list[float]:
    """Those of SCALES within the range of the dtype, and the ends of a short range."""
    info = torch.finfo(dtype)
    inside = [scale for scale in SCALES if info.smallest_normal <= scale <= info.max / 1e6]
    return inside if len(inside) > 4 else [4 * info.smallest_normal, *inside, info.max / 64]


def points(
    layer: torch.nn.Module, name: str, dtype: torch.dtype, scale: float, count: int, seed: int
) -> Tensor:
    """Latent points of a size: of equal entries, of very unequal ones, with one large, sparse, constant,
    and, where a latent point has the features of a value, along a row and along its signs: all terms of
    a residual then have one sign.
    """
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, layer.in_features, generator=generator, dtype=torch.float64)
    u = torch.rand(count, layer.in_features, generator=generator, dtype=torch.float64)
    z[1::8] *= 10 ** (12 * u[1::8] - 9)
    z[2::8, 0] *= 1e3
    z[3::8] *= u[3::8] < 0.3
    z[4::8] = z[4::8, :1]
    z[5::8] = z[5::8].round()
    if layer.in_features == layer.out_features:
        rows = torch.tensor(family(name).A)[torch.arange(len(z[6::8])) % family(name).m]
        z[6::8] = rows.sign() * (1 + u[6::8])
        z[7::8] = rows[: len(z[7::8])] / rows[: len(z[7::8])].abs().amax(-1, keepdim=True) * (1 + u[7::8, :1])
    return narrowed(scale * z, dtype)


def near_the_boundary(layers: list[torch.nn.Module], z: Tensor, seed: int) -> Tensor:
    """Values of these maps at z, each entry moved by at most 2 units in the last place."""
    if layers[0].in_features != layers[0].out_features:
        return z[:0]
    x = torch.cat([layer(z).detach() for layer in layers])
    x = x[x.isfinite().all(-1)]  # a plain map may overflow
    steps = torch.randint(-2, 3, x.shape, generator=torch.Generator().manual_seed(seed)).to(x.device)
    return narrowed(x.double() * (1 + steps * torch.finfo(x.dtype).eps), x.dtype)


def narrowed(z: Tensor, dtype: torch.dtype) -> Tensor:
    """In the dtype, without the infinities of overflow."""
    return z.clamp(-torch.finfo(dtype).max, torch.finfo(dtype).max).to(dtype)


@dataclass
class Tally:
    """What was checked and what was found."""

    outputs: int = 0
    infeasible: int = 0
    not_finite: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    worst_equality: float = 0.0
    count: Count = field(default_factory=Count)

    def judge(self, label: str, polyhedron: Polyhedron, z: Tensor, x: Tensor) -> None:
        """Every value finite and every row exactly satisfied; equalities measured."""
        inside = exactly_feasible(polyhedron.A, polyhedron.b, polyhedron.lower, x, self.count)
        finite = x.isfinite().all(-1).cpu().numpy()
        self.outputs += len(x)
        self.infeasible += int((~inside & finite).sum())
        self.not_finite += int((~finite).sum())
        if not inside.all():
            self.broken.append(
                f"{label}: {int((~inside).sum())} of {len(x)}, {int((~finite).sum())} not finite"
            )
        if polyhedron.p and finite.all():
            self.worst_equality = max(self.worst_equality, equality_roundings(polyhedron, z[:64], x[:64]))


def equality_roundings(polyhedron: Polyhedron, z: Tensor, x: Tensor) -> float:
    """The largest `|C x - d|` in roundings of the largest sum that the map can have formed."""
    size = torch.maximum(x.double().abs().sum(-1), z.double().abs().sum(-1)).cpu().numpy()
    off = np.abs(exact_excess(polyhedron.C, polyhedron.d, x)).max(1)
    scale = np.abs(polyhedron.C).max() * size + np.abs(polyhedron.d).max()
    return float((off / (torch.finfo(x.dtype).eps * scale + torch.finfo(x.dtype).tiny)).max())


def cells(
    entry: type[AbstractParameterization], name: str, strict: bool | str, count: int, seed: int = 0
) -> Iterator[tuple[str, torch.nn.Module, Tensor]]:
    """A label, a layer and points for every dtype and every scale."""
    for dtype in DTYPES:
        layer = build(entry, name, strict, dtype)
        for k, scale in enumerate(scales(dtype)):
            where = f"{entry.name}, {name}, strict={strict}, {str(dtype).removeprefix('torch.')}"
            label = f"{where}, scale {scale:.0e}"
            yield label, layer, points(layer, name, dtype, scale, count, seed + 100 * k)


def run_family(
    entry: type[AbstractParameterization],
    name: str,
    strict: bool | str,
    count: int,
    tally: Tally,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """All dtypes and scales of one set: a value of every point, then of points near the boundary."""
    polyhedron = family(name)
    try:
        for label, layer, z in cells(entry, name, strict, count, seed):
            layer, z = layer.to(device), z.to(device)
            try:
                x = layer(z)
            except UnsupportedSetError as error:  # for this dtype
                tally.refused[label.rsplit(", scale", 1)[0]] = str(error)
                continue
            tally.judge(label, polyhedron, z, x)
            plain = build(entry, name, False, z.dtype).to(device)
            again = near_the_boundary([layer, plain], z[: count // 4], seed)
            tally.judge(label + ", near the boundary", polyhedron, again, layer(again))
    except UnsupportedSetError as error:  # at set-up
        tally.refused[f"{entry.name}, {name}, strict={strict}"] = str(error)


PRODUCTS = {
    torch.ops.aten.mm.default: (0, 1),
    torch.ops.aten.bmm.default: (0, 1),
    torch.ops.aten.mv.default: (0, 1),
    torch.ops.aten.dot.default: (0, 1),
    torch.ops.aten.addmm.default: (1, 2),
    torch.ops.aten.baddbmm.default: (1, 2),
    torch.ops.aten.addmv.default: (1, 2),
}
"""Which arguments of a product are its factors."""


class ReducedProducts(TorchDispatchMode):
    """A processor that makes products of float32 in bfloat16 wherever the settings of torch allow it.

    torch passes the permission on to oneDNN, which uses it on processors with AMX only: with the flag
    avx512_bf16 alone nothing is rounded (oneDNN 3.12). Rounding the factors of every product gives
    what such a processor computes, on any machine.
    """

    def __init__(self, forced: bool = False) -> None:
        super().__init__()
        self.forced, self.rounded = forced, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in PRODUCTS and (self.forced or torch.get_float32_matmul_precision() != "highest"):
            given = list(args)
            for k in PRODUCTS[func]:
                if given[k].dtype == torch.float32:
                    given[k] = given[k].bfloat16().float()
                    self.rounded += 1
            args = tuple(given)
        return func(*args, **(kwargs or {}))


@contextmanager
def reduced_products(setting: str = "medium") -> Iterator[ReducedProducts]:
    """The setting, and a processor that follows it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        with ReducedProducts() as mode:
            yield mode
    finally:
        torch.set_float32_matmul_precision(before)


def reducing_backend(graph: torch.fx.GraphModule, inputs: list):
    """For `torch.compile`: the traced graph on a processor that follows the setting at each call."""

    def run(*args):
        with ReducedProducts():
            return graph(*args)

    return run
