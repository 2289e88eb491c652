"""The operators of the fused kernels: on the CPU, under Triton's interpreter, compiled, on a CUDA device."""

from importlib.util import find_spec

import pytest
import torch

from constrained import kernels
from constrained.kernels import half_spaces, move, pull, pull_and_move
from constrained.kernels.half_spaces import gradient_of_half_spaces
from constrained.kernels.move import gradient_of_move
from constrained.kernels.refined import gradient_of_pull
from constrained.parameterizations import AbstractParameterization, Gauge, HalfSpaces, Refined
from tests.contracts.deployment import OLD_JIT
from tests.contracts.kernels import (
    KINDS,
    KernelContract,
    OnCuda,
    built,
    fused,
    plain,
    polytope,
    slabs,
    undressed,
)
from tests.interpreter import run_under_triton_interpreter

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="the extra 'cuda' is not installed: triton"
)
SIZE = (7, 5)
COMPILED = (
    "move", "move_backward", "half_spaces", "half_spaces_backward", "half_spaces of many rows",
    "half_spaces_backward of many rows", "onto_hull", "pull", "pull_backward", "pull_and_move",
)  # fmt: skip
OPS = {"move": move, "half_spaces": half_spaces, "pull": pull, "pull_and_move": pull_and_move}
BACKWARD = {"move": gradient_of_move, "half_spaces": gradient_of_half_spaces, "pull": gradient_of_pull}


@pytest.fixture(autouse=True)
def always_fused(monkeypatch):
    """As if on a machine with Triton, whatever the model expects to be faster."""
    monkeypatch.setattr(kernels._choice, "wins", lambda *_: True)
    monkeypatch.setattr(kernels._choice, "_found", lambda: True)


def module_of(kind: str, strict: bool = False, gradient: str = "exact", dtype=torch.float32):
    return built(kind, SIZE, strict, gradient).to(dtype)


