"""The parts of the autoencoders: codes and divergences, last steps, ELBO, noise, tables, figures, report."""

import math

import numpy as np
import pytest
import torch
from torch import distributions

from bench._tables_io import Tables, read_table, write_table
from bench.experiments.vae import _evaluation, _timing, tables
from bench.experiments.vae._codes import CODES, ExponentialCode, code
from bench.experiments.vae._evaluation import Elbo, elbo, exact, judge
from bench.experiments.vae._methods import FREE, METHOD_NAMES, METHODS, PROJECTED, method
from bench.experiments.vae._model import SIGMA, Vae, log_likelihood
from bench.experiments.vae._noise import batches, normal
from bench.experiments.vae._outputs import OUTPUTS, output
from bench.experiments.vae._training import schedule
from bench.experiments.vae.tables import vae_rows, vae_tables
from bench.intervals import mean_interval
from bench.plots import FIGURES, NothingToDrawError
from bench.plots._images import tile_sums
from bench.problems.checkerboard import checkerboard, checkerboard_box
from bench.report._document import markdown
from bench.report._pictures import Pictures
from bench.report._vae import vae
from bench.schema import TABLES
from constrained.errors import UnknownNameError
from tests.exactness import exactly_feasible
from tests.fixtures.vae_tables import vae_image_rows, vae_training_rows
from tests.fixtures.vae_tables import vae_rows as made

D = 3
STEPS = [entry.name for entry in OUTPUTS if entry.method]
FIGURE = {figure.name: figure for figure in FIGURES}


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [entry.name for entry in CODES])
def test_codes_are_in_their_set_and_strictly_so_on_request(name):
    h, noise = 3 * drawn(64, 2 * D), drawn(64, D, seed=1)
    for strict in (False, True):
        entry = code(name).build(D, strict)
        for z in (entry.posterior(h, noise), entry.prior(noise), entry.prior(entry.centre(h))):
            assert z.shape == (64, D) and torch.isfinite(z).all()
            if (P := entry.polyhedron) is not None:
                assert P.violation(z).max() < 1e-4
                assert not strict or exactly_feasible(P.A, P.b, P.lower, z).all()
    assert name != "cone" or entry.polyhedron.m > D


def test_the_divergence_of_a_gaussian_is_that_of_torch():
    h = drawn(9, 2 * D)
    mu, log_variance = h.chunk(2, -1)
    q = distributions.Normal(mu, (log_variance / 2).exp())
    expected = distributions.kl_divergence(q, distributions.Normal(0.0, 1.0))
    for name in ("free", "box", "cone", "nonnegative"):  # of u, whatever the map is
        assert torch.allclose(code(name).build(D).divergence(h), expected, atol=1e-6)


def weibull(h):
    """The posterior of the exponential code, by the names of torch."""
    log_shape, log_scale = h.double().chunk(2, -1)
    return distributions.Weibull(log_scale.exp(), 0.3 + log_shape.exp())


def test_the_divergence_of_the_exponential_code_is_that_of_a_sample():
    entry, h = code("exponential").build(D), torch.tensor([[0.0, 1.0, 2.0, 0.2, -0.5, 0.4]])
    assert isinstance(entry, ExponentialCode)
    q = weibull(h)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        z = q.sample((400_000,))
    ratio = q.log_prob(z) - distributions.Exponential(torch.tensor(1.0).double()).log_prob(z)
    error = ratio.std(0) / math.sqrt(len(z))
    assert ((ratio.mean(0) - entry.divergence(h)).abs() < 4 * error).all()
    assert error.max() < 5e-3
    # At shape 1 and scale 1 the posterior is the prior.
    prior = torch.tensor([[math.log(0.7)] * D + [0.0] * D])
    assert entry.divergence(prior).abs().max() < 1e-6


def test_draws_of_the_exponential_code_have_its_distribution():
    entry, h = code("exponential").build(D), torch.tensor([[0.0, 1.0, 2.0, 0.2, -0.5, 0.4]])
    noise = drawn(100_000, D)
    z = entry.posterior(h.expand(len(noise), -1), noise)
    assert torch.allclose(weibull(h).cdf(z.double()).quantile(0.3, 0), torch.tensor(0.3).double(), atol=1e-2)
    assert entry.prior(noise).mean(0).tolist() == pytest.approx([1.0] * D, rel=2e-2)
    middle = entry.prior(entry.centre(h))
    assert torch.allclose(weibull(h).cdf(middle.double()), torch.tensor(0.5).double(), atol=1e-3)


