"""Products of independent blocks: as the maps of the blocks by themselves, equal blocks at once."""

import io
from copy import deepcopy

import numpy as np
import pytest
import torch

import baselines
import constrained as cn
from bench.problems.checkerboard import checkerboard, checkerboard_box
from bench.problems.random_cone import random_cone
from constrained.parameterizations import Box, Gauge, HalfSpaces, Refined, Shift, Simplex
from constrained.parameterizations.blocks import Blocks, split
from tests.contracts import parameterization
from tests.contracts.deployment import OLD_JIT, behind_a_linear, close, forbid
from tests.contracts.parameterization import ParameterizationContract, latent
from tests.exactness import exactly_feasible

RNG = np.random.default_rng(3)


def polytope(n: int, m: int, p: int = 0) -> cn.Polyhedron:
    A, C, c = RNG.standard_normal((m, n)), RNG.standard_normal((p, n)), RNG.standard_normal(n)
    return cn.Polyhedron(A, A @ c + RNG.uniform(0.5, 1, m), C, C @ c)


def interleaved(*parts: cn.Polyhedron, seed: int = 0) -> tuple[cn.Polyhedron, list[torch.Tensor]]:
    """The product with features and rows shuffled like cards, and where the features of each part are."""
    P, rng = cn.Polyhedron.product(*parts), np.random.default_rng(seed)
    where, rows = ([np.flatnonzero(deck == k) for k in range(len(parts))] for deck in _decks(parts, rng))
    features, chosen = np.argsort(np.concatenate(where)), np.argsort(np.concatenate(rows))
    shuffled = cn.Polyhedron(P.A[chosen][:, features], P.b[chosen], P.C[:, features], P.d, P.lower[chosen])
    return shuffled, [torch.tensor(index) for index in where]


def _decks(parts, rng):
    """For each feature, then for each row, the part that it is of."""
    for sizes in ([P.n for P in parts], [P.m for P in parts]):
        yield rng.permutation(np.repeat(np.arange(len(parts)), sizes))


def mixed(*parts: cn.Polyhedron) -> cn.Polyhedron:
    return interleaved(*parts)[0]


def free(n: int) -> cn.Polyhedron:
    return cn.Polyhedron(np.zeros((0, n)))


CONE, WEDGE, BODY = random_cone(4, 3, 1), random_cone(5, 2, 2), polytope(3, 7)
SLABS = cn.Polyhedron(RNG.standard_normal((2, 3)), b=1.0, lower=-0.5)
SETS = {
    "equal blocks": cn.Polyhedron.product(CONE, CONE, CONE),
    "different blocks": cn.Polyhedron.product(BODY, SLABS, cn.Polyhedron.simplex(4), polytope(5, 6, 1)),
    "interleaved, with free features": mixed(CONE, free(2), BODY, CONE, WEDGE, BODY),
    "lone features": mixed(cn.Polyhedron.box([-1.0, 0.5], [1.0, np.inf]), CONE, free(1)),
    "one row and free features": cn.Polyhedron([[0.0, 1.0, 0.0, -2.0]], b=[1.0]),
}


@pytest.fixture(autouse=True)
def _sets(monkeypatch):
    for name, P in SETS.items():
        monkeypatch.setitem(parameterization.SETS, name, P)


class TestContract(ParameterizationContract):
    @pytest.fixture(params=list(SETS))
    def set_name(self, request):
        return request.param

    @pytest.fixture
    def build(self):
        return lambda name: Blocks(SETS[name])


class TestContractOfOneMethod(ParameterizationContract):
    """As before, with `refined`, whose parts have more buffers, and `gauge`, beside the free features."""

    @pytest.fixture(params=["refined", "gauge"])
    def method(self, request):
        return request.param

    @pytest.fixture
    def set_name(self):
        return "interleaved, with free features"

    @pytest.fixture
    def build(self, method):
        return lambda name: Blocks(SETS[name], methods=method)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# -- the same as the maps by themselves -----------------------------------------------------------------


