"""`python -P pretended_peer.py FILE CLASS`, in a peer's own interpreter: the peer on the host and on a CUDA
device that is not there. Prints, of each set, the largest difference of points and gradients, as JSON."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
SEED = 1


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def problems(kind):
    """A cone of 5 rows and the simplex, by hand: the library is not here."""
    rows = np.random.default_rng(SEED).standard_normal((5, 12))
    rows *= -np.sign(rows @ np.ones(12))[:, None]
    nothing = np.zeros((0, 12))
    yield "cone", kind(rows, np.zeros(5), np.full(5, -np.inf), nothing, np.zeros(0))
    yield "simplex", kind(-np.eye(6), np.zeros(6), np.full(6, -np.inf), np.ones((1, 6)), np.ones(1))


def answers(entry, problem, device):
    """Points and gradients, and points without gradients."""
    generator = np.random.default_rng(SEED)
    tuning, y = generator.standard_normal((64, problem.n)), generator.standard_normal((24, problem.n))
    peer = entry("float64", 1, device)
    assert (reason := peer.start_device()) is None, reason
    state, points = peer.setup(problem, tuning), peer.load(y)
    x, gradient = peer.wait(peer.solve(state, points, True))
    alone, _ = peer.wait(peer.solve(state, points, False))
    assert all(found.is_cuda == (device == "cuda") for found in (points, x, gradient, alone))
    return [peer.unload(found) for found in (x, gradient, alone)]


def main(file, name):
    worker = module(HERE.parents[1] / "baselines" / "peers" / "_worker.py")
    worker._packages_without_their_init()
    from baselines.peers._base import Problem

    pretended_cuda = module(HERE / "pretended_cuda.py").pretended_cuda
    entry, found = worker._class(file, "", name), {}
    for case, problem in problems(Problem):
        if entry.accepts(problem) is None:
            expected = answers(entry, problem, "cpu")
            with pretended_cuda():
                there = answers(entry, problem, "cuda")
            pairs = zip(expected, there, strict=True)
            found[case] = max(float(np.abs(one - other).max()) for one, other in pairs)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
