"""The figures, listed once, here, in the order of the report."""

from __future__ import annotations

import numpy as np

from ._base import AbstractFigure
from .ablation import Ablation
from .break_even import BreakEven
from .digits import Digits
from .feasibility import Feasibility
from .growth import Growth
from .headline import Headline
from .learned import Learned
from .learning_curves import LearningCurves
from .limits import Limits
from .means import Means
from .network_graphs import NetworkGraphs
from .pareto import Pareto
from .per_problem import PerProblem, mark_eps, mark_one
from .profiles import Profiles
from .speedup import Speedup
from .stability import Stability
from .training import TrainingCurves
from .vae_elbo import VaeElbo
from .vae_samples import VaeSamples
from .vae_traversals import VaeTraversals

FIGURES: tuple[AbstractFigure, ...] = (
    Headline(),
    Speedup("speedup_dimension", along="n", fixed="m"),
    Speedup("speedup_constraints", along="m", fixed="n"),
    Means(),
    Profiles(),
    Pareto(),
    Growth(),
    PerProblem(
        "time_per_sample",
        title="time a sample (µs)",
        caption="Median time a sample on every problem; bars from the first to the third quartile.",
        value="us_per_sample",
        spread=("us_q25", "us_q75"),
    ),
    PerProblem(
        "setup_time",
        title="set-up time (ms)",
        caption="Time from the constraints to the first call being possible: rays, factorisation, ...",
        value="setup_ms",
    ),
    BreakEven(),
    Feasibility(),
    PerProblem(
        "violation",
        title="largest violation, max(A x - b)",
        caption="Largest violation, evaluated in float64 from the returned numbers; a method that breaks "
        'nothing is drawn at "exact 0".',
        value="violation",
        roles=("embedded", "projection"),
        floor_below=float(np.finfo(np.float64).eps),
        decorate=mark_eps,
    ),
    PerProblem(
        "excess",
        title="distance moved / that of the exact projection",
        caption="How far the embedded maps that take a point move it, as a multiple of the distance to the "
        "exact projection, median; at 1 a map is as near as projection.",
        value="excess",
        roles=("embedded",),
        decorate=mark_one,
    ),
    PerProblem(
        "training_step",
        title="training step / that of Linear(n, n)",
        caption="Forward and backward of a linear layer and the constrained one, as a multiple of those of "
        "Linear(n, n) alone; bars are 95 % intervals.",
        value="ratio_linear",
        spread=("ratio_linear_low", "ratio_linear_high"),
        roles=("embedded",),
        decorate=mark_one,
        table="training_step",
    ),
    TrainingCurves(),
    Digits(),
    LearningCurves(),
    Learned(),
    Ablation(),
    Stability(),
    VaeElbo(),
    VaeSamples(),
    VaeTraversals(),
    Limits(),
    NetworkGraphs(),
)
