"""MNIST from a folder with the four standard IDX files, gzipped or plain.

An IDX file is: two zero bytes, the type of the entries (8: unsigned byte), the number of axes, the
length of each axis as a big-endian 32-bit integer, then the entries, last axis fastest.
Source: the format description on the MNIST page of LeCun, Cortes and Burges.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from constrained.errors import InvalidInputError

from ._base import PIXELS, AbstractSource, Digits, split

SIDE = 28
GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 8


class Idx(AbstractSource):
    """`idx:DIR`: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the two `t10k-` files."""

    name, usage = "idx", "'idx:DIR'"

    def load(self, argument: str) -> Digits:
        """The paper's 59 000 / 1 000 / 10 000 split for the full files.

        Raises:
            InvalidInputError: a file is missing, cannot be read, or is not what its name says.
        """
        folder = Path(argument)
        if not argument or not folder.is_dir():
            raise InvalidInputError(
                f"'idx:DIR' needs a folder with the four IDX files of MNIST; found {argument!r}"
            )
        return split(self.name, _read_pair(folder, "train"), _read_pair(folder, "t10k"))


def _read_pair(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 784) and labels (N,), checked against each other."""
    image_file = _find(folder, f"{prefix}-images-idx3-ubyte")
    label_file = _find(folder, f"{prefix}-labels-idx1-ubyte")
    images, labels = read_idx(image_file, axes=3), read_idx(label_file, axes=1)
    if images.shape[1:] != (SIDE, SIDE):
        raise InvalidInputError(f"{image_file} holds images of {images.shape[1:]}, expected {(SIDE, SIDE)}")
    if len(images) != len(labels):
        raise InvalidInputError(
            f"{image_file} holds {len(images)} images but {label_file} {len(labels)} labels; "
            "take both from the same copy of MNIST"
        )
    if (bad := np.flatnonzero(labels > 9)).size:
        raise InvalidInputError(f"{label_file} has label {labels[bad[0]]} at {bad[0]}, expected 0 to 9")
    return images.reshape(-1, PIXELS), labels


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise InvalidInputError(f"no file {name} or {name}.gz in {folder}; put the four IDX files of MNIST there")


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The unsigned bytes of an IDX file with this number of axes, gzipped or not.

    Raises:
        InvalidInputError: naming the file, what was found and what to do.
    """
    data = _read_bytes(path)
    if len(data) < 4 + 4 * axes:
        raise InvalidInputError(f"{path} is truncated: {len(data)} bytes; get the file again")
    magic, expected = data[:4], bytes([0, 0, UNSIGNED_BYTE, axes])
    if magic != expected:
        raise InvalidInputError(
            f"{path} is not an IDX file of unsigned bytes with {axes} axes: it starts with "
            f"{magic.hex()}, expected {expected.hex()}; check that the file has its right name"
        )
    shape = np.frombuffer(data, ">u4", count=axes, offset=4).astype(int)
    found, announced = len(data) - 4 - 4 * axes, int(np.prod(shape, dtype=object))
    if found != announced:
        state = "truncated" if found < announced else "longer than it says"
        raise InvalidInputError(
            f"{path} is {state}: it announces {announced} entries {tuple(map(int, shape))} "
            f"and holds {found}; get the file again"
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        # By content, not by name: browsers unpack a .gz on the way and keep its name.
        return gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(
            f"{path} cannot be read ({type(error).__name__}: {error}); get the file again"
        ) from error