def test_codes_far_out_are_finite():
    entry = code("exponential").build(D)
    far = entry.prior(torch.tensor([[-40.0, 0.0, 40.0]]))
    assert (far > 0).all() and torch.isfinite(far).all()
    h = torch.full((1, 2 * D), 20.0)
    assert torch.isfinite(entry.posterior(h, drawn(1, D))).all()


@pytest.mark.parametrize("name", STEPS)
def test_images_are_in_the_set_and_strictly_so_on_request(name):
    P = checkerboard_box()
    for strict in (False, True):
        last = output(name).build(strict)
        for scale in (0.1, 3.0, 50.0):
            x = last(scale * drawn(16, last.in_features))
            assert P.violation(x).max() < 2e-5 * max(1.0, scale / 3)
            assert not strict or exactly_feasible(P.A, P.b, P.lower, x).all()
        assert last(drawn(0, last.in_features)).shape == (0, 784)


def test_strict_images_are_those_of_the_plain_network_up_to_rounding():
    for name in ("half_spaces", "blocks"):
        plain, strict = (Vae(method(name), D, 8, strict=strict) for strict in (False, True))
        strict.load_weights(plain.weights())
        noise = drawn(16, D)
        assert torch.allclose(plain.sample(noise), strict.sample(noise), atol=1e-4)


def test_weights_of_another_network_are_refused():
    network = Vae(method("unconstrained"), D, 8)
    for other in (Vae(method("unconstrained"), D, 9), Vae(method("unconstrained"), D + 1, 8)):
        with pytest.raises(RuntimeError):
            network.load_weights(other.weights())
    with pytest.raises(KeyError):
        network.load_weights({})


def test_no_layer_sees_the_batch():
    for entry in METHODS:
        if entry.name != "rays":  # the same network, and its rays take a second
            names = {type(module).__name__ for module in Vae(entry, D, 8).modules()}
            assert not [name for name in names if "Norm" in name]


def test_the_likelihood_is_that_of_torch():
    x, y = drawn(4, 784), drawn(4, 784, seed=1)
    expected = distributions.Normal(x.double(), SIGMA).log_prob(y.double()).sum(-1)
    assert torch.allclose(log_likelihood(x.double(), y.double()), expected)


def test_the_elbo_is_that_of_projected_images():
    network = Vae(method(PROJECTED), D, 8)
    with torch.no_grad():
        network.decoder[2].bias.add_(torch.as_tensor(checkerboard().A.sum(0)).float())  # far outside
    y = drawn(6, 784).clamp(-1, 1)
    found = elbo(network, y, samples=2)
    terms = []
    for draw in range(2):
        noise = normal(6, D, 0, _evaluation.EVALUATION, draw)
        h = network.encoder(y)
        x = exact(network.decode(network.code.posterior(h, noise)))
        terms.append(log_likelihood(x, y).mean().item())
    assert found.reconstruction == pytest.approx(np.mean(terms), rel=1e-6)
    assert found.divergence == pytest.approx(network.code.divergence(h).sum(-1).mean().item(), rel=1e-5)
    assert found.elbo == found.reconstruction - found.divergence
    free = Vae(method(FREE), D, 8)
    free.load_weights(network.weights())
    assert elbo(free, y, samples=2).reconstruction != pytest.approx(found.reconstruction, rel=1e-3)


def test_the_judge_looks_at_images_or_codes():
    y, noise = drawn(5, 784).clamp(-1, 1), drawn(5, D)
    free = Vae(method(FREE), D, 8)
    with torch.no_grad():
        free.decoder[2].bias.copy_(0.5 * torch.as_tensor(checkerboard().A.sum(0)).float())
    judged = judge(free, y, noise)
    assert judged["sample_violation"] > 5 and judged["sample_infeasible_share"] == 1
    codes = Vae(method("box_code"), D, 8)
    assert judge(codes, y, noise)["sample_violation"] < 1e-6
    codes.code.map = torch.nn.Identity()
    broken = judge(codes, y, 10 * noise)
    assert broken["sample_violation"] == pytest.approx(10 * noise.abs().max().item() - 1)
    assert 0 < broken["reconstruction_infeasible_share"] <= 1


def test_noise_depends_on_its_key_alone():
    assert torch.equal(normal(5, D, 1, 2), normal(5, D, 1, 2))
    assert not torch.equal(normal(5, D, 1, 2), normal(5, D, 2, 1))
    for size in (1, 16, 33):
        found = batches(size, 16, seed=0, epoch=1)
        assert sorted(torch.cat(found).tolist()) == list(range(size))
    assert not torch.equal(batches(33, 16, 0, 1)[0], batches(33, 16, 0, 2)[0])


