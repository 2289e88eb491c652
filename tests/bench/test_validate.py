"""The checks of `python -m bench validate`: methods of the suite pass, each defect fails the right one."""

import numpy as np
import pytest
import torch
from torch import nn

import baselines
from baselines import AbstractProjection, Status
from bench.__main__ import main
from bench.extending import validate
from bench.methods import METHODS, ModuleMethod, Peer, Projected, method
from bench.problems import Instance
from constrained import Polyhedron, UnknownNameError, UnsupportedSetError, constrain
from tests.baselines.fake_peer import FakePeer

# One of each kind; `python -m bench validate NAME` runs any other.
QUICK = ["linear", "floor", "half_spaces", "shift", "simplex", "gauge_strict", "box_tight", "refined"]
SOLVERS = ["batched_active_set", "closed_orthogonal", "osqp", "daqp"]


@pytest.mark.parametrize("name", [*QUICK, *SOLVERS])
def test_methods_of_the_suite_pass(name):
    if name in SOLVERS and name not in baselines.available():
        pytest.skip(f"not installed: {name}")
    report = validate(method(name))
    assert report.passed, report


def test_a_layer_with_weights_passes():
    pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
    report = validate(method("paper_layer"), "monotone")
    assert report.passed, report
    assert "other outputs in training" in line(report, "modes").note


def test_a_peer_is_validated_in_its_own_process(monkeypatch):
    points = 2 * np.random.default_rng(0).standard_normal((8, 3))
    orthant = Instance("orthant", Polyhedron(np.eye(3), 1.0), points)
    monkeypatch.setattr("bench.extending._validate.instances", lambda problem: [orthant])
    report = validate(Peer(FakePeer))
    assert report.passed, report
    assert line(report, "shape").note.startswith("batches of points only")
    assert line(report, "nearest").verdict == line(report, "gradients").verdict == "pass"


def line(report, check):
    return next(line for line in report.lines if line.check == check)


class Gauge(nn.Module):
    """A layer that is right, with one method for each way to be wrong."""

    def __init__(self, polyhedron):
        super().__init__()
        self.inner, self.calls = constrain(polyhedron, "gauge"), 0

    def forward(self, z):
        return self.inner(z)


class WrongShape(Gauge):
    def forward(self, z):
        return self.inner(z).reshape(-1, z.shape[-1])


class ChangesItsInput(Gauge):
    def forward(self, z):
        return self.inner(z.mul_(0.5))


class WrongDtype(Gauge):
    def forward(self, z):
        return self.inner(z).float()


class Infeasible(Gauge):
    def forward(self, z):
        return self.inner(z) + 1e-3 * torch.ones_like(z)


class InfeasibleInTraining(Gauge):
    def forward(self, z):
        return 2 * z if self.training else self.inner(z)


class WrongGradient(Gauge):
    def forward(self, z):
        x = self.inner(z)
        return x + (x - x.detach()) * 0.5


class InfiniteGradient(Gauge):
    def forward(self, z):
        return self.inner(z) + 0 * (z - z.detach()).abs().sqrt()


class Random(Gauge):
    def forward(self, z):
        return self.inner(z * (1 - 0.1 * torch.rand(())))


class RemembersTheBatch(Gauge):
    def forward(self, z):
        return self.inner(z - 0.1 * z.mean(0, keepdim=True)) if z.ndim == 2 and len(z) else self.inner(z)


class HidesNan(Gauge):
    def forward(self, z):
        return self.inner(torch.nan_to_num(z))


class NotTheNearest(Gauge):
    kind = "projection"


class MovesPoints(Gauge):
    kind = "projection"

    def forward(self, z):
        return self.inner(0.5 * z)


class Raises(Gauge):
    def forward(self, z):
        if z.ndim != 2:
            raise IndexError("too many dimensions")
        return self.inner(z)


DEFECTS = {
    WrongShape: "shape",
    ChangesItsInput: "shape",
    WrongDtype: "dtype",
    Infeasible: "feasibility",
    InfeasibleInTraining: "modes",
    WrongGradient: "gradients",
    InfiniteGradient: "gradients",
    Random: "determinism",
    RemembersTheBatch: "determinism",
    HidesNan: "nan",
    NotTheNearest: "nearest",
    MovesPoints: "identity",
    Raises: "shape",
}


def test_the_layer_that_is_right_passes():
    report = validate(ModuleMethod("gauge_layer", Gauge), "random_polytope")
    assert report.passed and line(report, "feasibility").verdict == "pass", report


@pytest.mark.parametrize("defect", list(DEFECTS), ids=lambda entry: entry.__name__)
def test_a_defect_fails_its_check(defect):
    report = validate(ModuleMethod("defective", defect), "random_polytope")
    found = line(report, DEFECTS[defect])
    assert not report.passed and found.verdict == "fail" and "random_polytope" in found.note, report


