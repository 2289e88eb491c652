"""Strict mode on ten million outputs and more, judged in exact arithmetic: `python -m tests.exactness_sweep`.

Every method with a strict mode x True and "tight" x every set of `tests/contracts/strict.py` that it serves
x four dtypes x scales from 1e-30 to 1e30 as far as the dtype reaches, at full and at reduced precision
of products. Prints a line for each method and mode, what was refused and why, and a summary; exits
with 1 if any output was infeasible or not finite. With `--device cuda` the maps run there, with TF32 as
the reduced precision; the judge always runs on the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext

import torch

from tests.contracts import strict as on

OUTPUTS_OF_A_POINT = 1.5 * 4 * 7
"""Itself and half a point near the boundary, for four dtypes at about seven scales."""


def sweep(outputs: int, seed: int, device: str, only: list[str]) -> list[on.Tally]:
    """One tally for each method and mode; each has its share of the outputs, and so has each set in it."""
    pairs = [(e, mode) for e in on.STRICT_METHODS for mode in on.MODES if not only or e.name in only]
    tallies = []
    for entry, mode in pairs:
        tally, start = on.Tally(), time.perf_counter()
        names = [name for name in on.FAMILIES if on.accepted(entry, name)]
        for k, name in enumerate(names):
            share = outputs / (len(pairs) * len(names)) * min(1, 64 / on.family(name).n)  # a wide set is slow
            for reduced, part in ((False, 0.8), (True, 0.2)):
                count = max(8, int(part * share / OUTPUTS_OF_A_POINT))
                with on.reduced_products() if reduced else nullcontext():
                    on.run_family(entry, name, mode, count, tally, seed + 1000 * k + reduced, device)
        tallies.append(tally)
        report(f"{entry.name}, strict={mode}", tally, len(names), time.perf_counter() - start)
    return tallies


def report(label: str, tally: on.Tally, sets: int, seconds: float) -> None:
    """What came out, and the first few of what should not have."""
    print(
        f"{label}: {sets} sets, {tally.outputs} outputs, {tally.infeasible} infeasible, "
        f"{tally.not_finite} not finite; equalities within {tally.worst_equality:.2f} roundings; "
        f"{seconds:.0f} s",
        flush=True,
    )
    for line in tally.broken[:10]:
        print(f"  BROKEN {line}")
    for where, reason in tally.refused.items():
        print(f"  refused {where}: {reason.split(':', 1)[-1].strip()}")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.exactness_sweep", description=__doc__)
    parser.add_argument("--outputs", type=float, default=1.4e7, help="how many in all, about (default 1.4e7)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("methods", nargs="*", help="names of methods; default: all")
    options = parser.parse_args()
    torch.set_num_threads(1)  # small products: threads would only wait for each other
    start = time.perf_counter()
    tallies = sweep(int(options.outputs), options.seed, options.device, options.methods)
    total = {name: sum(getattr(t, name) for t in tallies) for name in ("outputs", "infeasible", "not_finite")}
    decided = [sum(getattr(t.count, name) for t in tallies) for name in ("filtered", "summed", "fractions")]
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(
        f"{total['outputs']} outputs checked in exact arithmetic, {total['infeasible']} infeasible, "
        f"{total['not_finite']} not finite ({device}, torch {torch.__version__}; rows decided by a bound, by "
        f"exact sums, by fractions: {decided[0]}, {decided[1]}, {decided[2]}; "
        f"{time.perf_counter() - start:.0f} s)"
    )
    return int(bool(total["infeasible"] or total["not_finite"]))


if __name__ == "__main__":
    sys.exit(main())
