"""The check that every family makes of its sizes."""

from __future__ import annotations

from constrained.errors import InvalidInputError


def check_counts(**counts: int) -> None:
    """Raise `InvalidInputError` naming the first argument that is not an int of at least 1."""
    for name, value in counts.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InvalidInputError(f"{name} must be an int of at least 1; found {value!r}")


def unpack_size(family: str, size: tuple[int, ...], *names: str) -> tuple[int, ...]:
    """`size` as a tuple with one entry for each of `names`, or `InvalidInputError`."""
    if len(size) != len(names):
        raise InvalidInputError(f"a size of {family} is ({', '.join(names)}); found {tuple(size)}")
    return tuple(size)