@pytest.mark.parametrize(("roundings", "plain", "strict"), [(4, "pass", "fail"), (1e5, "fail", "fail")])
def test_a_map_is_held_to_roundings_and_a_strict_one_to_none(monkeypatch, roundings, plain, strict):
    def loose(polyhedron, name, **options):
        module = constrain(polyhedron, name, **options)
        module.register_forward_hook(lambda module, z, x: x * (1 + roundings * torch.finfo(x.dtype).eps))
        return module

    monkeypatch.setattr("bench.methods.constrain", loose)
    assert line(validate(method("box"), "box"), "feasibility").verdict == plain
    assert line(validate(method("box_strict"), "box"), "feasibility").verdict == strict


class Sloppy(AbstractProjection):
    """The nearest point of a box, nearly."""

    name, citation, default_tol = "sloppy", "", 1e-6

    @classmethod
    def accepts(cls, polyhedron):
        return None if np.array_equal(polyhedron.A, np.eye(polyhedron.n)) else "it is no box"

    def setup(self, polyhedron, tol):
        return polyhedron.lower, polyhedron.b

    def solve(self, state, y):
        return 0.99 * np.clip(y, *state), [Status.SOLVED] * len(y)


def test_a_projection_is_held_to_the_nearest_point():
    report = validate(Projected(Sloppy))
    assert report.served == ("box-4x4",) and report.refused["random_cone-6x4"] == "it is no box"
    assert line(report, "nearest").verdict == "fail" and line(report, "feasibility").verdict == "pass"


class GivesUp(AbstractProjection):
    """The nearest point of a box, but none for points beyond a reach."""

    name, citation, default_tol, reach = "gives_up", "", 1e-6, 100.0

    def setup(self, polyhedron, tol):
        return polyhedron.lower, polyhedron.b

    def solve(self, state, y):
        far = np.abs(y).max(-1) > self.reach
        x = np.where(far[:, None], np.nan, np.clip(y, *state))
        return x, [Status.FAILED if each else Status.SOLVED for each in far]


def test_a_projection_may_give_up_points_far_away_only(monkeypatch):
    report = validate(Projected(GivesUp), "box")
    assert report.passed and "gives up 16 of the points 1000 times as far" in str(report), report
    monkeypatch.setattr(GivesUp, "reach", 1.0)
    report = validate(Projected(GivesUp), "box")
    assert line(report, "feasibility").verdict == line(report, "nearest").verdict == "fail"
    assert "an answer is not finite" in line(report, "feasibility").note


class TestReport:
    def test_a_layer_that_promises_nothing_is_not_judged(self):
        factory = type("Correction", (Gauge,), {"kind": "correction"})
        report = validate(ModuleMethod("correction", factory), "box")
        assert report.passed
        for check in ("feasibility", "identity", "nearest", "modes"):
            assert line(report, check).verdict == "n/a" and line(report, check).note

    def test_a_method_that_refuses_every_set_has_not_passed(self):
        def refuses(polyhedron):
            raise UnsupportedSetError("not today")

        report = validate(ModuleMethod("refuses", refuses), "box")
        assert not report.passed and "not today" in str(report) and "--problem" in str(report)

    def test_every_set_that_is_refused_has_its_reason(self):
        report = validate(method("simplex"))
        assert report.served == ("simplex-5x5",) and len(report.refused) == 7
        assert all(report.refused.values())


class TestCommand:
    def test_a_method_that_passes(self, capsys):
        assert main(["validate", "gauge", "--problem", "box"]) == 0
        printed = capsys.readouterr().out
        assert "gauge: on box-" in printed and printed.endswith("\npass\n")

    def test_one_that_does_not(self, capsys, monkeypatch):
        monkeypatch.setattr("bench.extending._command.method", lambda name: ModuleMethod(name, Infeasible))
        assert main(["validate", "infeasible", "--problem", "box"]) == 1
        assert capsys.readouterr().out.endswith("\nfail\n")

    def test_an_unknown_name_lists_the_known_ones(self, capsys):
        assert main(["validate", "shfit"]) == 1
        assert "unknown method 'shfit'; available: 'linear'" in capsys.readouterr().err
        assert main(["validate", "shift", "--problem", "cube"]) == 1
        assert "unknown problem family 'cube'" in capsys.readouterr().err

    def test_a_missing_package_is_named(self, capsys, monkeypatch):
        monkeypatch.setattr(baselines.projection("osqp"), "requires", ("no_such_package",))
        assert main(["validate", "osqp", "--problem", "box"]) == 1
        assert "'no_such_package' is needed here" in capsys.readouterr().err


def test_a_name_that_is_wrong_in_the_library():
    with pytest.raises(UnknownNameError, match="unknown method 'shfit'"):
        constrain(Polyhedron(np.eye(2)), "shfit")
    assert len({entry.name for entry in METHODS}) == len(METHODS)
