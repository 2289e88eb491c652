"""Pi-net: the projection by a fixed number of Douglas-Rachford iterations on a lifted set.

    lifted   s = (x, G x): an affine set (C x = d, t = G x) and a box (bounds on x and on t)
    step     z = P_affine(s),  t = P_box(blend of 2 z - s with y, weight sigma),  s <- s + omega (t - z)

Promise: the nearest point in the limit; the last step projects onto the affine set, so the equalities
hold and the inequalities are broken by what has not converged. No residual is reported.
Gradients by the implicit function theorem, with up to 100 iterations of bicgstab as in its README: the 25
of the authors' settings left errors of 4e-2 on a small cone. Cost: one (n + m, n + m) product an
iteration, compiled by XLA. Rows of one entry are bounds of the box. omega = 1.7, its default.
Tuned at set-up, in the two stages of the authors' tuning script: sigma over a logarithmic grid, with and
without 25 Ruiz iterations of equilibration (their tuned setting, and its default: far better on cones),
until one has converged; then sigma and the smallest number of iterations, in steps of 10, whose violation
and whose distance from the converged points are under the tolerance: 1e-5 in float32, 1e-7 in float64,
times the largest entry of points and bounds. `tuned["reached"]` says whether any converged within 2000
iterations; else the best of them is used as it is. float64 needs `jax_enable_x64`, set in this process
alone. On CUDA products are computed in full float32, as torch does: what XLA would use by default there,
TF32, is 1e-3 off, and no candidate would converge.
Source: Grontas, Terpin, Balta, D'Andrea, Lygeros, "Pinet: Optimizing hard-constrained neural networks
with orthogonal projection layers", 2025. The package is called pinet-hcnn; pinet is something else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ._base import AbstractPeer, Problem, cotangent

TOLERANCE = {"float32": 1e-5, "float64": 1e-7}
SIGMAS = tuple(np.logspace(-4, np.log10(5.05), 16).tolist())
OMEGA, RUIZ, BACKWARD = 1.7, (0, 25), 100
COARSE, FINE, LONGEST, KEPT = 100, 10, 2000, 6
"""Iterations between two looks of either stage, the most there may be, candidates kept after four looks."""
SLOWEST = 0.95
"""Rate of convergence beyond which differences between two looks are rounding."""

Calls = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class Pinet(AbstractPeer):
    """`Project`, see `AbstractPeer`."""

    name, citation, environment = "pinet", "grontas2025", "jax"
    requires, reads = ("pinet",), ("pinet-hcnn", "jax", "jaxlib")
    kind = "projection"
    devices = ("cpu", "cuda")

    def start_device(self) -> str | None:
        """On CUDA: JAX's plugin, the context, and a first product."""
        if self.device == "cpu":
            return None
        import jax  # pyright: ignore[reportMissingImports]

        try:
            jax.devices("cuda")
            square = jax.numpy.ones((64, 64))
            self.wait(square @ square)
        except RuntimeError as error:
            return f"its jax {jax.__version__} sees no CUDA device: {str(error).splitlines()[0]}"
        return None

    @classmethod
    def accepts(cls, problem: Problem) -> str | None:
        """At least one constraint."""
        return None if len(problem.A) + len(problem.C) else "it needs at least one constraint"

    def setup(self, problem: Problem, tuning: np.ndarray) -> Calls:
        """The layer with tuned sigma and iterations, forward and backward compiled at the first call."""
        # Read when the package is imported: its annotations are then not checked in each call.
        os.environ.setdefault("PINET_RUNTIME_CHECK", "0")
        import jax  # pyright: ignore[reportMissingImports]

        jax.config.update("jax_enable_x64", self.dtype == "float64")
        if self.device == "cuda":
            jax.config.update("jax_default_matmul_precision", "highest")
        layer, sigma, iterations = self._tune(problem, tuning)
        from pinet import ProjectionInstance  # pyright: ignore[reportMissingImports]

        options = {} if layer.is_single_simple_constraint else {"n_iter_bwd": BACKWARD}
        weights = jax.numpy.asarray(cotangent(problem.n).astype(self.dtype))

        def forward(y: Any) -> Any:
            instance = ProjectionInstance(x=y[:, :, None])
            result, _ = layer.call(y_raw=instance, sigma=sigma, omega=OMEGA, n_iter=iterations, **options)
            return result.x[:, :, 0]

        def both(y: Any) -> tuple[Any, Any]:
            x, pull = jax.vjp(forward, y)
            return x, pull(jax.numpy.broadcast_to(weights, x.shape))[0]

        return jax.jit(forward), jax.jit(both)

    def _layer(self, problem: Problem, ruiz: int) -> Any:
        import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
        from pinet import (  # pyright: ignore[reportMissingImports]
            AffineInequalityConstraint,
            BoxConstraint,
            BoxConstraintSpecification,
            EqualityConstraint,
            EquilibrationParams,
            Project,
        )

        def column(values: np.ndarray) -> Any:
            return jnp.asarray(values.astype(self.dtype))[None, :, None]

        def matrix(values: np.ndarray) -> Any:
            return jnp.asarray(values.astype(self.dtype))[None]

        rest, low, high = problem.without_bounds()
        equal = above = box = None
        if len(rest.C):
            method = None if len(rest.A) or np.isfinite([low, high]).any() else "pinv"
            equal = EqualityConstraint(a_mat=matrix(rest.C), b=column(rest.d), method=method)
        if len(rest.A):
            above = AffineInequalityConstraint(matrix(rest.A), column(rest.lower), column(rest.b))
        if (mask := np.isfinite(low) | np.isfinite(high)).any():
            box = BoxConstraint(
                BoxConstraintSpecification(lb=column(low[mask]), ub=column(high[mask]), mask=mask)
            )
        equilibration = EquilibrationParams(max_iter=ruiz)
        return Project(equal, above, box, equilibration_params=equilibration)

    def _tune(self, problem: Problem, tuning: np.ndarray) -> tuple[Any, float, int]:
        """(layer, sigma, iterations)."""
        layers = {ruiz: self._layer(problem, ruiz) for ruiz in RUIZ}
        if layers[0].is_single_simple_constraint:  # closed form: there is no iteration
            self.tuned = {"iterations": 1, "reached": True}
            return layers[0], 1.0, 1
        bounds = np.concatenate([problem.b, problem.lower, problem.d])
        size = np.abs(np.concatenate([bounds[np.isfinite(bounds)], tuning.ravel()])).max(initial=0)
        tolerance = TOLERANCE[self.dtype] * float(size)
        runs = [_Run(self, problem, layers[ruiz], ruiz, sigma, tuning) for ruiz in RUIZ for sigma in SIGMAS]
        best, error = _converge(runs, tolerance)
        if reached := error <= tolerance:
            best, error = _shortest(runs, best.x, best.iterations, tolerance)
        self.tuned = {
            "sigma": best.sigma,
            "ruiz": best.ruiz,
            "iterations": best.iterations,
            "error": error,
            "tolerance": tolerance,
            "reached": reached,
        }
        return best.layer, best.sigma, best.iterations

    def load(self, y: np.ndarray) -> Any:
        """A JAX array on the device that comes first in `JAX_PLATFORMS`."""
        import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

        return jnp.asarray(np.asarray(y).astype(self.dtype))

    def unload(self, x: Any) -> np.ndarray:
        """An array."""
        return np.asarray(x)

    def solve(self, state: Calls, y: Any, backward: bool) -> tuple[Any, Any]:
        """Returns before the result is there."""
        forward, both = state
        return both(y) if backward else (forward(y), None)

    def wait(self, result: Any) -> Any:
        """Once it is there."""
        import jax  # pyright: ignore[reportMissingImports]

        return jax.block_until_ready(result)


