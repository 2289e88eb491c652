"""On CUDA no map waits for the host: every map, forward and backward, with the branches that CUDA takes.

Three ways to take them: values may not be looked at (`may_look`) and points say that they are on CUDA, so
that maps call their kernels; tensors without values on a device that is not there; and on a device. What is
asked for is exempt: `check_finite=True`.
"""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

import constrained as cn
from bench.problems.checkerboard import checkerboard, checkerboard_box
from bench.problems.random_cone import random_cone
from constrained import kernels
from constrained.parameterizations import PARAMETERIZATIONS, rays
from tests.contracts.kernels import OnCuda
from tests.contracts.parameterization import SETS, latent
from tests.pretended import moved, pretended_cuda
from tests.round_trips import forbid_looking, round_trips

RNG = np.random.default_rng(3)
DTYPES = (torch.float32, torch.bfloat16)


def interleaved(P: cn.Polyhedron) -> cn.Polyhedron:
    """The same rows with features in another order."""
    order = np.random.default_rng(1).permutation(P.n)
    return cn.Polyhedron(P.A[:, order], P.b, P.C[:, order], P.d, P.lower)


def body(n: int, m: int) -> cn.Polyhedron:
    return cn.Polyhedron(RNG.standard_normal((m, n)), RNG.uniform(0.5, 1.0, m))


PLANNED = {
    "box": (cn.Polyhedron.box([0.0, -1.0, -np.inf], [1.0, np.inf, 2.0]), "box"),
    "simplex": (cn.Polyhedron.simplex(6), "simplex"),
    "monotone": (cn.Polyhedron.monotone(9), "monotone"),
    "orthogonal rows": (checkerboard(8, 8, 4), "half_spaces"),
    "disjoint rows and a box": (checkerboard_box(4, 4, 2), "knapsack"),
    "disjoint rows, one bound a number and one not": (
        cn.Polyhedron(np.vstack([np.ones((1, 4)), np.eye(4)]), [1.0, 1.0, 2.0, 3.0, 4.0], lower=0.0),
        "knapsack",
    ),
    "product": (cn.Polyhedron.product(*[cn.Polyhedron.monotone(3)] * 2), "blocks"),
    "interleaved product": (interleaved(cn.Polyhedron.product(body(3, 9), body(3, 9), body(2, 8))), "blocks"),
    "free features": (cn.Polyhedron.product(random_cone(4, 9), cn.Polyhedron(np.zeros((0, 2)))), "blocks"),
    "far from a ball": (random_cone(8, 16), "refined"),
    "near a ball": (body(2, 60), "gauge"),
    "equality in a polytope": (
        cn.Polyhedron(body(6, 20).A, b=np.ones(20), C=RNG.standard_normal((1, 6))),
        None,
    ),
    "badly conditioned": (cn.Polyhedron([[1.0, 0.1, 0.0], [0.99, 0.25, 0.1]]), "shift"),
}


@pytest.fixture(autouse=True)
def entries_of_rays(monkeypatch):
    """As they are laid out on CUDA."""
    monkeypatch.setattr(rays, "runs_kernels", lambda x: True)


@pytest.fixture(params=["plain", "fused"])
def as_on_cuda(request, monkeypatch):
    """Gives what makes a tensor one of CUDA, for the path that is taken."""
    monkeypatch.setenv("CONSTRAINED_CACHE", "off")
    forbid_looking(monkeypatch)
    monkeypatch.setattr(kernels._choice, "_found", lambda: True)
    with kernels.fused(request.param == "fused", always=True):
        yield lambda x: x.as_subclass(OnCuda)


def variants(entry) -> list[dict]:
    """Options of a map, those of all maps first."""
    found = [{"strict": strict} for strict in (False, True, "tight")]
    if entry.inward:
        found += [options | {"gradient": "inward"} for options in found]
    return found


def built(entry, name: str, options: dict) -> nn.Module | None:
    try:
        return cn.constrain(SETS[name], entry.name, **options)
    except cn.UnsupportedSetError:  # no strict mode for this set
        return None


def call(layer: nn.Module, z: torch.Tensor, as_on_cuda, **rows) -> list[str]:
    """The round trips of a forward and a backward pass."""
    z = z.requires_grad_()
    with round_trips() as found:
        x = layer(as_on_cuda(z), **{name: as_on_cuda(value) for name, value in rows.items()})
        x.float().square().sum().backward()
    assert z.grad is not None
    return found


def needs_engine(name: str) -> None:
    if name == "rays":
        pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
        pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")


def layers(entry) -> Iterator[tuple[str, nn.Module]]:
    """A map on every set that it serves, in every variant, with a name."""
    needs_engine(entry.name)
    for name, P in SETS.items():
        if entry.accepts(P) is None:
            for options in variants(entry):
                if (layer := built(entry, name, options)) is not None:
                    yield f"{name}, {options}", layer


each_map = pytest.mark.parametrize("entry", PARAMETERIZATIONS, ids=lambda entry: entry.name)