def latent(dtype=torch.float32, *batch: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(*(batch or (6,)), SIZE[0], generator=generator, dtype=torch.float64).to(dtype)


def calls(monkeypatch, module: AbstractParameterization, z: torch.Tensor) -> list[tuple[str, tuple]]:
    """The operators that the map calls, with their arguments."""
    seen = []
    for name, op in OPS.items():
        monkeypatch.setattr(
            kernels, name, lambda *given, name=name, op=op: seen.append((name, given)) or op(*given)
        )
    fused(module, z)
    return [(name, tuple(map(detached, given))) for name, given in seen]


def detached(v):
    return undressed(v.detach()) if isinstance(v, torch.Tensor) else v


EXPECTED = {"shift": ["move"], "gauge": ["move"], "half": ["half_spaces"], "refined": ["pull", "move"]}


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("kind", KINDS)
def test_maps_call_their_operators_on_cuda_only(kind, strict, monkeypatch):
    module, z = module_of(kind, strict), latent()
    expected = EXPECTED[kind.split("_")[0].split(" ")[0]]
    assert [name for name, _ in calls(monkeypatch, module, z)] == expected
    seen = []
    for name in OPS:
        monkeypatch.setattr(kernels, name, lambda *_: seen.append(1))
    module(z), plain(module, z.as_subclass(OnCuda))
    assert not seen


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("kind", ["refined on a cone", "refined on a polytope"])
def test_refined_is_one_operator_in_inference(kind, strict, monkeypatch):
    module = built(kind, (150, 9), strict, "exact")
    z = 3 * torch.randn(6, 150, generator=torch.Generator().manual_seed(0))
    names = [name for name, _ in calls(monkeypatch, module, z.clone().requires_grad_())]
    assert names == ["pull", "move"]
    ((name, given),) = calls(monkeypatch, module, z)
    assert name == "pull_and_move"
    torch.testing.assert_close(undressed(pull_and_move(*given)), plain(module, z))
    torch.library.opcheck(pull_and_move, (z.clone().requires_grad_(), *given[1:]))
    nested = torch.func.vmap(lambda x: pull_and_move(x, *given[1:]))(z.view(2, 3, -1))
    torch.testing.assert_close(nested.view(6, -1), pull_and_move(z, *given[1:]))
    # As in a graph that was recorded without gradients.
    one, two = z.clone().requires_grad_(), z.clone().requires_grad_()
    pull_and_move(one, *given[1:]).square().sum().backward()
    plain(module, two).square().sum().backward()
    torch.testing.assert_close(one.grad, two.grad)


def test_second_derivatives_of_refined_as_one_operator():
    module = module_of("refined on a polytope", dtype=torch.float64)
    constants = (module.normals, module.normal_bias, module.start, module.factor, module.gram)
    constants += (module.inverse_depths, module.rows, module.bias, module.target, None)
    z = latent(torch.float64, 3, seed=1).requires_grad_()

    def run(z):
        return pull_and_move(z, *constants, [], 4, 0.1, False, False, torch.float64)

    assert torch.autograd.gradcheck(run, (z,)) and torch.autograd.gradgradcheck(run, (z,))


def test_per_sample_rows_wide_points_and_tight_mode_take_the_plain_path(monkeypatch):
    monkeypatch.setattr(kernels, "move", lambda *_: 1 / 0)
    polyhedron = KINDS["gauge"][1](*SIZE)
    z, b = latent(), torch.tensor(polyhedron.b, dtype=torch.float32).expand(6, -1)
    Gauge(polyhedron)(z.as_subclass(OnCuda), b=b)
    Gauge(polyhedron, strict="tight")(z.as_subclass(OnCuda))
    Gauge(polyhedron).double()(z.double().as_subclass(OnCuda))
    with pytest.raises(ZeroDivisionError):
        Gauge(polyhedron)(z.as_subclass(OnCuda))


@pytest.mark.parametrize("entry", [Gauge, HalfSpaces, Refined])
def test_rows_lie_in_one_piece_where_kernels_run(entry, monkeypatch):
    """In a buffer that follows the constants and is not saved; on the CPU there is none."""
    P, other = polytope(20, 6), slabs(20, 6)
    saved = entry(P).state_dict()
    assert entry(P).across is None
    monkeypatch.setattr(kernels._registration, "runs_kernels", lambda x: True)
    module, blank = entry(other if entry is HalfSpaces else P), entry.without_setup(P)
    assert module.state_dict().keys() == saved.keys()
    for loaded in (module, blank):
        loaded.load_state_dict(saved)
        for again in (loaded, loaded.double()):
            assert again.across.mT.is_contiguous() and torch.equal(again.across, again.rows)
    monkeypatch.undo()
    assert module.to("cpu").across is None


def test_the_switch(monkeypatch):
    x = latent().as_subclass(OnCuda)
    assert kernels.usable(x, 7, 5)
    with kernels.fused(False):
        assert not kernels.usable(x, 7, 5)
        with kernels.fused(True):
            assert kernels.usable(x, 7, 5)
    assert kernels.usable(x, 4096, 4096)
    monkeypatch.setattr(kernels._choice, "wins", lambda *_: False)
    assert not kernels.usable(x, 7, 5)
    with kernels.fused(always=True):
        assert kernels.usable(x, 7, 5)
    monkeypatch.setattr(kernels._choice, "wins", lambda *_: True)
    assert not kernels.usable(x, 4097, 5) and not kernels.usable(x, 7, 4097)
    assert not kernels.usable(x, 7, 0) and not kernels.usable(latent(), 7, 5)
    monkeypatch.setattr(kernels._choice, "_found", lambda: False)
    assert not kernels.usable(x, 7, 5)


def test_the_model_prefers_the_library_for_large_products_only():
    def ratio(n, m, products=1):
        fused, plain = kernels.model(n, m, products)
        return fused / plain

    assert ratio(784, 16) < 1 and ratio(64, 32) < 1 and ratio(784, 16, 2) < 1
    assert ratio(4096, 4096) > 1 and ratio(784, 128, 2) > ratio(784, 128, 1) * 0.9 > ratio(784, 16)


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("kind", KINDS)
def test_opcheck(kind, strict, monkeypatch):
    z = latent()
    for name, given in calls(monkeypatch, module_of(kind, strict), z):
        x = given[0].clone().requires_grad_()
        torch.library.opcheck(OPS[name], (x, *given[1:]))
        value = OPS[name](*given)
        v = torch.ones_like(value if name == "pull" else value[0])
        if name == "move":
            back = (v, given[0], given[1], given[3], *value[1:], 1.0, given[7], False)
        elif name == "half_spaces":
            pulls = torch.ones(given[1].shape[1])
            back = (v, *given[:3], pulls, given[5], *value[1:], 1.0, given[9])
        else:
            back = (v, *given[:-1])
        torch.library.opcheck(BACKWARD[name], back)


@OLD_JIT
@pytest.mark.parametrize("gradient", ["exact", "inward"])
@pytest.mark.parametrize("kind", KINDS)
def test_first_and_second_derivatives(kind, gradient, monkeypatch):
    if gradient == "inward" and kind.startswith("refined"):
        pytest.skip("refined has no gradient='inward'")
    monkeypatch.setattr(kernels._choice, "DTYPES", (torch.float64,))
    module = module_of(kind, gradient=gradient, dtype=torch.float64)
    z = latent(torch.float64, 3, seed=1)
    if gradient == "exact":
        z.requires_grad_()
        assert torch.autograd.gradcheck(lambda z: fused(module, z), (z,))
        assert torch.autograd.gradgradcheck(lambda z: fused(module, z), (z,))
        return
    weights = latent(torch.float64, 3, seed=2)
    found = []
    for run in (fused, plain):
        again = z.clone().requires_grad_()
        for graph in (False, True):
            (g,) = torch.autograd.grad((run(module, again) * weights).sum(), again, create_graph=graph)
            found.append(g.detach())
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], found[3])


