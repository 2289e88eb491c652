"""Strict mode on ten million outputs and more, each judged in exact arithmetic: `python -m tests.exactness_sweep`.

Every method with a strict mode x True and "tight" x every set of `tests/contracts/strict.py` that it serves x four
dtypes x scales from 1e-30 to 1e30 as far as the dtype reaches, at full and at reduced precision of
products. Prints a line for each method and mode, what was refused and why, and a summary; exits with 1
if any output was infeasible or not finite. With `--device cuda` the maps run there, with TF32 as
the reduced precision; the judge always runs on the CPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import nullcontext

import torch

from tests.contracts import strict as on


def passes(outputs: int, seed: int, device: str, only: list[str]) -> tuple[list[on.Tally], list[str]]:
    """One tally for each method and mode; set after set until each has its share of the outputs."""
    pairs = [
        (entry, mode) for entry in on.STRICT_METHODS for mode in on.MODES if not only or entry.name in only
    ]
    tallies, lines = [], []
    for entry, mode in pairs:
        tally, start = on.Tally(), time.perf_counter()
        names = [name for name in on.FAMILIES if on.accepted(entry, name)]
        share = outputs / (len(pairs) * len(names))
        for k, name in enumerate(names):
            # 1.5 outputs a point; a wide set has fewer, so that it does not take all the time.
            wanted = min(share, 64 * share / on.family(name).n) / (1.5 * 4 * 7)
            for reduced in (False, True):
                count = max(8, int(wanted * (0.8 if not reduced else 0.2)))
                with on.reduced_products() if reduced else nullcontext():
                    on.run_family(entry, name, mode, count, tally, seed + 1000 * k + reduced, device)
        tallies.append(tally)
        lines.append(f"{entry.name}, strict={mode}")
        report(lines[-1], tally, len(names), time.perf_counter() - start)
    return tallies, lines


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
    for (where, reason), times in Counter(
        (key.split(", ")[1], f"{key.rsplit(', ', 1)[1]}: {why.split(':', 1)[1].strip()}")
        for key, why in tally.refused.items()
    ).items():
        print(f"  refused {where}, {reason} ({times})")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exactness_sweep", description=__doc__)
    parser.add_argument("--outputs", type=float, default=1.2e7, help="how many in all, about (default 1.2e7)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("methods", nargs="*", help="names of methods; default: all")
    options = parser.parse_args()
    start = time.perf_counter()
    torch.set_num_threads(1)  # small products: threads would only wait for each other
    tallies, _ = passes(int(options.outputs), options.seed, options.device, options.methods)
    total = {name: sum(getattr(t, name) for t in tallies) for name in ("outputs", "infeasible", "not_finite")}
    decided = [sum(getattr(t.count, name) for t in tallies) for name in ("filtered", "summed", "fractions")]
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(
        f"{total['outputs']} outputs checked in exact arithmetic, {total['infeasible']} infeasible, "
        f"{total['not_finite']} not finite ({device}, torch {torch.__version__}; rows decided by a bound, by exact "
        f"sums, by fractions: {decided[0]}, {decided[1]}, {decided[2]}; {time.perf_counter() - start:.0f} s)"
    )
    return int(bool(total["infeasible"] or total["not_finite"]))


if __name__ == "__main__":
    sys.exit(main())
