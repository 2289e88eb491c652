"""The tasks of the training comparison: the contract of every task, and what is known about each."""

import sys
from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression

import baselines
import constrained as cn
from bench.experiments.learning.tasks import TASKS, Samples
from bench.experiments.learning.tasks._tabular import split
from bench.experiments.learning.tasks.digits import DigitsBox, DigitsCone
from bench.experiments.learning.tasks.fuel import KNOTS, Fuel, falling_convex, interpolation
from bench.experiments.learning.tasks.quantiles import LEVELS, Quantiles
from bench.experiments.learning.tasks.stance import (
    ALPHA,
    MU,
    Stance,
    X,
    Y,
    _targets,
    best_allocations,
    net_map,
)
from bench.problems.contact_wrench import contact_wrench_cone, contact_wrench_rays
from constrained.errors import InvalidInputError, MissingDependencyError

RNG = np.random.default_rng(0)
PACKAGES = {"fuel": "mlxtend", "quantiles": "sklearn"}
SIZES = {"fuel": (176, 59, 157), "quantiles": (199, 66, 177), "stance": (2000, 500, 1000)}


PRIOR = tuple(entry for entry in TASKS if entry.name in SIZES)
"""The tasks whose constraint is knowledge; digits have tests of their own."""


@pytest.fixture(scope="module", params=PRIOR, ids=[entry.name for entry in PRIOR])
def task(request):
    needs(request.param)
    return request.param()


def needs(entry):
    if entry.name in PACKAGES:
        pytest.importorskip(PACKAGES[entry.name], reason=f"{PACKAGES[entry.name]} is optional")


@pytest.fixture(scope="module")
def fuel():
    needs(Fuel)
    return Fuel()


@pytest.fixture(scope="module")
def quantiles():
    needs(Quantiles)
    return Quantiles()


@pytest.fixture(scope="module")
def stance():
    return Stance()


def parts(task):
    return task.train, task.val, task.test


def feasible(task, size, scale=1.0):
    """Random points of the set."""
    layer = cn.constrain(task.polyhedron, "rays")
    generator = torch.Generator().manual_seed(0)
    return layer(scale * torch.randn(size, layer.in_features, generator=generator))


