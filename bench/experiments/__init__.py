"""Networks trained end to end, each started by `python -m bench run NAME`, listed once, here."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def _mnist(argv: Sequence[str]) -> int:
    """The paper's experiment on digits."""
    from .mnist_projection import main

    return main(argv)


def _learning(argv: Sequence[str]) -> int:
    """Every method trained on every task, with seeds and learning rates."""
    from .learning.command import main

    return main(argv)


def _vae(argv: Sequence[str]) -> int:
    """Autoencoders whose images, or whose codes, satisfy constraints."""
    from .vae.command import main

    return main(argv)


EXPERIMENTS: dict[str, Callable[[Sequence[str]], int]] = {"mnist": _mnist, "learning": _learning, "vae": _vae}