class _Run:
    """The tuning points under one candidate, advanced a few iterations at a time."""

    def __init__(
        self, peer: Pinet, problem: Problem, layer: Any, ruiz: int, sigma: float, tuning: np.ndarray
    ) -> None:
        from pinet import ProjectionInstance  # pyright: ignore[reportMissingImports]

        self.problem, self.layer, self.ruiz, self.sigma = problem, layer, ruiz, sigma
        self.instance = ProjectionInstance(x=peer.load(tuning)[:, :, None])
        self.restart()

    def restart(self) -> None:
        self.iterations, self.state, self.moved = 0, None, np.inf
        self.x = np.full(self.instance.x.shape[:2], np.inf)

    def advance(self, count: int) -> None:
        result, self.state = self.layer.call(
            y_raw=self.instance, s0=self.state, sigma=self.sigma, omega=OMEGA, n_iter=count
        )
        self.x = np.asarray(result.x[:, :, 0], dtype=np.float64)
        self.iterations += count

    def error(self, target: np.ndarray) -> float:
        """The largest violation or distance from the target."""
        worst = max(float(self.problem.violation(self.x).max()), float(np.abs(self.x - target).max()))
        return worst if np.isfinite(worst) else np.inf

    def estimate(self, count: int) -> float:
        """The error after `count` more iterations, the distance from the limit as of a geometric series."""
        before, moved = self.x, self.moved
        self.advance(count)
        self.moved = float(np.abs(self.x - before).max())
        rate = min(self.moved / moved, SLOWEST) if 0 < moved < np.inf else SLOWEST
        left = self.moved / (1 - rate)
        return max(self.error(self.x), left) if np.isfinite(left) else np.inf


def _converge(runs: list[_Run], tolerance: float) -> tuple[_Run, float]:
    """The first candidate to converge with its error, or the best after LONGEST iterations."""
    errors: dict[_Run, float] = {}
    for look in range(1, LONGEST // COARSE + 1):
        errors = {run: run.estimate(COARSE) for run in errors or runs}
        best = min(errors, key=errors.__getitem__)
        if errors[best] <= tolerance or look == LONGEST // COARSE:
            return best, errors[best]
        if look == 4:
            errors = {run: errors[run] for run in sorted(errors, key=errors.__getitem__)[:KEPT]}
    raise AssertionError("there is at least one look")


def _shortest(runs: list[_Run], target: np.ndarray, limit: int, tolerance: float) -> tuple[_Run, float]:
    """The candidate that comes near the target in the fewest iterations, and how near."""
    for run in runs:
        run.restart()
    errors: dict[_Run, float] = {}
    for _ in range(0, limit, FINE):
        for run in runs:
            run.advance(FINE)
            errors[run] = run.error(target)
        if min(errors.values()) <= tolerance:
            break
    best = min(errors, key=errors.__getitem__)
    return best, errors[best]
