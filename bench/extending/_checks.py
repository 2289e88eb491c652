"""The checks, one function each: a `Trial` in, a `Verdict` out; what one measures stands in its first line.

Everything is judged in float64 from the set and the returned numbers (`bench/metrics.py`), never from
what a method says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from constrained.errors import ConstraintError

from ..methods import Projected
from ..metrics import broken_share, distance, violations
from ._subject import Subject, weights
from ._trial import ROUNDINGS, Trial, Verdict, judged, not_applicable

SCALES = (0.1, 1.0, 1e3)
BATCHES = ((7,), (0,), (), (2, 3))
INDEPENDENCE = 1e-6
"""How far the other samples of a batch may move an output, relative, beside the accuracy of the method."""


def shape(trial: Trial) -> Verdict:
    """(*batch, in_features) becomes (*batch, n), an empty batch included; the input is left alone."""
    subject = trial.subject(torch.float32)
    for batch in BATCHES if subject.batches else BATCHES[:1]:
        z = torch.zeros(*batch, subject.in_features) + trial.inputs(torch.float32)[0]
        before = z.clone()
        x = subject.call(z)
        expected = (*batch, trial.polyhedron.n)
        if tuple(x.shape) != expected:
            return judged(False, note=f"{tuple(z.shape)} gave {tuple(x.shape)}, expected {expected}")
        if not torch.equal(z, before):
            return judged(False, note="the input was changed")
    return judged(True, note="" if subject.batches else "batches of points only: it takes no others")


def dtype(trial: Trial) -> Verdict:
    """float32 and float64 come back as they were given."""
    for wanted in (torch.float32, torch.float64):
        found = trial.subject(wanted).call(trial.inputs(wanted)).dtype
        if found != wanted:
            return judged(False, note=f"{wanted} gave {found}")
    return judged(True)


def device(trial: Trial) -> Verdict:
    """The output is on the device of the input."""
    kinds = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for kind in kinds:
        target = torch.device(kind)
        found = trial.subject(torch.float32, target).call(trial.inputs(torch.float32).to(target)).device
        if found.type != kind:
            return judged(False, note=f"an input on {kind} gave an output on {found.type}")
    return judged(True, note="" if len(kinds) > 1 else "cpu; there is no CUDA device here")


def feasibility(trial: Trial) -> Verdict:
    """The largest violation of a row, relative to the sums that were formed; float32 and float64.

    A projection may give up a point far away, as NaN with the status FAILED; it is then no answer.
    """
    if trial.promises_nothing:
        return not_applicable("it does not promise a point of the set")
    outputs, given_up = [], 0
    for wanted in (torch.float32, torch.float64):
        for scale in SCALES:
            z = trial.inputs(wanted, scale)
            x = trial.subject(wanted).call(z)
            if isinstance(trial.method, Projected) and scale == SCALES[-1]:
                found = torch.isfinite(x).all(-1)
                z, x, given_up = z[found], x[found], given_up + int((~found).sum())
            outputs.append((z, x))
    verdict = _feasible(trial, outputs)
    if not given_up:
        return verdict
    return replace(
        verdict, note=f"{verdict.note}; gives up {given_up} of the points {SCALES[-1]:g} times as far"
    )


def _feasible(trial: Trial, outputs: Iterable[tuple[Tensor, Tensor]]) -> Verdict:
    """Whether each pair of an input and its output is within what is allowed."""
    largest, good = 0.0, True
    for z, x in outputs:
        points = x.double().numpy()
        if not np.isfinite(points).all():
            return judged(False, np.inf, "an answer is not finite")
        relative = float(np.max(violations(trial.polyhedron, points) / trial.size(z, x), initial=0.0))
        largest, good = max(largest, relative), good and relative <= trial.allowed(x.dtype)
        if trial.strict and broken_share(trial.polyhedron, points) > 0:
            return judged(False, largest, "it breaks an inequality, and promises to break none")
    accuracy = f"{trial.accuracy:.0e} and " if trial.accuracy else ""
    exact = "; inequalities hold exactly" if trial.strict else ""
    return judged(good, largest, f"allowed: {accuracy}{ROUNDINGS:g} roundings{exact}")


def identity(trial: Trial) -> Verdict:
    """How far a point of the set is moved, relative."""
    if not trial.subject().projects:
        return not_applicable("it does not promise to keep the points of the set")
    x = trial.subject().call(torch.tensor(trial.feasible)).numpy()
    moved = distance(x, trial.feasible)
    return judged(moved <= max(trial.accuracy, 1e-9), moved)


def nearest(trial: Trial) -> Verdict:
    """The distance from the certified nearest point, relative."""
    if not trial.nearest_promised:
        return not_applicable("it does not promise the nearest point")
    x = trial.subject().call(torch.tensor(trial.instance.points)).numpy()
    error = distance(x, trial.nearest)
    return judged(error <= trial.accuracy, error)


def gradients(trial: Trial) -> Verdict:
    """The largest error of a directional derivative against finite differences, relative, off the kinks."""
    subject = trial.subject()
    if subject.gradient is None:
        return not_applicable("it has no gradient")
    z = trial.inputs()
    found = subject.gradient(z)
    if found.shape != z.shape or not torch.isfinite(found).all():
        return judged(False, note=f"a gradient is not finite or not of shape {tuple(z.shape)}")
    direction = torch.randn(z.shape, dtype=z.dtype, generator=torch.Generator().manual_seed(1))
    exact = trial.accuracy == 0
    step, tolerance = (1e-6, 1e-4) if exact else (1e-4, 5e-2)
    ahead, behind = _slopes(subject, z, direction, step, trial.polyhedron.n)
    smooth = (ahead - behind).abs() <= tolerance * (1 + ahead.abs())
    if not smooth.any():
        return not_applicable("every point tried is on a kink")
    error = ((found * direction).sum(-1) - (ahead + behind) / 2).abs() / (1 + ahead.abs())
    worst = float(error[smooth].max())
    return judged(worst <= tolerance, worst)


def _slopes(subject: Subject, z: Tensor, v: Tensor, step: float, n: int) -> tuple[Tensor, Tensor]:
    """One-sided differences along `v`, (q,) each: they agree except where a kink lies between."""
    below, here, above = ((subject.call(z + t * v) * weights(n)).sum(-1) for t in (-step, 0.0, step))
    return (above - here) / step, (here - below) / step


def determinism(trial: Trial) -> Verdict:
    """How far an output moves, relative, when the call is made again, or its point alone in a batch.

    Two set-ups give the same bits. So does the same call twice, unless the method iterates to an accuracy,
    when it may start where it ended.
    """
    subject, other, z = trial.again(), trial.again(), trial.inputs()
    try:
        x = subject.call(z)
        if not torch.equal(x, other.call(z)):
            return judged(False, note="two set-ups gave different bits")
        again = subject.call(z)
        same = torch.equal(x, again)
        if not same and not trial.accuracy:
            return judged(False, note="the same call gave other bits")
        alone = torch.cat([subject.call(point[None]) for point in z])
    finally:
        subject.close()
        other.close()
    moved = max(distance(again.numpy(), x.numpy()), distance(alone.numpy(), x.numpy()))
    note = "" if same else "the same call gave other bits, as an iteration that starts where it ended does"
    return judged(moved <= INDEPENDENCE + trial.accuracy, moved, note)


def nan(trial: Trial) -> Verdict:
    """A sample with a NaN is refused or not finite, and the other samples are as without it."""
    subject, z = trial.subject(), trial.inputs()
    clean = subject.call(z)
    if trial.promises_nothing:
        z[1] = torch.nan  # it may complete some features from the others, and never read those
    else:
        z[1, 0] = torch.nan
    try:
        x = subject.call(z)
    except ConstraintError:
        return judged(True, note="refuses the call")
    if bool(torch.isfinite(x[1]).all()):
        return judged(False, note="a sample with a NaN gave plausible numbers")
    others = torch.arange(len(z)) != 1
    moved = distance(x[others].numpy(), clean[others].numpy())
    return judged(moved <= INDEPENDENCE + trial.accuracy, moved)


def modes(trial: Trial) -> Verdict:
    """The largest violation of a row in training mode, relative; float64."""
    if trial.subject().module is None:
        return not_applicable("it is not a module")
    if trial.promises_nothing:
        return not_applicable("it does not promise a point of the set")
    subject, z = trial.again(), trial.inputs()  # a copy: training may move running statistics
    assert subject.module is not None
    evaluated = subject.call(z)
    subject.module.train()
    x = subject.call(z)
    found = _feasible(trial, [(z, x)])
    return (
        found
        if torch.equal(x, evaluated)
        else replace(found, note=f"other outputs in training; {found.note}")
    )


CHECKS: dict[str, Callable[[Trial], Verdict]] = {
    check.__name__: check
    for check in (
        shape, dtype, device, feasibility, identity, nearest, gradients, determinism, nan, modes,
    )
}  # fmt: skip
