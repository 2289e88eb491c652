"""Every parameterization, plain and strict, under the contract of deployment."""

import os
from copy import deepcopy
from functools import cache

import pytest
import torch

import constrained as cn
from constrained.parameterizations import PARAMETERIZATIONS, AbstractParameterization
from tests.contracts.deployment import OLD_JIT, DeploymentContract, close
from tests.contracts.parameterization import SETS, latent
from tests.exactness import exactly_feasible

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")

STRICT = {False: "plain", True: "strict", "tight": "tight"}


def richness(name: str) -> int:
    """How many kinds of constraints the set has."""
    P = SETS[name]
    return (P.p > 0) + (not P.is_cone) + (not P.one_sided)


def serves(entry: type[AbstractParameterization], name: str, strict: bool | str) -> bool:
    try:
        return entry.accepts(SETS[name]) is None and bool(made(entry, name, (("strict", strict),)))
    except (cn.UnsupportedSetError, cn.TrivialSetError):
        return False


def cases(strict: bool | str) -> list[tuple]:
    """Each method on one set that it serves: the one with the most in it, in tight mode the first one."""
    found = []
    for entry in PARAMETERIZATIONS:
        if not strict or entry.strict_map is not AbstractParameterization.strict_map:
            served = [name for name in SETS if serves(entry, name, strict)]
            found.append((entry, served[0] if strict == "tight" else max(served, key=richness), strict))
    return found


def label(case: tuple) -> str:
    return f"{case[0].name}-{case[1]}-{STRICT[case[2]]}"


@cache
def made(entry, name, options) -> AbstractParameterization:
    return entry(SETS[name], **dict(options))


def build_from(case: tuple, **options) -> AbstractParameterization:
    entry, name, strict = case
    return deepcopy(made(entry, name, (("strict", strict), *options.items())))


ALL = [case for strict in STRICT for case in cases(strict)]
ONE_EACH = {case[0]: case for case in ALL if case[2] != "tight"}.values()
"""One case a method, strict where it can be; DEPLOYMENT=all runs all cases, for a few minutes more."""
CHOSEN = ALL if os.environ.get("DEPLOYMENT") == "all" else ONE_EACH


@pytest.fixture(scope="session")
def process_group(tmp_path_factory):
    store = tmp_path_factory.mktemp("ddp") / "store"
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class TestContract(DeploymentContract):
    @pytest.fixture(params=CHOSEN, ids=label)
    def case(self, request):
        torch._dynamo.reset()
        return request.param

    @pytest.fixture
    def set_name(self, case):
        return case[1]

    @pytest.fixture
    def build(self, case):
        return lambda **options: build_from(case, **options)


@OLD_JIT
@pytest.mark.parametrize("case", ONE_EACH, ids=label)
def test_the_default_compiler_gives_the_same_numbers(case):
    """Through inductor, which writes C++; seconds for each, so one case a method, strict if it can be."""
    torch._dynamo.reset()
    module, P = build_from(case), SETS[case[1]]
    compiled = torch.compile(module, fullgraph=True, dynamic=True)
    z = latent(module, torch.float32, 200, seed=1)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    x = compiled(ours)
    assert close(x, module(theirs))
    x.square().sum().backward()
    module(theirs).square().sum().backward()
    assert close(ours.grad, theirs.grad, 1024)
    if module.strict:
        for scale in (1e-3, 1.0, 1e3):
            assert exactly_feasible(P.A, P.b, P.lower, compiled(scale * z)).all()


PER_SAMPLE = [
    case
    for case in ((e, "m < n", strict) for strict in STRICT for e in PARAMETERIZATIONS)
    if "b" in case[0].per_sample and serves(*case)
]


@pytest.mark.parametrize("case", PER_SAMPLE, ids=label)
def test_right_hand_sides_of_each_sample(case):
    """Compiled, exported and under autocast as without."""
    torch._dynamo.reset()
    module = build_from(case)
    z = latent(module, torch.float32, 6, seed=2)
    b = torch.rand(6, SETS[case[1]].m, generator=torch.Generator().manual_seed(2)) + 0.5
    expected = module(z, b=b)
    assert expected.dtype == torch.float32
    assert close(torch.compile(module, backend="eager", fullgraph=True)(z, b=b), expected)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (z,), {"b": b}, dynamic_shapes={"z": {0: batch}, "b": {0: batch}})
    assert close(program.module()(z[:4], b=b[:4]), expected[:4])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module(z, b=b), expected)
        assert module(z.bfloat16(), b=b.bfloat16()).dtype == torch.bfloat16