@pytest.mark.parametrize("method", ["shift", "gauge", "refined"])
@pytest.mark.parametrize("strict", [False, True])
def test_equals_each_map_by_itself(method, strict):
    parts = [CONE, free(2), WEDGE, CONE]
    P, where = interleaved(*parts)
    layer = Blocks(P, methods=method, strict=strict).double()
    z = normal(50, P.n)
    x = layer(z)
    for part, features in zip(parts, where, strict=True):
        y = z[:, features]
        expected = cn.constrain(part, method=method, strict=strict).double()(y) if part.m else y
        assert torch.allclose(x[:, features], expected, rtol=0, atol=1e-12)
    assert len(layer.parts) == 2 and layer.projection and layer.surjective


def test_a_product_of_projections_is_the_projection():
    pytest.importorskip("daqp", reason="the extra 'baselines' is not installed: daqp")
    P = mixed(cn.Polyhedron.simplex(4), cn.Polyhedron.box([0.0, -1.0], [1.0, 2.0]), cn.Polyhedron.monotone(3))
    layer = Blocks(P).double()
    assert {part.name for part in layer.parts} == {"simplex", "box", "monotone"}
    y = 2 * normal(40, P.n)
    assert torch.allclose(layer(y), baselines.projection("daqp")(P)(y).x, rtol=0, atol=1e-7)


def test_latent_features_that_are_no_points_come_block_by_block():
    parts = [random_cone(3, 5, 4), free(2), random_cone(4, 4, 5), random_cone(3, 5, 4)]
    P, where = interleaved(*parts)
    layer = Blocks(P, methods="rays").double()
    assert not layer.projection and layer.surjective
    z = normal(30, layer.in_features)
    x, start = layer(z), 0
    kinds = [(0, 3), (2,)] if min(where[0]) < min(where[2]) else [(2,), (0, 3)]
    for part, kind in zip(layer.parts, kinds, strict=True):
        values = [x[:, where[k]] for k in sorted(kind, key=lambda k: int(where[k][0]))]
        for value in values:
            own = z[:, start : start + part.in_features]
            assert torch.allclose(value, own.abs() @ part.rays, rtol=0, atol=1e-12)
            start += part.in_features
    assert torch.equal(x[:, where[1]], z[:, start:])


def test_rays_add_up():
    """A simplicial cone of n features has n rays, a square one 4: k blocks have as many as all together."""
    square = cn.Polyhedron(-np.array([[1.0, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1]]))
    orthant = cn.Polyhedron(-np.eye(4) - 0.1)
    for k in (2, 5):
        P = cn.Polyhedron.product(*[square] * k, orthant)
        assert Blocks(P, methods="rays").in_features == 4 * k + 4
    assert Blocks(cn.Polyhedron.product(square, free(3)), methods="rays").in_features == 4 + 3
    cube = cn.Polyhedron.box([0.0] * 6, [1.0] * 6)  # 64 vertices, 2 in each of its blocks
    assert Blocks(cube, methods="rays").in_features == 12


def test_rays_are_enumerated_for_one_of_equal_blocks(monkeypatch):
    from constrained.parameterizations import rays

    seen, original = [], rays.enumerated
    monkeypatch.setattr(
        rays, "enumerated", lambda P, *args, **kwargs: seen.append(P.n) or original(P, *args, **kwargs)
    )
    Blocks(cn.Polyhedron.product(CONE, CONE, WEDGE, CONE), methods="rays")
    assert seen == [4, 5]


# -- one call for equal blocks --------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [Shift, Gauge, HalfSpaces, Refined])
@pytest.mark.parametrize("strict", [False, True])
def test_equal_blocks_are_one_call(entry, strict, monkeypatch):
    layer = Blocks(checkerboard(), methods=entry.name, strict=strict)
    name, calls = "strict_map" if strict else "map", []
    original = getattr(entry, name)

    def counted(self, z, *args, **kwargs):
        calls.append(tuple(z.shape))
        return original(self, z, *args, **kwargs)

    monkeypatch.setattr(entry, name, counted)
    z = latent(layer, torch.float32, 3, 2)
    assert layer(z).shape == (3, 2, 784)
    assert calls == [(3, 2, 8, 49), (3, 2, 8, 49)]  # a sum that is at most 0, one that is at least 0


