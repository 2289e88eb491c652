"""`python -m baselines.peers`: build every environment; one that fails stops none of the others."""

import sys

from . import PEERS
from ._environments import build, environments, folder, probe


def main() -> int:
    """0 if every peer can be used."""
    failed = {name: sentence for name in environments() if (sentence := build(name)) is not None}
    for entry in PEERS:
        sentence = failed.get(entry.environment) or probe(entry)
        print(f"  {entry.name:12} {'ready' if sentence is None else sentence}", flush=True)
        if sentence is not None:
            failed[entry.environment or entry.name] = sentence
    print(f"environments in {folder()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