@OLD_JIT
@pytest.mark.parametrize("kind", KINDS)
def test_function_transforms(kind, monkeypatch):
    module, z = module_of(kind), latent(torch.float32, 3, 4)
    name, given = calls(monkeypatch, module, latent())[0]
    run = lambda x, *others: OPS[name](x, *(others or given[1:]))  # noqa: E731
    first = (lambda v: v) if name == "pull" else (lambda v: v[0])
    expected = first(run(z.view(12, -1))).view(3, 4, -1)
    torch.testing.assert_close(first(torch.func.vmap(run)(z)), expected)
    torch.testing.assert_close(first(torch.func.vmap(run, in_dims=1, out_dims=1)(z)), expected)
    # Constants that differ between the batches.
    split = torch.func.vmap(lambda x, rows: first(run(x, rows, *given[2:])))
    torch.testing.assert_close(split(z, given[1].expand(3, *given[1].shape)), expected)
    # Derivatives by torch.func take the plain path.
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: fused(module, x)))(z[0])
    torch.testing.assert_close(jacobian, torch.func.vmap(torch.func.jacrev(module))(z[0]))
    torch.testing.assert_close(jacobian, torch.func.vmap(torch.func.jacfwd(module))(z[0]))


class Network(torch.nn.Module):
    """What a user would compile, with the operator called whatever the device is."""

    def __init__(self, name: str, given: tuple) -> None:
        super().__init__()
        self.name, self.given = name, given

    def forward(self, x):
        value = getattr(torch.ops.constrained, self.name)(x, *self.given)
        return value if self.name == "pull" else value[0]


@pytest.mark.parametrize("kind", ["gauge", "half_spaces of slabs", "refined on a cone"])
def test_graphs_see_one_node(kind, monkeypatch):
    name, given = calls(monkeypatch, module_of(kind), latent())[0]
    network, z = Network(name, given[1:]), latent(torch.float32, 9)
    program = torch.export.export(network, (z,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    assert [str(node.target) for node in nodes if "getitem" not in str(node.target)] == [
        f"constrained.{name}.default"
    ]
    torch.testing.assert_close(program.module()(latent(torch.float32, 4)), network(latent(torch.float32, 4)))
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=True)
    for batch in (5, 8):
        one, two = (latent(torch.float32, batch).requires_grad_() for _ in range(2))
        compiled(one).square().sum().backward()
        network(two).square().sum().backward()
        torch.testing.assert_close(one.grad, two.grad)


@pytest.mark.parametrize("strict", [False, True], ids=["plain", "strict"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_calls_of_the_maps_compile_into_one_graph(kind, strict, monkeypatch):
    monkeypatch.undo()  # a graph holds what `usable` says, not what stands in for it
    module = module_of(kind, strict)

    def run(z):
        assert kernels.usable(z, *SIZE) is False  # on the CPU; traced, with all that it asks
        if kind.startswith("half_spaces"):
            return module._fused(z, z.dtype)
        x = module._fused_pull(z) if module.pulls else z
        return module.fused_move(x, None, z.dtype)

    torch._dynamo.reset()
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True, dynamic=True)
    for batch in (5, 8):
        torch.testing.assert_close(compiled(latent(torch.float32, batch)), run(latent(torch.float32, batch)))


@needs_triton
def test_the_kernels_under_the_interpreter():
    run_under_triton_interpreter("tests/kernels_interpreted.py")


@needs_triton
@pytest.mark.parametrize("name", COMPILED)
def test_the_kernels_compile_for_a_device_that_is_not_here(name):
    from tests.kernels_compiled import KERNELS, compiled, holds_samples_whole

    for options in KERNELS[name]:
        stages = compiled(name, **options)
        if holds_samples_whole(name, options):
            tile = f"tensor<{options['SAMPLES']}x{options['FEATURES']}x"
            lines = [line for line in stages["ttgir"].splitlines() if "convert_layout" in line]
            assert lines and not any(tile in line for line in lines), "points are laid out anew"
        text = stages["ptx"]
        assert ".target sm_80" in text and "fma.rn.f32" in text
        # Neither TF32 nor divisions and roots that are not rounded to nearest.
        assert "tf32" not in text and "mma" not in text and ".approx" not in text and ".full." not in text


@pytest.mark.cuda
class TestOnCuda(KernelContract):
    device, batch = "cuda", 1000
    sizes = ((784, 16), (100, 37), (8, 3), (2048, 6), (300, 130))

    @pytest.mark.parametrize("kind", ["gauge", "half_spaces of slabs", "refined on a polytope"])
    def test_choice_and_capture(self, kind):
        """The map itself, in a CUDA graph."""
        module = built(kind, (784, 16), True, "exact").to("cuda")
        z = self.points(module, torch.float32)
        expected = module(z)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            x = module(z)
        graph.replay()
        assert torch.equal(x, expected)