def test_equal_means_the_same_numbers():
    one, two = cn.Polyhedron([[1.0, 2.0]], b=1.0), cn.Polyhedron([[1.0, 2.0]], b=np.nextafter(1.0, 2))
    assert len(Blocks(cn.Polyhedron.product(one, one)).parts) == 1
    assert len(Blocks(cn.Polyhedron.product(one, two)).parts) == 2
    equal = cn.Polyhedron(np.zeros((0, 2)), C=[[1.0, 2.0]], d=1.0)
    assert len(Blocks(cn.Polyhedron.product(one, equal)).parts) == 2
    low = cn.Polyhedron([[1.0, 2.0]], b=1.0, lower=0.0)
    assert len(Blocks(cn.Polyhedron.product(one, low)).parts) == 2
    negative = cn.Polyhedron([[1.0, 2.0, -0.0]]), cn.Polyhedron([[1.0, 2.0, 0.0]])
    assert len(Blocks(cn.Polyhedron.product(*negative)).parts) == 1
    assert len(Blocks(cn.Polyhedron.product(one, one), methods=("shift", "gauge")).parts) == 2


def test_no_permutation_where_the_order_is_kept():
    assert not Blocks(cn.Polyhedron.product(CONE, CONE, WEDGE, free(2))).interleaved
    assert Blocks(cn.Polyhedron.product(CONE, WEDGE, CONE)).interleaved
    assert Blocks(SETS["interleaved, with free features"]).interleaved


# -- which method -----------------------------------------------------------------------------------------


def test_the_planner_chooses_for_each_block():
    layer = Blocks(SETS["lone features"])
    assert {part.name: part.out_features for part in layer.parts} == {"box": 2, "half_spaces": 4}


def test_many_lone_features_are_one_box():
    bounds = np.arange(1.0, 201.0)
    P = cn.Polyhedron.product(cn.Polyhedron.box(-bounds, bounds), CONE)
    assert [part.name for part in Blocks(P).parts] == ["box", "half_spaces"]
    assert [len(block.features) for block in split(P)] == [200, 4]
    assert len(split(P, together=False)) == 201


def test_methods_by_name():
    P = cn.Polyhedron.product(CONE, WEDGE, CONE)
    layer = Blocks(P, methods=("shift", "half_spaces", "shift"))
    assert [part.name for part in layer.parts] == ["shift", "half_spaces"]
    with pytest.raises(cn.InvalidInputError, match="each of 3 blocks; found 2"):
        Blocks(P, methods=("shift", "shift"))
    with pytest.raises(cn.UnknownNameError, match="gague"):
        Blocks(P, methods="gague")
    with pytest.raises(cn.UnsupportedSetError, match="'half_spaces' cannot serve .* dependent"):
        Blocks(cn.Polyhedron.product(CONE, BODY), methods="half_spaces")
    assert cn.constrain(P, method="blocks", methods="gauge")(torch.zeros(13)).shape == (13,)


@pytest.mark.parametrize("P", [CONE, free(3), cn.Polyhedron.monotone(4)])
def test_a_single_block_is_refused(P):
    with pytest.raises(
        cn.UnsupportedSetError, match="'blocks' cannot serve .* its features form a single block"
    ):
        Blocks(P)


def test_an_empty_set_is_refused_for_its_own_rows():
    empty = cn.Polyhedron([[1.0, 1.0], [-1.0, -1.0]], b=[0.0, -1.0])
    with pytest.raises(cn.InfeasibleError, match="row 3 .*row 4"):
        Blocks(cn.Polyhedron.product(CONE, empty))
    zero = cn.Polyhedron(np.vstack([np.eye(2), np.zeros((1, 2))]), b=[0.0, 0.0, -1.0])
    with pytest.raises(cn.InfeasibleError, match="row 2"):
        Blocks(zero)
    with pytest.raises(cn.InfeasibleError, match="equality 0"):
        Blocks(cn.Polyhedron(np.eye(2), C=np.zeros((1, 2)), d=[1.0]))


