"""`constrain`, `BoxScaling` and the paper's layer."""

import numpy as np
import pytest
import torch

import constrained as cn
from tests.interpreter import run_python

A = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
P = cn.Polyhedron(A)


def test_unknown_method_lists_those_that_exist():
    with pytest.raises(cn.UnknownNameError, match="'gague'.*'half_spaces'.*'rays'"):
        cn.constrain(P, method="gague")


def test_an_unknown_option_is_an_error():
    with pytest.raises(TypeError, match="max_ray"):
        cn.constrain(P, method="rays", max_ray=3)


def test_auto_is_what_the_plan_chooses():
    for polyhedron in (P, cn.Polyhedron([[1.0, 2.0], [2.0, 4.0]], b=1.0), cn.Polyhedron.simplex(3)):
        assert cn.constrain(polyhedron).name == cn.plan(polyhedron).method


def test_a_module_without_set_up_needs_a_method():
    with pytest.raises(cn.InvalidInputError, match="setup=False needs the method"):
        cn.constrain(P, setup=False)
    with pytest.raises(cn.InvalidInputError, match="load a state_dict first"):
        cn.constrain(P, method="shift", setup=False)(torch.zeros(1, 4))


def test_strict_is_one_of_three():
    with pytest.raises(cn.InvalidInputError, match="strict must be False, True or 'tight'; found 'exact'"):
        cn.constrain(P, method="shift", strict="exact")


def test_a_matrix_instead_of_a_polyhedron_is_refused():
    with pytest.raises(cn.InvalidInputError, match=r"found ndarray; try Polyhedron\(A\)"):
        cn.constrain(A)


class TestConstrainedLinear:
    def test_it_is_the_papers_layer(self):
        torch.manual_seed(0)
        layer = cn.ConstrainedLinear(6, P)
        weight = layer.linear.weight
        assert weight.abs().max() <= 1 / 6 and weight.abs().max() > 0.9 / 6
        assert not layer.linear.bias.any()
        h = torch.randn(32, 6)
        normalised = torch.nn.functional.batch_norm(h, None, None, training=True)
        beta = (normalised @ weight.T).abs()
        assert torch.allclose(layer(h), beta @ layer.activation.rays, atol=1e-5)

    @pytest.mark.parametrize(("norm", "kind"), [("layer", torch.nn.LayerNorm), (None, torch.nn.Identity)])
    def test_another_normalisation_or_none(self, norm, kind):
        layer = cn.ConstrainedLinear(6, P, norm=norm, lines="free", coefficients="softplus")
        assert isinstance(layer.norm, kind)
        h = 3 + 5 * torch.randn(7, 6)
        expected = torch.nn.functional.layer_norm(h, (6,)) if norm else h
        assert torch.allclose(layer(h), layer.activation(layer.linear(expected)), atol=1e-6)
        assert torch.allclose(layer(h[:1]), layer(h)[:1], atol=1e-6), "a sample does not depend on the others"

    def test_another_start(self):
        torch.manual_seed(0)
        layer = cn.ConstrainedLinear(6, P, init="default")
        torch.manual_seed(0)
        assert torch.equal(layer.linear.weight, torch.nn.Linear(6, layer.activation.in_features).weight)
        assert layer.linear.bias.any()

    @pytest.mark.parametrize("option", [{"norm": "group"}, {"init": "zeros"}])
    def test_unknown_choices_are_refused(self, option):
        with pytest.raises(cn.InvalidInputError, match="must be one of.*found"):
            cn.ConstrainedLinear(6, P, **option)

    @pytest.mark.parametrize("method", ["rays", "half_spaces"])
    def test_feasible_in_training_and_evaluation(self, method):
        layer = cn.ConstrainedLinear(6, P, method=method, box=True, scaling_epoch=1)
        h = 100 * torch.randn(2, 9, 6)
        for layer_ in (layer.train(), layer.eval()):
            x = layer_(h)
            assert x.shape == (2, 9, 4)
            assert P.violation(x).max() <= 1e-4
        assert layer.eval()(h).abs().max() <= 1

    def test_the_box_is_on_in_training_after_the_scaling_epoch(self):
        layer = cn.ConstrainedLinear(6, P, box=True)
        with torch.no_grad():
            layer.linear.weight.mul_(1000)
        h = torch.randn(20, 6)
        for epoch, inside in ((0, False), (25, False), (26, True)):
            layer.set_epoch(epoch)
            assert bool(layer(h).abs().max() <= 1) == inside
        assert layer.eval()(h).abs().max() <= 1

    def test_box_scaling_keeps_points_that_are_inside(self):
        box = cn.BoxScaling().eval()
        x = torch.tensor([[0.5, -1.0], [4.0, -2.0]])
        assert torch.equal(box(x), torch.tensor([[0.5, -1.0], [1.0, -0.5]]))

    def test_the_epoch_survives_a_state_dict(self):
        layer, other = (cn.ConstrainedLinear(6, P, box=True) for _ in range(2))
        layer.set_epoch(30)
        other.load_state_dict(layer.state_dict())
        assert int(other.box.epoch) == 30
        h = torch.randn(20, 6)
        with torch.no_grad():
            other.linear.weight.mul_(1000)
        assert other(h).abs().max() <= 1, "the box is on after epoch 25"

    def test_bad_arguments(self):
        with pytest.raises(cn.InvalidInputError, match="in_features must be at least 1"):
            cn.ConstrainedLinear(0, P)
        with pytest.raises(cn.UnsupportedSetError, match="origin"):
            cn.ConstrainedLinear(6, cn.Polyhedron(A, b=-1.0), method="half_spaces", box=True)
        with pytest.raises(cn.InvalidInputError, match=r"\(\*batch, 6\)"):
            cn.ConstrainedLinear(6, P)(torch.zeros(3, 5))

    def test_no_box_means_no_scaling(self):
        layer = cn.ConstrainedLinear(6, P, method="half_spaces").eval()
        with torch.no_grad():
            layer.linear.weight.mul_(1000)
        assert layer(torch.randn(20, 6)).abs().max() > 1


def test_import_needs_torch_and_numpy_only():
    code = (
        "import sys\n"
        "for name in ('scipy', 'ppl', 'flint', 'cdd', 'osqp', 'daqp', 'cvxpy', 'pandas', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import torch, constrained as cn\n"
        "P = cn.Polyhedron([[1.0, 1.0]])\n"
        "assert cn.constrain(P, method='half_spaces')(torch.randn(3, 2)).shape == (3, 2)\n"
        "try:\n"
        "    cn.constrain(P, method='rays')\n"
        "except cn.MissingDependencyError as error:\n"
        '    assert "constrained[rays]" in str(error), error\n'
        "else:\n"
        "    raise SystemExit('no error')\n"
    )
    run_python(code)
