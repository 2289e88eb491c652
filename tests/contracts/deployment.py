"""The contract that every parameterization keeps where it is deployed: in whatever a user wraps it.

Automatic mixed precision, `torch.compile`, `torch.export`, ONNX, `torch.func`, copies and files,
distributed training. A module that meets it is an ordinary `nn.Module`.
"""

from __future__ import annotations

import io
import pickle
import sys
from copy import deepcopy

import pytest
import torch
from torch import nn

from constrained import InvalidInputError
from tests.contracts.parameterization import SETS, excess, latent

NARROW = [torch.float16, torch.bfloat16]
# What the set-up may call and a module that is loaded from a file may not.
# torch imports modules of its own that still use torch.jit, on the first use of functorch and inductor.
OLD_JIT = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
EXPENSIVE = {
    "numpy.linalg": ["pinv", "svd", "qr", "inv", "eigh", "eigvalsh", "cholesky", "solve", "lstsq"],
    "torch.linalg": ["pinv", "svd", "qr", "inv", "eigh", "eigvalsh", "cholesky", "solve", "lstsq"],
    "scipy.linalg": ["null_space", "svd", "qr", "inv", "eigh", "cholesky", "solve", "lstsq"],
    "scipy.optimize": ["linprog", "milp", "minimize", "nnls"],
    "daqp": ["solve"],
    "constrained.generators": ["generators"],
}


def close(x: torch.Tensor, expected: torch.Tensor, roundings: float = 256.0) -> bool:
    """Equal up to the order of summation, which compilers are free to choose, and what a map makes of it."""
    assert x.shape == expected.shape and x.dtype == expected.dtype
    atol = roundings * torch.finfo(x.dtype).eps * float(expected.detach().abs().max() + 1)
    return torch.allclose(x.detach(), expected.detach(), rtol=0.0, atol=atol)


def behind_a_linear(module: nn.Module, features: int = 4) -> nn.Sequential:
    """The module as it stands in a network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, module.in_features), module)


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every call in EXPENSIVE raise, also where a module of ours imported it by name."""

    def refuse(*_args, **_kwargs):
        raise AssertionError("the set-up was redone")

    for home, names in EXPENSIVE.items():
        if home not in sys.modules:
            continue
        for name in names:
            original = getattr(sys.modules[home], name)
            ours = [module for key, module in sys.modules.items() if key.split(".")[0] == "constrained"]
            for module in [sys.modules[home], *ours]:
                for bound in [key for key, value in vars(module).items() if value is original]:
                    monkeypatch.setattr(module, bound, refuse)