def test_strict_names_the_row_of_the_whole_that_is_an_equality():
    flat = cn.Polyhedron([[1.0, 1.0], [-1.0, -1.0]])
    for methods in (None, "gauge"):
        with pytest.raises(cn.UnsupportedSetError, match="row 3 holds with equality"):
            Blocks(cn.Polyhedron.product(CONE, flat), methods=methods, strict=True)
    assert Blocks(cn.Polyhedron.product(CONE, flat))(torch.ones(6)).shape == (6,)


# -- constraints of each sample ---------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("method", ["shift", "gauge", "half_spaces"])
def test_rows_of_each_sample(method, strict):
    P = mixed(CONE, WEDGE, free(1), CONE)
    layer = Blocks(P, methods=method, strict=strict).double()
    whole = cn.constrain(P, method="half_spaces").double()
    z = normal(2, 30, P.n)
    b = normal(2, 30, P.m, seed=1).abs() + 0.1
    x = layer(z, b=b)
    assert (torch.tensor(P.A) @ x.unsqueeze(-1)).squeeze(-1).sub(b).max() <= (0 if strict else 1e-12)
    assert torch.equal(x, layer(z, b=b)) and not torch.allclose(x, layer(z))
    if method == "half_spaces":
        assert torch.allclose(x, whole(z, b=b), atol=1e-10)
        low = b - 1
        assert torch.allclose(layer(z, b=b, lower=low), whole(z, b=b, lower=low), atol=1e-10)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert close(compiled(z[0], b=b[0]), layer(z[0], b=b[0]))


def test_rows_of_each_sample_are_refused_where_a_block_takes_none():
    z = torch.zeros(2, 6)
    lone = Blocks(cn.Polyhedron.product(CONE, cn.Polyhedron.box([0.0, 0.0], [1.0, 1.0])))
    with pytest.raises(cn.UnsupportedSetError, match="takes no b per sample"):
        lone(z, b=torch.zeros(2, 5))
    with pytest.raises(cn.UnsupportedSetError, match="takes no A per sample"):
        Blocks(cn.Polyhedron.product(CONE, CONE))(torch.zeros(2, 8), A=torch.zeros(2, 6, 8))
    zero = cn.Polyhedron.product(CONE, CONE, cn.Polyhedron(np.zeros((1, 1)), b=1.0))
    with pytest.raises(cn.UnsupportedSetError, match="takes no b per sample"):  # a row in no block
        Blocks(zero)(torch.zeros(2, 9), b=torch.zeros(2, 7))


# -- strict mode ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [True, "tight"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", [name for name in SETS if name != "interleaved, with free features"])
def test_strict_values_are_exact(name, dtype, strict):
    P, layer = SETS[name], Blocks(SETS[name], strict=strict)
    layer = layer.double() if dtype == torch.float64 else layer
    for scale in (1e-3, 1.0, 1e3):
        z = (scale * normal(64, layer.in_features)).to(dtype)
        x = layer(z)
        assert x.dtype == dtype and exactly_feasible(P.A, P.b, P.lower, x).all()
    assert all(part.strict == strict for part in layer.parts)


@pytest.mark.parametrize("column", range(4))
def test_a_sample_that_is_not_finite_is_nan_in_every_block(column):
    layer = Blocks(SETS["one row and free features"], strict=True)
    z = normal(5, 4).float()
    expected = layer(z)
    for value in (np.nan, np.inf, -np.inf):
        broken = z.clone()
        broken[2, column] = value
        x = layer(broken)
        keep = torch.arange(5) != 2
        assert x[2].isnan().all() and torch.equal(x[keep], expected[keep])


def test_check_finite():
    layer = Blocks(SETS["equal blocks"], check_finite=True)
    with pytest.raises(cn.InvalidInputError, match="NaN"):
        layer(torch.full((1, 12), torch.nan))


# -- as an ordinary module --------------------------------------------------------------------------------


def layers() -> dict:
    return {
        "planned": Blocks(SETS["different blocks"]),
        "strict": Blocks(SETS["interleaved, with free features"], strict=True),
        "refined": Blocks(SETS["interleaved, with free features"], methods="refined", strict="tight"),
        "lone": Blocks(SETS["lone features"]),
        "tiles": Blocks(checkerboard_box(14, 14)),
        "rays": Blocks(RAYS, methods=("monotone", "rays")),
    }


