"""Properties over random cones with fewer, as many and more rows than dimensions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import baselines
import constrained as cn
from bench.problems.random_cone import random_cone
from constrained.parameterizations import PARAMETERIZATIONS
from tests.contracts.parameterization import excess, latent

pytest.importorskip("ppl", reason="the extra 'rays' is not installed: pplpy")
pytest.importorskip("daqp", reason="the extra 'baselines' is not installed: daqp")

RELATIONS = {"m < n": lambda n, k: max(n - k, 1), "m = n": lambda n, k: n, "m > n": lambda n, k: n + k}
SIZES = {"n": st.integers(2, 7), "k": st.integers(1, 4), "seed": st.integers(0, 10**6)}


@pytest.mark.parametrize("relation", list(RELATIONS))
@given(**SIZES, dtype=st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=40, deadline=None)
def test_every_method_that_serves_a_cone_is_feasible_on_it(relation, n, k, seed, dtype):
    P = random_cone(n, RELATIONS[relation](n, k), seed)
    condition = np.linalg.cond(P.A / np.linalg.norm(P.A, axis=1, keepdims=True))
    for entry in PARAMETERIZATIONS:
        if entry.accepts(P) is None:
            layer = cn.constrain(P, method=entry.name).to(dtype)
            z = 10 * latent(layer, dtype, 50, seed=seed)
            slack = 16 * condition if entry.projection else 16  # see the promise of half_spaces
            assert excess(P, z, layer(z)).max() <= slack, entry.name


@pytest.mark.parametrize("relation", list(RELATIONS))
@given(**SIZES)
@settings(max_examples=25, deadline=None)
def test_the_nearest_point_is_feasible_and_no_ray_leads_nearer(relation, n, k, seed):
    """Moreau: x is nearest to y if and only if (y - x).x = 0 and (y - x).r <= 0 for all rays r."""
    P = random_cone(n, RELATIONS[relation](n, k), seed)
    V = cn.generators(P)
    rays = torch.tensor(np.concatenate([V.rays, V.lines, -V.lines]))
    y = torch.randn(20, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = baselines.projection("daqp")(P)(y).x
    assert P.violation(x).max() <= 1e-9
    assert ((y - x) * x).sum(-1).abs().max() <= 1e-8
    assert ((y - x) @ rays.mT).max() <= 1e-8