class TestTask:
    def test_splits(self, task):
        assert tuple(len(part.inputs) for part in parts(task)) == SIZES[task.name]
        for part in parts(task):
            assert part.inputs.dtype == part.targets.dtype == torch.float32
            assert len(part.targets) == len(part.inputs)
            assert part.inputs.isfinite().all() and part.targets.isfinite().all()
        whole = torch.cat([torch.cat([part.inputs, part.targets], 1) for part in parts(task)])
        assert len(whole.unique(dim=0)) == len(whole), "no sample is in two splits"

    def test_seed(self, task):
        same, other = type(task)(), type(task)(seed=1)
        for name in ("inputs", "targets"):
            for mine, copy in zip(parts(task), parts(same), strict=True):
                assert torch.equal(getattr(mine, name), getattr(copy, name))
            assert not torch.equal(getattr(task.train, name), getattr(other.train, name))

    def test_inputs_are_standardised_by_the_training_rows(self, task):
        # The columns that say where a car was built are 0 or 1.
        columns = task.train.inputs[:, : 5 if task.name == "fuel" else None]
        torch.testing.assert_close(columns.mean(0), torch.zeros(columns.shape[1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(columns.std(0, correction=0), torch.ones(columns.shape[1]))
        assert task.test.inputs[:, :5].mean(0).abs().max() > 1e-3, "the test rows have no part in it"

    def test_backbone_is_drawn_from_the_generator(self, task):
        made = []
        for seed in (0, 0, 1):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                network, width = task.backbone()
            made.append(network(task.val.inputs))
        assert made[0].shape == (len(task.val.inputs), width)
        assert torch.equal(made[0], made[1])
        assert not torch.equal(made[0], made[2])

    def test_losses_and_their_gradients(self, task):
        x = feasible(task, len(task.val.inputs)).detach().requires_grad_()
        losses = task.losses(x, task.val)
        assert losses.shape == (len(x),)
        assert (losses >= 0).all()
        losses.sum().backward()
        assert x.grad is not None and x.grad.isfinite().all()
        assert (x.grad != 0).any(1).all()

    def test_losses_do_not_look_at_other_samples(self, task):
        x = feasible(task, len(task.val.inputs))
        few = Samples(task.val.inputs[5:9], task.val.targets[5:9])
        torch.testing.assert_close(task.losses(x[5:9], few), task.losses(x, task.val)[5:9])

    @pytest.mark.parametrize("method", ["rays", "refined"])
    def test_a_network_learns_it(self, task, method):
        """A few steps over the whole of the training split, so that a target and a loss fit together."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            backbone, width = task.backbone()
            last = cn.constrain(task.polyhedron, method)
            network = torch.nn.Sequential(backbone, torch.nn.Linear(width, last.in_features), last)
        optimizer, seen = torch.optim.Adam(network.parameters(), 1e-2), []
        for _ in range(30):
            x = network(task.train.inputs)
            loss = task.losses(x, task.train).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        assert seen[-1] < 0.6 * seen[0]
        assert task.polyhedron.violation(network(task.val.inputs)).max() < 1e-4

    def test_what_is_said_of_it(self, task):
        for text in (task.name, task.title, task.loss_name, task.prior, task.source):
            assert text and "\n" not in text
        assert set(task.optimum) <= {"val", "test"}


@pytest.mark.parametrize("rows", [5, 10, 392])
def test_split_is_a_partition(rows):
    made = split(rows, seed=3)
    whole = np.concatenate([made.train, made.val, made.test])
    assert sorted(whole) == list(range(rows))
    assert list(whole) != list(range(rows))


def test_fuel_targets_are_the_cars_own_values(fuel):
    from mlxtend.data import autompg_data

    (features, mpg), rows = autompg_data(), split(392)
    weights, value = fuel.test.targets[:, :-1].numpy(), fuel.test.targets[:, -1].numpy()
    np.testing.assert_allclose(weights @ KNOTS, features[rows.test, 3], rtol=1e-5)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert ((weights > 0).sum(1) <= 2).all()
    spread = mpg[rows.train].std()
    np.testing.assert_allclose(value * spread + mpg[rows.train].mean(), mpg[rows.test], rtol=1e-5)
    assert (fuel.train.inputs[:, 5:].sum(1) == 1).all(), "each car was built somewhere"


def test_fuel_loss_by_hand(fuel):
    targets = torch.zeros(2, 17)
    targets[0, 3], targets[0, 4], targets[0, 16] = 0.25, 0.75, 1.0
    targets[1, 15], targets[1, 16] = 1.0, -2.0
    x = torch.arange(16.0).repeat(2, 1)
    # 0.25 * 3 + 0.75 * 4 = 3.75, less 1; 15, less -2.
    assert fuel.losses(x, Samples(torch.zeros(2, 8), targets)).tolist() == [2.75**2, 17.0**2]


def test_falling_convex_is_what_it_says():
    P = falling_convex(5)
    assert (P.m, P.p) == (4, 0)
    falling = cn.Polyhedron(np.eye(5, k=1)[:-1] - np.eye(5)[:-1])
    points = cn.constrain(P, "rays").double()(torch.randn(200, 6, dtype=torch.float64))
    both = cn.Polyhedron.intersection(falling, cn.Polyhedron.convex_sequence(5))
    assert both.violation(points).max() < 1e-12
    V = cn.generators(P)
    assert (len(V.rays), len(V.lines)) == (4, 1)
    assert not P.contains([4.0, 3.0, 2.0, 1.5, 0.5]), "not convex"
    assert not P.contains([4.0, 2.0, 1.0, 1.0, 2.0]), "grows at the end"


def test_interpolation():
    weights = interpolation(np.array([1.5, 2.0, 0.0, 9.0]), np.array([1.0, 2.0, 4.0]))
    assert weights.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_pinball_loss_by_hand(quantiles):
    x = torch.zeros(2, 19)
    targets = torch.tensor([[2.0], [-1.0]])
    # Above: q * 2, the mean of q being 1 / 2; below: (1 - q) * 1.
    assert quantiles.losses(x, Samples(torch.zeros(2, 10), targets)).tolist() == pytest.approx([1.0, 0.5])


def test_pinball_loss_is_least_at_the_quantiles(quantiles):
    draws = torch.from_numpy(RNG.standard_normal((2001, 1))).float()
    samples = Samples(torch.zeros(2001, 10), draws)
    best = torch.quantile(draws[:, 0], torch.tensor(LEVELS).float())
    least = quantiles.losses(best.expand(2001, 19), samples).mean()
    for k, step in product((0, 9, 18), (-0.2, 0.2)):
        moved = best.clone()
        moved[k] += step
        assert quantiles.losses(moved.expand(2001, 19), samples).mean() > least


def test_quantiles_target_and_set(quantiles):
    from sklearn.datasets import load_diabetes

    progression, rows = load_diabetes().target, split(442)
    spread, mean = progression[rows.train].std(), progression[rows.train].mean()
    np.testing.assert_allclose(quantiles.val.targets[:, 0] * spread + mean, progression[rows.val], rtol=1e-5)
    y = RNG.standard_normal((4, 19))
    x = baselines.projection("closed_isotonic")(quantiles.polyhedron)(torch.from_numpy(y)).x
    np.testing.assert_allclose(x, [isotonic_regression(row).x for row in y], atol=1e-12)


def test_projecting_quantiles_does_not_raise_their_loss(quantiles):
    y = torch.from_numpy(RNG.standard_normal((177, 19)))
    x = baselines.projection("closed_isotonic")(quantiles.polyhedron)(y).x
    assert (quantiles.losses(x, quantiles.test) < quantiles.losses(y, quantiles.test)).all()


def test_stance_draws_of_the_splits_are_independent(stance):
    """The first number drawn is where the left foot stands."""
    first = [part.inputs[:500, 6] for part in parts(stance)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (first[one] == first[other]).float().mean() < 0.1
        assert abs(np.corrcoef(first[one], first[other])[0, 1]) < 0.2


def test_stance_loss_by_hand(stance):
    """Feet side by side at y = 2 and -2, the right one turned by a quarter."""
    quarter = np.pi / 2
    targets = targets_of([[0.0, 0, 1, 0, 0, 0, 0, 2, 0, 0, -2, quarter]])
    samples = Samples(torch.zeros(1, 12), targets)
    x = torch.tensor([[0.0, 0, 1, 0, 0, 0, 0.25, 0, 0, 0, 0.5, 0]], dtype=torch.float64)
    # Left: torque y f_z = 2. Right: the force is (0, 0.25, 0), the torque (-0.5, 0, 0), at no arm in x.
    error = np.array([0, 0.25, 0, 2 - 0.5, 0, 0])
    expected = error @ error + ALPHA * (1 + 0.25**2 + 0.5**2)
    assert stance.losses(x, samples).item() == pytest.approx(expected)


def targets_of(draws):
    return torch.tensor(_targets(np.array(draws)))


def test_net_map_adds_forces_at_points():
    """The wrench of a force at a corner of a turned foot, against the cross product in the common frame."""
    place, angle, corner, force = np.array([1.5, 0.7, 0]), 0.3, np.array([X, -Y, 0]), RNG.standard_normal(3)
    targets = targets_of([[0.0] * 6 + [1.5, 0.7, angle, 0, 0, 0]])
    G, wrench = net_map(Samples(torch.zeros(1, 12), targets))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    expected = np.concatenate([turn @ force, np.cross(place + turn @ corner, turn @ force)])
    local = np.concatenate([force, np.cross(corner, force), np.zeros(6)])
    np.testing.assert_allclose(G[0].numpy() @ local, expected, atol=1e-12)
    assert not wrench.any()


def test_stance_optimum_is_attained_and_never_beaten(stance):
    assert set(stance.optimum) == {"val", "test"}
    best = best_allocations(stance.val)
    losses = stance.losses(best, stance.val)
    assert stance.polyhedron.violation(best).max() < 1e-12
    assert losses.mean().item() == stance.optimum["val"]
    for scale in (0.1, 1.0):
        others = feasible(stance, len(best), scale).double()
        assert (stance.losses(others, stance.val) > losses).all()
        # Convex: no step towards a point of the set helps.
        nearer = best + 1e-4 * (others - best)
        assert (stance.losses(nearer, stance.val) >= losses - 1e-12).all()


def test_stance_optimum_against_a_quadratic_program(stance):
    daqp = pytest.importorskip("daqp", reason="daqp is optional")
    samples = Samples(stance.val.inputs[:25], stance.val.targets[:25])
    A = stance.polyhedron.A
    zero, below, sense = np.zeros(len(A)), np.full(len(A), -1e30), np.zeros(len(A), np.int32)
    matrices, wrenches = (part.double().numpy() for part in net_map(samples))
    found = [
        daqp.solve(G.T @ G + ALPHA * np.eye(12), -G.T @ wrench, A.copy(), zero, below, sense)[0]
        for G, wrench in zip(matrices, wrenches, strict=True)
    ]
    np.testing.assert_allclose(best_allocations(samples), found, atol=1e-6)


def test_stance_target_is_not_the_projection(stance):
    """The nearest point to the optimum without constraints costs more than the optimum with them."""
    G, wrench = (part.double() for part in net_map(stance.val))
    hessian = G.mT @ G + ALPHA * torch.eye(12, dtype=torch.float64)
    free = torch.linalg.solve(hessian, (G.mT @ wrench[..., None])[..., 0])
    nearest = baselines.projection("batched_active_set")(stance.polyhedron)(free).x
    outside = stance.polyhedron.violation(free) > 1e-9
    assert 0.3 < outside.double().mean() < 0.9
    assert stance.losses(nearest, stance.val).mean() > 2 * stance.optimum["val"]
    torch.testing.assert_close(nearest[~outside], best_allocations(stance.val)[~outside], atol=1e-6, rtol=0)


@pytest.mark.parametrize("foot", [(MU, X, Y), (0.75, 0.5, 0.25), (1.0, 0.25, 2.0)])
def test_contact_wrench_cone_has_the_rays_of_its_corners(foot):
    P, rays = contact_wrench_cone(*foot), contact_wrench_rays(*foot)
    V = cn.generators(P)
    assert P.A.shape == (16, 6)
    assert len(V.lines) == 0
    found = V.rays / V.rays[:, [2]]
    assert found.shape == rays.shape
    same = abs(found[:, None] - rays).max(-1) < 1e-12
    assert (same.sum(0) == 1).all() and (same.sum(1) == 1).all(), "a permutation"


def test_contact_wrench_cone_has_no_redundant_row():
    """Each row is tight on rays that span its facet, and no two rows on the same ones."""
    P, rays = contact_wrench_cone(MU, X, Y), contact_wrench_rays(MU, X, Y)
    tight = P.A @ rays.T == 0
    assert (P.A @ rays.T <= 0).all()
    assert [np.linalg.matrix_rank(rays[row]) for row in tight] == [5] * 16
    assert len(np.unique(tight, axis=0)) == 16


def test_contact_wrench_cone_against_its_formula():
    mu, X_, Y_ = 0.7, 0.11, 0.05
    P = contact_wrench_cone(mu, X_, Y_)
    points = RNG.standard_normal((20000, 6)) * [0.5, 0.5, 0, 0.04, 0.08, 0.06] + [0, 0, 1, 0, 0, 0]
    f_x, f_y, f_z, t_x, t_y, t_z = points.T
    middle = mu * (X_ + Y_) * f_z
    formula = (
        (abs(f_x) <= mu * f_z) & (abs(f_y) <= mu * f_z) & (abs(t_x) <= Y_ * f_z) & (abs(t_y) <= X_ * f_z)
        & (t_z >= -middle + abs(Y_ * f_x - mu * t_x) + abs(X_ * f_y - mu * t_y))
        & (t_z <= middle - abs(Y_ * f_x + mu * t_x) - abs(X_ * f_y + mu * t_y))
    )  # fmt: skip
    assert 0.05 < formula.mean() < 0.95
    np.testing.assert_array_equal(P.contains(points, tol=1e-12), formula)


@pytest.mark.parametrize("foot", [(0.0, 1, 1), (0.5, -1, 1), (0.5, 1, np.inf), (np.nan, 1, 1)])
@pytest.mark.parametrize("build", [contact_wrench_cone, contact_wrench_rays])
def test_contact_wrench_cone_of_no_foot(foot, build):
    with pytest.raises(InvalidInputError, match="must be a positive finite number; found"):
        build(*foot)


@pytest.mark.parametrize(("entry", "package"), [(Fuel, "mlxtend"), (Quantiles, "sklearn")])
def test_missing_package_names_the_extra(monkeypatch, entry, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}'.*constrained\[bench\]"):
        entry()


@pytest.mark.parametrize(
    ("entry", "package", "function"),
    [(Fuel, "mlxtend.data", "autompg_data"), (Quantiles, "sklearn.datasets", "load_diabetes")],
)
def test_table_of_another_shape(monkeypatch, entry, package, function):
    needs(entry)
    table = np.zeros((3, 2)), np.zeros(3)
    monkeypatch.setattr(f"{package}.{function}", lambda **options: table)
    with pytest.raises(InvalidInputError, match=rf"{function} gave features of shape \(3, 2\), expected"):
        entry()


@pytest.mark.parametrize("entry", [DigitsBox, DigitsCone], ids=["digits", "digits_cone"])
def test_the_least_loss_of_digits_is_that_of_the_projection(entry):
    pytest.importorskip("mlxtend", reason="mlxtend is optional")
    digits = entry.create("mlxtend")
    x = torch.from_numpy(digits.project(digits.val.inputs.double().numpy()))
    assert digits.polyhedron.violation(x).max() < 1e-9
    assert digits.losses(x, digits.val).mean().item() == pytest.approx(digits.optimum["val"], rel=1e-6)
    inside = 0.99 * x
    assert digits.losses(inside, digits.val).mean().item() > digits.optimum["val"]
    assert digits.backbone()[1] == digits.train.inputs.shape[1] == digits.polyhedron.n == 784
