"""Arrays of real numbers from whatever a user passes, or an error that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .errors import InvalidInputError

Numbers = np.ndarray | Sequence | float | int
ArrayLike = Numbers | Tensor


def real(name: str, value: ArrayLike) -> np.ndarray:
    """`value` as a fresh float64 array; refuses what is not made of real numbers."""
    try:
        array = _tensor_array(value) if isinstance(value, Tensor) else np.asarray(value)
    except ValueError as error:
        raise InvalidInputError(f"{name} must be a rectangular array of real numbers: {error}") from error
    if array.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"{name} must hold real numbers (integer or floating dtype); found dtype {array.dtype}"
        )
    converted = np.array(array, dtype=np.float64)
    if array.dtype.kind in "iu" and not np.array_equal(converted.astype(object), array.astype(object)):
        raise InvalidInputError(
            f"{name} holds integers beyond 2^53 that float64 cannot represent; rescale the row"
        )
    return converted


def _tensor_array(value: Tensor) -> np.ndarray:
    value = value.detach().cpu()
    return value.double().numpy() if value.is_floating_point() else value.numpy()  # NumPy has no bfloat16


def matrix(name: str, value: ArrayLike) -> np.ndarray:
    """`value` as a finite float64 matrix with at least one column."""
    rows = real(name, value)
    if rows.ndim != 2:
        raise InvalidInputError(
            f"{name} must be a matrix, one constraint a row; found {rows.ndim} dimension(s), "
            f"shape {rows.shape}"
        )
    if rows.shape[1] == 0:
        raise InvalidInputError(f"{name} has no columns (shape {rows.shape}); a point needs features")
    if (bad := np.argwhere(~np.isfinite(rows))).size:
        i, j = (int(v) for v in bad[0])
        raise InvalidInputError(f"{name} must be finite; {name}[{i}, {j}] is {rows[i, j]}")
    return rows


def bound(name: str, value: ArrayLike, size: int, infinite: float | None) -> np.ndarray:
    """A vector of `size` bounds; `infinite` is the one infinity that means 'no bound', if any does."""
    vector = real(name, value)
    if vector.ndim == 0:
        vector = np.full(size, float(vector))
    if vector.shape != (size,):
        raise InvalidInputError(f"{name} must have shape ({size},); found {vector.shape}")
    allowed = np.isfinite(vector) if infinite is None else np.isfinite(vector) | (vector == infinite)
    if not allowed.all():
        i = int(np.flatnonzero(~allowed)[0])
        expected = "finite" if infinite is None else f"finite or {infinite:+}"
        raise InvalidInputError(f"{name} must be {expected}; {name}[{i}] is {vector[i]}")
    return vector


def count(name: str, value: int) -> int:
    """`value` if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InvalidInputError(f"{name} must be a whole number of at least 1; found {value!r}")
    return int(value)


def block_diagonal(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """The blocks (m_k, n_k) along the diagonal of a matrix of zeros; a block may have no rows."""
    rows, columns = (np.cumsum([0, *(block.shape[axis] for block in blocks)]) for axis in (0, 1))
    result = np.zeros((rows[-1], columns[-1]))
    for block, i, j in zip(blocks, rows, columns, strict=False):
        result[i : i + block.shape[0], j : j + block.shape[1]] = block
    return result