RAYS = mixed(cn.Polyhedron.monotone(3), free(1), random_cone(3, 5, 4))
WHOLE = {
    "planned": SETS["different blocks"],
    "strict": SETS["interleaved, with free features"],
    "refined": SETS["interleaved, with free features"],
    "lone": SETS["lone features"],
    "tiles": checkerboard_box(14, 14),
    "rays": RAYS,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", list(WHOLE))
def test_loads_without_set_up(name, dtype, monkeypatch):
    layer = layers()[name].to(dtype)
    z = latent(layer, dtype, 6)
    expected, kept = layer(z), io.BytesIO()
    torch.save(layer.state_dict(), kept)
    kept.seek(0)
    forbid(monkeypatch)
    from constrained.analysis import _decide

    monkeypatch.setattr(_decide, "decide", None)
    empty = Blocks.without_setup(WHOLE[name], strict=layer.strict).to(dtype)
    with pytest.raises(cn.InvalidInputError, match="without set-up"):
        empty(z)
    network = behind_a_linear(empty) if dtype == torch.float32 else None
    state = torch.load(kept, weights_only=True)
    if network is not None:  # at a depth, the parts are found too
        own = {f"1.{key}": value for key, value in state.items()}
        network.load_state_dict({**own, **{f"0.{k}": v for k, v in network[0].state_dict().items()}})
    else:
        empty.load_state_dict(state)
    assert torch.equal(empty(z), expected)
    assert [part.name for part in empty.parts] == [part.name for part in layer.parts]
    for promise in ("surjective", "projection", "per_sample", "in_features", "interleaved", "strict"):
        assert getattr(empty, promise) == getattr(layer, promise)
    assert torch.equal(deepcopy(empty)(z), expected)
    again = Blocks.without_setup(WHOLE[name], strict=layer.strict).to(dtype)
    again.load_state_dict(empty.state_dict())
    assert torch.equal(again(z), expected)


def test_a_file_of_something_else_is_refused():
    empty = Blocks.without_setup(SETS["equal blocks"])
    with pytest.raises(cn.InvalidInputError, match="state_dict of method 'blocks'; found no gather"):
        empty.load_state_dict(Shift(CONE).state_dict())
    state = Blocks(SETS["equal blocks"]).state_dict()
    state["names"] = torch.tensor([list(b"half_spacez")], dtype=torch.uint8)
    with pytest.raises(cn.UnknownNameError, match="half_spacez"):
        Blocks.without_setup(SETS["equal blocks"]).load_state_dict(state)


@OLD_JIT
@pytest.mark.parametrize("name", list(WHOLE))
def test_compiles_exports_and_maps(name):
    torch._dynamo.reset()
    layer = layers()[name]
    z = latent(layer, torch.float32, 5)
    x = layer(z)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    assert close(compiled(z), x) and close(compiled(z[:3]), x[:3])
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(layer, (z,), dynamic_shapes=({0: batch},)).module()
    assert close(exported(z[:3]), x[:3])
    assert close(torch.func.vmap(layer)(z), x)
    double = deepcopy(layer).double()
    point = z[0].double()
    jacobian = torch.func.jacrev(double)(point)
    assert close(torch.func.jacfwd(double)(point), jacobian)
    ours, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    compiled(ours).square().sum().backward()
    layer(theirs).square().sum().backward()
    assert close(ours.grad, theirs.grad, 256)


@pytest.mark.parametrize("name", list(WHOLE))
def test_moves_between_dtypes(name):
    layer = layers()[name]
    z = latent(layer, torch.float64, 4)
    assert deepcopy(layer).half()(z.half()).dtype == torch.float16
    assert torch.equal(deepcopy(layer).half().double()(z), deepcopy(layer).double()(z))


def test_a_box_and_a_simplex_side_by_side_are_cheap_maps():
    layer = Blocks(cn.Polyhedron.product(cn.Polyhedron.simplex(5), cn.Polyhedron.box([0.0] * 3, [1.0] * 3)))
    assert {type(part) for part in layer.parts} == {Simplex, Box} and layer.projection
