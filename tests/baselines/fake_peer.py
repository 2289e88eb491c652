"""A peer for tests: runs in the interpreter of the tests and misbehaves on demand.

What `solve` does is decided by the first entry of the points: a number of `ACTIONS`.
"""

import os
import time

import numpy as np

from baselines.peers._base import AbstractPeer, cotangent

ACTIONS = {"error": 101.0, "sleep": 102.0, "crash": 103.0, "print": 104.0}


class FakePeer(AbstractPeer):
    name, citation, environment = "fake", "none", ""
    requires, reads = ("numpy",), ("numpy", "no-such-distribution")
    kind = "projection"
    devices = ("cpu", "cuda")

    @classmethod
    def accepts(cls, problem):
        return "it serves sets without equalities only" if len(problem.C) else None

    def setup(self, problem, tuning):
        if problem.n == 7:
            raise RuntimeError("seven features are too many")
        self.tuned = {"points": len(tuning), "mean": np.float64(tuning.mean()), "device": self.device}
        return problem

    def load(self, y):
        return y.astype(self.dtype)

    def unload(self, x):
        return x

    def solve(self, state, y, backward):
        action = next((name for name, value in ACTIONS.items() if y[0, 0] == value), "")
        if action == "error":
            raise ArithmeticError("the matrix is singular")
        if action == "sleep":
            time.sleep(60)
        if action == "crash":
            os._exit(3)
        if action == "print":
            print("a line that is no answer", flush=True)
            os.write(1, b"another\n")
        weights = np.broadcast_to(cotangent(y.shape[1]), y.shape)
        top = float(state.b[0])
        return np.minimum(y, top), np.where(y < top, weights, 0) if backward else None