@each_map
def test_maps(entry, as_on_cuda):
    called = 0
    for name, layer in layers(entry):
        for dtype in DTYPES:
            assert call(layer, latent(layer, dtype, 5), as_on_cuda) == [], (name, dtype)
            called += 1
    assert called >= 6


def test_the_branches_of_the_cpu_do_look():
    """So that the tests of this module can fail."""
    for method in ("half_spaces", "shift"):
        layer = cn.constrain(CONE, method, strict=True)
        assert call(layer, latent(layer, torch.float32, 5), lambda x: x)


@pytest.mark.parametrize("name", PLANNED)
def test_what_the_planner_chooses(name, as_on_cuda):
    P, method = PLANNED[name]
    assert method is None or cn.plan(P).method == method
    for strict in (False, True, "tight"):
        layer = cn.constrain(P, strict=strict)
        for dtype in DTYPES:
            assert call(layer, latent(layer, dtype, 5), as_on_cuda) == [], (strict, dtype)


def test_the_planned_sets_cover_the_maps():
    assert {method for _, method in PLANNED.values() if method} == {
        entry.name for entry in PARAMETERIZATIONS if entry.name != "rays"
    }


@pytest.mark.parametrize(
    "options", [{"lines": "free"}, {"weights": "simplex"}, {"coefficients": "softplus"}], ids=str
)
def test_options_of_rays(options, as_on_cuda):
    needs_engine("rays")
    for name in ("with an equality", "polytope", "m = n"):
        layer = cn.constrain(SETS[name], "rays", **options)
        assert call(layer, latent(layer, torch.float32, 5), as_on_cuda) == [], name


def given(P: cn.Polyhedron, names: tuple[str, ...], count: int = 5) -> dict[str, torch.Tensor]:
    """Constraints of each sample, near the set's own."""
    A = torch.tensor(P.A, dtype=torch.float32).expand(count, -1, -1)
    ones = torch.ones(count, P.m)
    direction = -(A.mT @ torch.linalg.solve(A @ A.mT, ones[..., None]))[..., 0]  # A e = -1
    values = {"A": A + 1e-3, "b": ones, "lower": -ones, "interior": 0.5 * direction}
    return {name: values[name].clone() for name in names}


CONE, TIGHT = random_cone(6, 4), cn.Polyhedron(random_cone(6, 4).A, b=1.0)
PER_SAMPLE = {
    "half_spaces, b": ("half_spaces", CONE, ("b",)),
    "half_spaces, both bounds": (
        "half_spaces",
        cn.Polyhedron(CONE.A, 1.0, C=np.ones((1, 6)), lower=-1.0),
        ("b", "lower"),
    ),
    "shift, b": ("shift", CONE, ("b",)),
    "shift, rows and directions": ("shift", CONE, ("A", "interior")),
    "gauge, b": ("gauge", TIGHT, ("b",)),
    "gauge, rows and points": ("gauge", TIGHT, ("A", "b", "interior")),
    "blocks, b": ("blocks", cn.Polyhedron.product(CONE, TIGHT), ("b",)),
}


@pytest.mark.parametrize("strict", [False, True, "tight"])
@pytest.mark.parametrize("case", PER_SAMPLE)
def test_constraints_of_each_sample(case, strict, as_on_cuda):
    method, P, names = PER_SAMPLE[case]
    for gradient in ("exact", "inward"):
        layer = cn.constrain(P, method, strict=strict, gradient=gradient)
        z = latent(layer, torch.float32, 5)
        assert call(layer, z, as_on_cuda, **given(P, names)) == []


def test_a_sample_that_would_be_refused_is_nan_on_cuda(as_on_cuda):
    """The host would have to look; with `check_finite=True` it does."""
    z, outside = latent(cn.constrain(TIGHT, "gauge"), torch.float32, 3), torch.zeros(3, 6)
    outside[1] = 100 * given(TIGHT, ("interior",))["interior"][0].neg()
    for strict in (False, True, "tight"):
        layer = cn.constrain(TIGHT, "gauge", strict=strict)
        x = layer(as_on_cuda(z), interior=as_on_cuda(outside))
        assert x.isnan().all(-1).tolist() == [False, True, False] and not x[[0, 2]].isnan().any()
        layer = cn.constrain(TIGHT, "gauge", strict=strict, check_finite=True)
        with pytest.raises(cn.UnsupportedSetError, match=r"not interior.*\[1, "):
            layer(as_on_cuda(z), interior=as_on_cuda(outside))


@pytest.mark.parametrize("method", ["rays", "half_spaces", "shift", "auto"])
@pytest.mark.parametrize("norm", ["batch", "layer", None])
def test_the_layer_in_training_and_evaluation(method, norm, as_on_cuda):
    needs_engine(method)
    layer = cn.ConstrainedLinear(7, CONE, method=method, norm=norm, box=True, scaling_epoch=1)
    optimizer = torch.optim.Adam(layer.parameters())
    with round_trips() as found:
        for epoch in range(3):
            layer.set_epoch(epoch)
            for mode in (True, False):
                layer.train(mode)
                layer(as_on_cuda(torch.ones(4, 7).cumsum(0))).square().sum().backward()
            optimizer.step()
    assert found == []


