"""`python -m baselines.peers`: build every environment; one that fails stops none of the others."""

import argparse
import sys
from collections.abc import Sequence

from . import PEERS
from ._environments import build, environments, folder, probe


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every peer can be used."""
    parser = argparse.ArgumentParser(
        prog="python -m baselines.peers", description="Build the environments of other papers' layers."
    )
    parser.add_argument("--wheels", metavar="DIR", default="", help="take packages from DIR; no network")
    parser.add_argument(
        "--cuda", action="store_true", help="with the torch and the CUDA libraries of this interpreter"
    )
    arguments = parser.parse_args(argv)
    cuda = _cuda_of_torch() if arguments.cuda else ""
    if arguments.cuda and not cuda:
        parser.error("--cuda: the torch of this interpreter is not built for CUDA")
    failed = {name: build(name, arguments.wheels, cuda) for name in environments()}
    found = {entry.name: failed.get(entry.environment) or probe(entry) for entry in PEERS}
    for name, sentence in found.items():
        print(f"  {name:12} {'ready' if sentence is None else sentence}", flush=True)
    print(f"environments in {folder()}")
    return 1 if any(found.values()) else 0


def _cuda_of_torch() -> str:
    """The first number of the CUDA that torch is built for, or nothing."""
    import torch

    return (torch.version.cuda or "").partition(".")[0]


if __name__ == "__main__":
    sys.exit(main())
