"""Every parameterization under the contract, and what is peculiar to each."""

import numpy as np
import pytest
import torch

import constrained as cn
from constrained.parameterizations import PARAMETERIZATIONS
from tests.contracts.parameterization import SETS, ParameterizationContract
from tests.oracles import project_orthogonal_rows

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("flint", reason="the extra 'rays' is not installed: python-flint")


PAIRS = [(entry, name) for entry in PARAMETERIZATIONS for name, P in SETS.items() if entry.accepts(P) is None]


class TestContract(ParameterizationContract):
    """Every method on every set that it accepts."""

    @pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
    def pair(self, request):
        return request.param

    @pytest.fixture
    def set_name(self, pair):
        return pair[1]

    @pytest.fixture
    def build(self, pair):
        return lambda name: cn.constrain(SETS[name], method=pair[0].name)


@pytest.mark.parametrize("entry", PARAMETERIZATIONS, ids=lambda entry: entry.name)
def test_a_set_is_served_or_refused_with_a_reason(entry):
    served = [name for name, P in SETS.items() if entry.accepts(P) is None]
    assert served
    for name in SETS.keys() - served:
        with pytest.raises(cn.UnsupportedSetError, match=f"{entry.name}.*cannot serve"):
            cn.constrain(SETS[name], method=entry.name)


def test_half_spaces_is_the_projection_for_orthogonal_rows():
    rng = np.random.default_rng(0)
    A = np.linalg.qr(rng.standard_normal((9, 4)))[0].T * rng.uniform(0.5, 3.0, (4, 1))
    y = rng.standard_normal((100, 9))
    layer = cn.constrain(cn.Polyhedron(A), method="half_spaces").double()
    assert np.allclose(layer(torch.tensor(y)).numpy(), project_orthogonal_rows(A, y), atol=1e-12)


def test_half_spaces_clips_each_row_to_its_bounds():
    P = SETS["two-sided"]
    y = torch.randn(50, P.n, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x = cn.constrain(P, method="half_spaces").double()(y)
    A = torch.tensor(P.A)
    assert torch.allclose(x @ A.mT, (y @ A.mT).clamp(torch.tensor(P.lower), torch.tensor(P.b)), atol=1e-12)


@pytest.mark.parametrize(
    ("polyhedron", "reason"),
    [
        (cn.Polyhedron(np.ones((3, 2))), "linearly dependent"),
        (cn.Polyhedron([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]), "linearly dependent or nearly so"),
        (cn.Polyhedron([[1.0, 0.0], [0.0, 0.0]]), "row 1 of A is zero"),
        (cn.Polyhedron([[1.0, 2.0]], C=[[1.0, 2.0]]), "linearly dependent or nearly so"),
        (cn.Polyhedron([[1.0, 2.0]], C=[[0.0, 0.0]]), "row 0 of C is zero"),
    ],
)
def test_half_spaces_says_why_not(polyhedron, reason):
    with pytest.raises(cn.UnsupportedSetError, match=reason):
        cn.constrain(polyhedron, method="half_spaces")


def test_rays_have_unit_norm_and_lines_come_twice():
    layer = cn.constrain(cn.Polyhedron([[1.0, 1.0, 0.0]]), method="rays").double()
    rays = layer.rays.numpy()
    assert np.allclose(np.linalg.norm(rays, axis=1), 1)
    assert layer.in_features == 5  # one ray, two lines in both directions
    assert np.allclose(rays[1:3], -rays[3:5])
    assert np.allclose(rays[0], np.array([-1, -1, 0]) / 2**0.5)


@pytest.mark.parametrize("name", [name for name, P in SETS.items() if P.is_cone])
def test_skipping_zeros_does_not_change_the_combination(name):
    layer = cn.constrain(SETS[name], method="rays").double()
    V = cn.generators(SETS[name])
    R = torch.tensor(np.concatenate([V.rays, V.lines, -V.lines]))
    z = torch.randn(20, len(R), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.equal(layer.rays, R)
    assert torch.allclose(layer(z), z.abs() @ R, atol=1e-13)


def test_lines_whose_entries_underflow():
    P = cn.Polyhedron([[1e-300, 1e300, 1e300]])  # lines (-1e600, 1, 0) and (-1e600, 0, 1)
    layer = cn.constrain(P, method="rays").double()
    V = cn.generators(P)
    assert torch.equal(layer.rays, torch.tensor(np.concatenate([V.rays, V.lines, -V.lines])))
    z = torch.randn(5, layer.in_features, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(layer(z), z.abs() @ layer.rays)


def test_rays_take_the_absolute_value_of_the_coefficients():
    layer = cn.constrain(cn.Polyhedron(-np.eye(3)), method="rays")
    z = torch.tensor([[-1.0, 2.0, -3.0]])
    assert torch.equal(layer(z), layer(z.abs()))


@pytest.mark.parametrize("A", [np.vstack([np.eye(3), -np.ones((1, 3))]), np.vstack([np.eye(2), -np.eye(2)])])
def test_a_cone_that_is_only_the_origin_is_refused(A):
    with pytest.raises(cn.TrivialSetError, match=r"\{0\} only"):
        cn.constrain(cn.Polyhedron(A), method="rays")