# -- on a device that is not there ------------------------------------------------------------------------


def runs_there(layer: nn.Module, width: int, monkeypatch, **rows: torch.Size) -> None:
    """Every operator takes tensors of the device alone, and no values."""
    monkeypatch.setattr(kernels._choice, "_found", lambda: True)
    for fused in (False, True):
        for dtype in DTYPES:
            copy = deepcopy(layer)
            with pretended_cuda(), kernels.fused(fused, always=True):
                made = {name: torch.empty(shape, device="cuda") for name, shape in rows.items()}
                x = moved(copy)(torch.empty(5, width, dtype=dtype, device="cuda"), **made)
            assert x.is_cuda and x.dtype == dtype


@each_map
def test_maps_stay_on_the_device(entry, monkeypatch):
    for _, layer in layers(entry):
        runs_there(layer, layer.in_features, monkeypatch)


@pytest.mark.parametrize("name", PLANNED)
def test_what_the_planner_chooses_stays_on_the_device(name, monkeypatch):
    for strict in (False, True, "tight"):
        layer = cn.constrain(PLANNED[name][0], strict=strict)
        runs_there(layer, layer.in_features, monkeypatch)


@pytest.mark.parametrize("case", PER_SAMPLE)
def test_constraints_of_each_sample_stay_on_the_device(case, monkeypatch):
    method, P, names = PER_SAMPLE[case]
    shapes = {name: value.shape for name, value in given(P, names).items()}
    for strict in (False, True, "tight"):
        layer = cn.constrain(P, method, strict=strict)
        runs_there(layer, layer.in_features, monkeypatch, **shapes)


def test_the_layer_stays_on_the_device():
    for norm in ("batch", "layer"):
        layer = cn.ConstrainedLinear(7, CONE, method="half_spaces", norm=norm, box=True, scaling_epoch=-1)
        layer.train(norm == "layer")  # the statistics of a batch need values
        with pretended_cuda():
            assert moved(layer)(torch.empty(5, 7, device="cuda")).is_cuda


def test_a_constant_of_the_host_is_found():
    class Wrong(nn.Module):
        def forward(self, z):
            return z + torch.arange(3.0)

    with pytest.raises(Exception, match="device"), pretended_cuda():
        Wrong()(torch.empty(5, 3, device="cuda"))


# -- on a device --------------------------------------------------------------------------------------------


@pytest.fixture
def refuse_to_wait():
    """Every synchronisation of torch raises."""

    def run(call):
        call()  # kernels are compiled and libraries loaded
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            with round_trips("cuda") as found:
                call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert found == []

    return run


def there(layer: nn.Module, dtype: torch.dtype) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    layer = deepcopy(layer).cuda()
    z, v = (latent(layer, dtype, 7, seed=seed).cuda() for seed in (0, 1))
    return layer, z, v


@pytest.mark.cuda
@each_map
def test_a_device_does_not_wait(entry, refuse_to_wait):
    for _, original in layers(entry):
        for dtype in DTYPES:
            layer, z, _ = there(original, dtype)
            z.requires_grad_()
            refuse_to_wait(lambda layer=layer, z=z: layer(z).float().square().sum().backward())


@pytest.mark.cuda
@pytest.mark.parametrize("case", PER_SAMPLE)
def test_a_device_does_not_wait_for_constraints_of_each_sample(case, refuse_to_wait):
    method, P, names = PER_SAMPLE[case]
    rows = {name: value.cuda() for name, value in given(P, names).items()}
    for strict in (False, True, "tight"):
        layer, z, _ = there(cn.constrain(P, method, strict=strict), torch.float32)
        refuse_to_wait(lambda layer=layer, z=z: layer(z, **rows))


@pytest.mark.cuda
@each_map
def test_a_map_in_a_cuda_graph(entry):
    for name, original in layers(entry):
        layer, z, other = there(original, torch.float32)
        z.requires_grad_()
        v = torch.ones(7, layer.out_features, device="cuda")
        graph, (x, back) = captured(layer, z, v)
        with torch.no_grad():
            z.copy_(other)
        graph.replay()
        expected = layer(z)
        (of_z,) = torch.autograd.grad(expected, z, v)
        for value, wanted in ((x, expected), (back, of_z)):
            size = float(wanted.abs().max()) + 1
            assert torch.allclose(value, wanted, atol=256 * 2.0**-23 * size), name


def captured(layer: nn.Module, z: torch.Tensor, v: torch.Tensor):
    """A graph of forward and backward pass, and the tensors that a replay fills."""

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        x = layer(z)
        return x, torch.autograd.grad(x, z, v)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            both()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        values = both()
    return graph, values
