"""What is peculiar to shift, gauge and refined: distances, rows of each sample, refusals."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import baselines
import constrained as cn
from bench.problems.random_cone import random_cone
from constrained.parameterizations import Refined

pytest.importorskip("scipy", reason="the extra 'plan' is not installed: scipy")
pytest.importorskip("daqp", reason="the extra 'baselines' is not installed: daqp")

CONE = random_cone(6, 9, seed=1)
POLYTOPE = cn.Polyhedron(
    np.random.default_rng(0).standard_normal((20, 6)), b=np.random.default_rng(1).uniform(0.2, 1.0, 20)
)
SLABS = cn.Polyhedron(np.random.default_rng(2).standard_normal((3, 6)), b=1.0, lower=-0.5)


def points(n: int, count: int = 64, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(count, n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def nearest(P: cn.Polyhedron, y: torch.Tensor) -> torch.Tensor:
    return baselines.projection("daqp")(P)(y).x


def exactly_inside(A: torch.Tensor, b: torch.Tensor, x: torch.Tensor) -> bool:
    """`A x <= b` for each sample in rational arithmetic: (batch, m, n), (batch, m), (batch, n)."""
    for rows, bounds, point in zip(A.tolist(), b.tolist(), x.tolist(), strict=True):
        exact = [Fraction(v) for v in point]
        for row, bound in zip(rows, bounds, strict=True):
            if sum(Fraction(a) * v for a, v in zip(row, exact, strict=True)) > Fraction(bound):
                return False
    return True


def test_shift_goes_along_the_deepest_direction_as_far_as_the_worst_row_asks():
    P = cn.Polyhedron([[1.0, 0.0], [0.0, 2.0]])  # e = (-1, -1)
    x = cn.constrain(P, "shift")(torch.tensor([[3.0, 1.0], [-1.0, 2.0], [-1.0, -1.0]]))
    assert torch.allclose(x, torch.tensor([[0.0, -2.0], [-3.0, 0.0], [-1.0, -1.0]]))


def test_gauge_scales_to_the_boundary_on_the_line_to_the_centre():
    layer = cn.constrain(cn.Polyhedron.box([-1.0, -1.0], 1.0), "gauge")
    x = layer(torch.tensor([[4.0, 2.0], [0.5, -0.25], [0.0, -8.0]]))
    assert torch.allclose(x, torch.tensor([[1.0, 0.5], [0.5, -0.25], [0.0, -1.0]]), atol=1e-6)


@pytest.mark.parametrize("P", [CONE, POLYTOPE, SLABS], ids=["cone", "polytope", "slabs"])
def test_refined_tends_to_the_projection(P):
    y = 2 * points(P.n)
    true = nearest(P, y)
    distance = (y - true).norm(dim=1)
    outside = distance > 1e-6
    assert outside.sum() > 20
    ratios = []
    for steps in (1, 5, 20, 1000):
        x = cn.constrain(P, "refined", steps=steps).double()(y)
        assert P.violation(x).max() <= 1e-12
        ratios.append(float(((y - x).norm(dim=1) / distance)[outside].median()))
    assert ratios[0] >= ratios[1] >= ratios[2] >= ratios[3] - 1e-12
    assert ratios[3] == pytest.approx(1, abs=1e-6)
    assert torch.allclose(x, true, atol=1e-4)


@pytest.mark.parametrize("P", [CONE, random_cone(32, 64)], ids=["6x9", "32x64"])
@pytest.mark.parametrize("rtol", [0.2, 0.01])
def test_refined_keeps_its_stated_accuracy_on_points_it_has_not_seen(P, rtol):
    layer = cn.constrain(P, "refined", rtol=rtol).double()
    y = points(P.n, 400, seed=9)
    distance = (y - nearest(P, y)).norm(dim=1)
    outside = distance > 1e-6
    ratio = float(((y - layer(y)).norm(dim=1) / distance)[outside].median())
    assert isinstance(layer, Refined) and layer.distortion <= 1 + rtol
    assert 1 <= ratio <= 1 + 2 * rtol


@pytest.mark.parametrize("P", [CONE, POLYTOPE, SLABS], ids=["cone", "polytope", "slabs"])
def test_refined_steps_no_farther_than_the_move_alone(P):
    y = points(P.n, 500, seed=3)
    refined = cn.constrain(P, "refined", steps=2).double()
    plain = cn.constrain(P, "gauge" if P is SLABS else "shift").double()(y)
    pulled = refined.pull(y)
    assert ((pulled - y).norm(dim=1) <= (plain - y).norm(dim=1) + 1e-12).all()


def test_refined_options():
    with pytest.raises(cn.InvalidInputError, match="rtol must be positive"):
        cn.constrain(CONE, "refined", rtol=0.0)
    with pytest.raises(cn.InvalidInputError, match="steps must be a whole number"):
        cn.constrain(CONE, "refined", steps=0)


def test_shift_refuses_a_set_without_an_interior_direction():
    with pytest.raises(cn.UnsupportedSetError, match="no direction leads away.*gauge"):
        cn.constrain(SLABS, "shift")


@pytest.mark.parametrize("name", ["shift", "gauge", "refined"])
def test_an_empty_set_is_refused(name):
    with pytest.raises(cn.InfeasibleError):
        cn.constrain(cn.Polyhedron([[1.0, 0.0], [-1.0, 0.0]], b=[-1.0, -1.0]), name)


class TestPerSample:
    """`layer(x, b=b)`, `layer(x, A=A, b=b)`, `layer(x, interior=c)`."""

    @pytest.mark.parametrize("name", ["shift", "half_spaces"])
    @pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
    def test_any_right_hand_side(self, name, scale):
        P = random_cone(7, 4)
        x, b = points(7), scale * points(4, seed=1)
        y = cn.constrain(P, name).double()(x, b=b)
        excess = y @ torch.tensor(P.A).mT - b
        assert excess.max() <= 1e-12 * (1 + scale)
        inside = (x @ torch.tensor(P.A).mT < b).all(-1)
        assert torch.equal(y[inside], x[inside])

    def test_the_sets_own_right_hand_side_changes_nothing(self):
        for name, P in (
            ("shift", random_cone(7, 9)),
            ("half_spaces", random_cone(7, 4)),
            ("gauge", POLYTOPE),
        ):
            layer, x = cn.constrain(P, name).double(), points(P.n)
            assert torch.allclose(layer(x, b=torch.tensor(P.b).expand(64, -1)), layer(x), atol=1e-12)

    def test_half_spaces_takes_both_bounds(self):
        A = SLABS.A
        x, low = points(6), points(3, seed=1)
        high = low + points(3, seed=2).abs()
        y = cn.constrain(SLABS, "half_spaces").double()(x, b=high, lower=low)
        product = torch.tensor(A) @ x.mT
        assert torch.allclose(y @ torch.tensor(A).mT, product.mT.clamp(low, high), atol=1e-12)

    @pytest.mark.parametrize("strict", [False, True, "tight"])
    def test_rows_of_each_sample_with_a_direction(self, strict):
        A, b = points(9 * 6, 32, seed=4).reshape(32, 9, 6), points(9, 32, seed=5)
        e = points(6, 32, seed=6)
        A = A * -torch.sign(A @ e.unsqueeze(-1))
        x = 3 * points(6, 32)
        y = cn.constrain(random_cone(6, 9), "shift", strict=strict).double()(x, A=A, b=b, interior=e)
        excess = (A @ y.unsqueeze(-1)).squeeze(-1) - b
        assert excess.max() <= (1e-10 if not strict else 0.0)
        assert not strict or exactly_inside(A, b, y)

    @pytest.mark.parametrize("strict", [False, True, "tight"])
    def test_rows_of_each_sample_with_a_point(self, strict):
        A, c = points(9 * 6, 32, seed=4).reshape(32, 9, 6), points(6, 32, seed=6)
        b = (A @ c.unsqueeze(-1)).squeeze(-1) + 0.1 + points(9, 32, seed=5).abs()
        P = cn.Polyhedron(points(54, 1)[0].reshape(9, 6), b=1.0)
        x = 3 * points(6, 32)
        y = cn.constrain(P, "gauge", strict=strict).double()(x, A=A, b=b, interior=c)
        excess = (A @ y.unsqueeze(-1)).squeeze(-1) - b
        assert excess.max() <= (1e-10 if not strict else 0.0)
        assert not strict or exactly_inside(A, b, y)
        inside = ((A @ x.unsqueeze(-1)).squeeze(-1) < b - 1e-9).all(-1)
        assert torch.allclose(y[inside], x[inside])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("name", ["shift", "half_spaces"])
    def test_strict_right_hand_sides_are_exact(self, name, dtype):
        P = random_cone(7, 4)
        x, b = points(7).to(dtype), (3 * points(4, seed=1)).to(dtype)
        y = cn.constrain(P, name, strict=True)(x, b=b)
        assert y.dtype == dtype
        assert exactly_inside(torch.tensor(P.A).expand(64, -1, -1), b.double(), y.double())

    def test_a_direction_or_point_that_is_not_interior_is_refused(self):
        shift, gauge = cn.constrain(CONE, "shift").double(), cn.constrain(POLYTOPE, "gauge").double()
        e = torch.ones(2, 6, dtype=torch.float64)
        with pytest.raises(cn.UnsupportedSetError, match="not interior.*row"):
            shift(points(6, 2), interior=e)
        with pytest.raises(cn.UnsupportedSetError, match="not interior"):
            gauge(points(6, 2), interior=100 * e)
        with pytest.raises(cn.UnsupportedSetError, match="not interior"):
            gauge(points(6, 2), b=-torch.ones(2, 20, dtype=torch.float64))

    def test_what_a_method_does_not_take_is_refused(self):
        with pytest.raises(cn.UnsupportedSetError, match="takes no A per sample; it takes: b, lower"):
            cn.constrain(SLABS, "half_spaces")(torch.zeros(2, 6), A=torch.zeros(2, 3, 6))
        with pytest.raises(cn.UnsupportedSetError, match="only for a set A x <= b"):
            cn.constrain(SLABS, "gauge")(torch.zeros(2, 6), b=torch.zeros(2, 3))
        with pytest.raises(
            cn.InvalidInputError, match=r"b per sample must have shape \(2, 9\); found \(9,\)"
        ):
            cn.constrain(CONE, "shift")(torch.zeros(2, 6), b=torch.zeros(9))

    def test_gradients_reach_rows_bounds_and_points(self):
        A, c = points(12, 3, seed=4).reshape(3, 4, 3), points(3, 3, seed=6)
        b = (A @ c.unsqueeze(-1)).squeeze(-1) + 0.5
        layer = cn.constrain(cn.Polyhedron(np.eye(4, 3), b=1.0), "gauge").double()
        inputs = [v.clone().requires_grad_() for v in (3 * points(3, 3), A, b, c)]
        assert torch.autograd.gradcheck(lambda x, A, b, c: layer(x, A=A, b=b, interior=c), inputs)