class DeploymentContract:
    """A subclass gives `set_name`, a name in SETS, and `build`, `build(**options)` -> module in float32."""

    @pytest.fixture
    def module(self, build):
        return build()

    @pytest.fixture
    def z(self, module):
        return latent(module, torch.float32, 6, seed=3)

    def test_first_and_second_derivatives(self, build):
        module = build().double()
        z = latent(module, torch.float64, 3, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(module, (z,))
        assert torch.autograd.gradgradcheck(module, (z,))

    @pytest.mark.parametrize("dtype", NARROW, ids=str)
    def test_autocast(self, module, set_name, dtype):
        network = behind_a_linear(module)
        inputs = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", dtype=dtype):
            z = network[0](inputs)
            x = network(inputs)
        assert z.dtype == x.dtype == dtype
        assert excess(SETS[set_name], z, x).max() <= 16
        # Autocast has no say in the constraints: the same as without it.
        assert torch.equal(x, module(z))
        x.float().square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())

    @pytest.mark.parametrize("dtype", NARROW, ids=str)
    def test_narrow_inputs(self, module, set_name, dtype):
        z = latent(module, dtype, 50, seed=2)
        x = module(z)
        assert x.dtype == dtype and x.shape == (50, module.out_features)
        assert excess(SETS[set_name], z, x).max() <= 16
        assert module.half()(z).dtype == dtype, "constants stay wide, the output narrow"

    def test_compiles_into_one_graph(self, module, z):
        explained = torch._dynamo.explain(module)(z)
        assert explained.graph_count == 1 and explained.graph_break_count == 0, explained
        torch._dynamo.reset()
        compiled = torch.compile(module, backend="eager", fullgraph=True, dynamic=False)
        assert close(compiled(z), module(z))
        assert close(compiled(z.view(2, 3, -1)), module(z).view(2, 3, -1))

    @pytest.mark.parametrize("dynamic", [True, None])
    def test_compiles_at_most_twice_for_any_batch_size(self, module, dynamic):
        from torch._dynamo.testing import CompileCounter

        counter = CompileCounter()
        compiled = torch.compile(module, backend=counter, fullgraph=True, dynamic=dynamic)
        for batch in (6, 9, 13, 40):
            z = latent(module, torch.float32, batch, seed=4)
            assert close(compiled(z), module(z))
        assert counter.frame_count <= 2

    def test_compiled_training(self, module):
        gradients = []
        for compiler in ({}, {"backend": "eager", "fullgraph": True, "dynamic": True}):
            network = behind_a_linear(module)
            run = torch.compile(network, **compiler) if compiler else network
            for batch in (9, 12):
                inputs = torch.randn(batch, 4, generator=torch.Generator().manual_seed(batch))
                run(inputs).square().mean().backward()
            gradients.append([p.grad for p in network.parameters()])
        assert all(close(one, two, 1024) for one, two in zip(*gradients, strict=True))

    def test_compiled_under_autocast(self, module):
        network = behind_a_linear(module)
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert close(compiled(inputs), network(inputs))

    def test_export(self, module, z):
        batch = torch.export.Dim("batch")
        program = torch.export.export(module, (z,), dynamic_shapes=({0: batch},))
        for size in (6, 11):
            again = latent(module, torch.float32, size, seed=5)
            assert close(program.module()(again), module(again))
        kept = io.BytesIO()
        torch.export.save(program, kept)
        kept.seek(0)
        assert close(torch.export.load(kept).module()(z), module(z))

    # Said by torch of torch's own code, and by onnxscript of onnx's.
    @pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_onnx(self, module, z, tmp_path):
        pytest.importorskip("onnxscript", reason="the extra 'test' is not installed: onnxscript")
        runtime = pytest.importorskip("onnxruntime", reason="the extra 'test' is not installed: onnxruntime")
        path = tmp_path / "map.onnx"
        shapes = ({0: torch.export.Dim("batch")},)
        torch.onnx.export(module.eval(), (z,), path, dynamo=True, dynamic_shapes=shapes, verbose=False)
        session = runtime.InferenceSession(path)
        (name,) = [given.name for given in session.get_inputs()]
        for size in (6, 11):
            again = latent(module, torch.float32, size, seed=6)
            (x,) = session.run(None, {name: again.numpy()})
            assert close(torch.from_numpy(x), module(again))

    @OLD_JIT
    def test_function_transforms(self, build):
        module = build().double()
        z = latent(module, torch.float64, 5, seed=7)
        x = module(z)
        assert close(torch.func.vmap(module)(z), x)
        expected = torch.autograd.functional.jacobian(module, z[0])
        assert close(torch.func.jacrev(module)(z[0]), expected)
        assert close(torch.func.jacfwd(module)(z[0]), expected)
        jacobians = torch.func.vmap(torch.func.jacrev(module))(z)
        assert jacobians.shape == (5, *expected.shape) and close(jacobians[0], expected)

    def test_functional_call(self, module, z):
        state = {name: value.clone() for name, value in module.state_dict().items()}
        assert torch.equal(torch.func.functional_call(module, state, (z,)), module(z))

    def test_copies(self, module, z):
        for other in (deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(other(z), module(z))
            assert torch.equal(other.double()(z.double()), deepcopy(module).double()(z.double()))
            for ours, theirs in zip(module.buffers(), other.float().buffers(), strict=True):
                assert ours.numel() == 0 or ours.data_ptr() != theirs.data_ptr()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_loads_into_a_module_built_without_set_up(self, build, set_name, dtype, tmp_path, monkeypatch):
        module = build().to(dtype)
        z = latent(module, dtype, 6, seed=8)
        expected = module(z)
        torch.save(module.state_dict(), tmp_path / "state.pt")
        forbid(monkeypatch)
        empty = type(module).without_setup(SETS[set_name], strict=module.strict).to(dtype)
        empty.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
        assert torch.equal(empty(z), expected)
        assert empty.in_features == module.in_features and empty.out_features == module.out_features
        assert torch.equal(deepcopy(empty)(z), expected)

    def test_a_module_without_set_up_says_so(self, module, set_name, z):
        empty = type(module).without_setup(SETS[set_name], strict=module.strict)
        if module.state_dict():
            with pytest.raises(InvalidInputError, match=r"without set-up.*state_dict"):
                empty(z)

    def test_distributed_data_parallel(self, module, process_group):
        network = behind_a_linear(deepcopy(module))
        inputs = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
        expected = behind_a_linear(module)
        expected(inputs).square().mean().backward()
        wrapped = nn.parallel.DistributedDataParallel(network)
        wrapped(inputs).square().mean().backward()
        for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
            assert torch.equal(ours.grad, theirs.grad)

    def test_empty_batch(self, module):
        z = latent(module, torch.float32, 0).requires_grad_()
        x = module(z)
        assert x.shape == (0, module.out_features)
        x.sum().backward()
        assert z.grad is not None and z.grad.shape == z.shape
        assert module(latent(module, torch.float32, 2, 0, 3)).shape == (2, 0, 3, module.out_features)

    def test_inputs_that_are_not_contiguous(self, module):
        z = latent(module, torch.float32, 4, 6, seed=9)
        assert close(module(z.transpose(0, 1)), module(z).transpose(0, 1))
        wide = torch.cat([z, z], -1)
        assert close(module(wide[..., ::2]), module(wide[..., ::2].contiguous()))
        assert close(module(z[0, 0].expand(5, -1)), module(z[0, 0]).expand(5, -1))

    def test_input_is_left_alone(self, module, z):
        before = z.clone()
        module(z)
        assert torch.equal(z, before)

    def test_gradient_modes(self, module, z):
        x = module(z)
        assert not x.requires_grad
        assert module(z.clone().requires_grad_()).requires_grad
        with torch.inference_mode():
            inferred = module(z)
        assert inferred.is_inference() and torch.equal(inferred, x)
        with torch.no_grad():
            assert torch.equal(module(z.clone().requires_grad_()), x)

    def test_moves_between_devices(self, module, z):
        assert torch.equal(deepcopy(module).to("cpu")(z), module(z))
        meta = deepcopy(module).to("meta")
        x = meta(z.to("meta"))
        assert x.is_meta and x.shape == (6, module.out_features)

    def test_a_broken_sample_leaves_the_others_alone(self, module, z):
        expected = module(z)
        for value in (float("nan"), float("inf"), -float("inf")):
            broken = z.clone()
            broken[2, 0] = value
            x = module(broken)
            kept = torch.arange(len(z)) != 2
            assert torch.equal(x[kept], expected[kept])

    def test_check_finite(self, build, z):
        module = build(check_finite=True)
        assert torch.equal(module(z), build()(z))
        for value in (float("nan"), float("inf")):
            broken = z.clone()
            broken[1, -1] = value
            with pytest.raises(InvalidInputError, match="NaN or inf"):
                module(broken)