def test_the_learning_rate_rises_and_falls():
    rates = [schedule(step / 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[10] == 1
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_unknown_names():
    for find, kind in ((method, "method"), (code, "code"), (output, "output")):
        with pytest.raises(UnknownNameError, match=f"unknown {kind} 'nothing'"):
            find("nothing")


def test_the_fastest_projection_is_accurate_and_wins_both_heats(monkeypatch):
    class Fake:
        def __init__(self, name):
            self.name = name

        def accepts(self, target):
            return "not this set" if self.name == "no" else None

        def __call__(self, target):
            return self

    seconds = {"osqp": 3.0, "daqp": 1.0, "wrong": math.inf, "slow": 9.0, "slower": 10.0}
    asked = []

    def timed(entry, y):
        asked.append((entry.name, len(y)))
        return seconds[entry.name] if len(y) == 1 or entry.name != "daqp" else 4.0

    monkeypatch.setattr(_timing, "projection", Fake)
    monkeypatch.setattr(_timing, "available", lambda: [*seconds, "no"])
    monkeypatch.setattr(_timing, "_seconds", timed)
    y = torch.zeros(50, 784)
    assert _timing.fastest(("daqp", "wrong", "slow", "slower", "no", "absent"), y) == "osqp"
    assert {name for name, size in asked if size == 50} == {"osqp", "daqp", "slow"}


def test_a_projection_that_is_not_accurate_is_never_the_fastest():
    class Wrong:
        def __call__(self, y):
            return type("", (), {"x": y})()

    assert _timing._seconds(Wrong(), torch.full((2, 784), 3.0)) == math.inf
    assert _timing._seconds(Wrong(), torch.zeros(2, 784)) < 60


def result(name, seed, val, rate=1e-3, violation=0.0):
    """A row of a training, made by hand."""
    terms = {f"{s}_{t}": val for s in ("val", "test") for t in ("elbo", "reconstruction", "divergence")}
    judged = {
        f"{what}_{value}": violation
        for what in ("reconstruction", "sample")
        for value in ("violation", "infeasible_share")
    }
    return {
        "table": "vae", "method": name, "seed": seed, "learning_rate": rate, "status": "ok", "reason": "",
        "train_seconds": 1.0, "parameters": 7, **terms, **judged,
    }  # fmt: skip


def timing(name, solver, strict, seconds):
    return {
        "table": "vae_timing", "method": name, "projection": solver, "strict": strict, "samples": 1000,
        "seconds": [seconds] * 3,
    }  # fmt: skip


def test_the_numbers_of_the_table_by_hand():
    rows = [
        result("blocks", 0, -5.0, violation=0.25), result("blocks", 0, -9.0, rate=1e-2),
        result("blocks", 1, -7.0, violation=0.75),
        result(PROJECTED, 0, -6.0), result(PROJECTED, 1, -9.0),
        timing("blocks", "", False, 0.5), timing("blocks", "", True, 2.0),
        timing(PROJECTED, "osqp", False, 6.0), timing(PROJECTED, "daqp", False, 3.0),
    ]  # fmt: skip
    found = vae_rows(
        rows, {"data": "d", "epochs": 2, "batch_size": 3, "latent": 4, "hidden": 5, "samples": 6}
    )
    assert [(row["method"], row["projection"]) for row in found] == [
        ("blocks", ""), (PROJECTED, "osqp"), (PROJECTED, "daqp"),
    ]  # fmt: skip
    blocks, osqp, daqp = found
    assert blocks["val_elbo"] == -6 and blocks["learning_rate"] == 1e-3 and blocks["seeds"] == 2
    assert blocks["val_difference"] == 1.5
    half = 12.7062 * np.std([1, 2], ddof=1) / math.sqrt(2)
    assert blocks["val_difference_high"] - 1.5 == pytest.approx(half, rel=1e-5)
    assert blocks["sample_violation"] == 0.75 and blocks["sample_infeasible_share"] == 0.5
    assert blocks["seconds_10k"] == 5 and blocks["strict_seconds_10k"] == 20
    assert blocks["speedup_osqp"] == pytest.approx(12) and blocks["speedup_best"] == pytest.approx(6)
    assert blocks["best_projection"] == "daqp" and daqp["fastest"] and not osqp["fastest"]
    assert osqp["sample_violation"] == 0 and daqp["sample_violation"] is None
    assert osqp["strict_seconds_10k"] is None


def test_a_failed_method_is_a_row_with_its_reason():
    rows = [result(PROJECTED, 0, -6.0)]
    rows.append({**result("rays", 0, 0.0), "status": "failed", "reason": "too large"})
    failed = next(row for row in vae_rows(rows, {}) if row["method"] == "rays")
    assert (failed["status"], failed["reason"]) == ("failed", "too large")


def test_one_value_has_no_interval():
    assert mean_interval([2.0], "v") == {"v": 2.0, "v_low": None, "v_high": None}
    assert mean_interval([], "v") == {"v": None, "v_low": None, "v_high": None}


def test_made_tables_are_those_that_are_declared(tmp_path):
    for name, rows in (
        ("vae", made()), ("vae_training", vae_training_rows()), ("vae_images", vae_image_rows()),
    ):  # fmt: skip
        write_table(tmp_path / f"{name}.csv", rows, TABLES[name])
        assert len(read_table(tmp_path / f"{name}.csv", TABLES[name])) == len(rows)
    assert {row["method"] for row in made()} == set(METHOD_NAMES)


def test_tile_sums_have_the_sign_of_the_constraint():
    signs = checkerboard().A.sum(0)
    assert (tile_sums(0.5 * signs.reshape(28, 28)) == 24.5).all()
    image = drawn(784).numpy()
    assert np.allclose(tile_sums(image.reshape(28, 28)).ravel(), checkerboard().A @ image)


def read(tmp_path, name, rows):
    write_table(tmp_path / f"{name}.csv", rows, TABLES[name])
    return read_table(tmp_path / f"{name}.csv", TABLES[name])


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_samples_show_which_tiles_are_broken(tmp_path):
    figure = FIGURE["vae_samples"].draw(rows := read(tmp_path, "vae_images", vae_image_rows()))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["half_spaces", "blocks", PROJECTED, FREE]
    broken = [text for text in texts(figure) if "broken" in text]
    assert broken == ["0 of 64\ntiles broken"] * 3 + ["32 of 64\ntiles broken"]
    data = FIGURE["vae_samples"].data(rows)
    worst = {row["panel"]: max(row[f"tile{i}"] for i in range(16)) for row in data}
    assert worst[FREE] == 24.5 and worst["blocks"] < 5e-3
    with pytest.raises(NothingToDrawError, match="no row"):
        FIGURE["vae_samples"].draw([row for row in rows if row["kind"] == "walk"])


def test_walks_have_a_panel_for_each_method(tmp_path):
    figure = FIGURE["vae_traversals"].draw(read(tmp_path, "vae_images", vae_image_rows()))
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()][-1] == "box_code"
    with pytest.raises(NothingToDrawError):
        FIGURE["vae_traversals"].draw([])


def test_the_elbo_has_two_groups_with_their_references(tmp_path):
    figure = FIGURE["vae_elbo"].draw(read(tmp_path, "vae", made()))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert f"minus that of {PROJECTED} (nats)" in titles and f"minus that of {FREE} (nats)" in titles
    shown = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    assert sorted(shown) == sorted(METHOD_NAMES)
    single = FIGURE["vae_elbo"].draw(read(tmp_path, "vae", made(seeds=1)))
    assert "one seed has none" in single.get_supxlabel()


def report(tmp_path, rows):
    found = Tables(tmp_path / "tables" / "cpu", {"vae": rows}, None)
    return markdown(vae(found, Pictures(tmp_path, "cpu", tmp_path)))


def test_the_report_says_who_is_best_and_how_certain_that_is(tmp_path):
    text = report(tmp_path, rows := read(tmp_path, "vae", made()))
    assert "`blocks`, reaches the validation ELBO of the projection at test time: +9.0 nats" in text
    assert "(95 %: +8.0 to +10.0, 5 seeds)" in text
    assert "30 times faster than osqp" in text and "faster than daqp" in text
    assert "**9.0 [8.0, 10.0]**" in text
    assert f"`{PROJECTED}` (`daqp`)" in text
    for row in rows:
        row["val_difference"] = -1.0
    assert "does not reach" in report(tmp_path, rows)
    assert "without an interval" in report(tmp_path, read(tmp_path, "vae", made(seeds=1)))


def test_the_report_without_a_run_says_what_makes_one(tmp_path):
    assert "python -m bench run vae" in report(tmp_path, None)


def test_tables_need_no_projection_and_no_pictures():
    found = vae_tables([result("blocks", 0, -5.0)], {})
    assert len(found["vae"]) == 1 and found["vae"][0]["seconds_10k"] is None
    assert found["vae_images"] == [] == found["vae_training"]
    assert found["vae"][0]["sigma"] == SIGMA and tables.SIGMA == SIGMA
    assert Elbo(1.0, 0.5).columns("val")["val_elbo"] == 0.5
