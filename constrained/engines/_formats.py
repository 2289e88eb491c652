"""The files of lrslib and cddlib: `.ine` with an H-representation, `.ext` with a V-representation.

What is written is not the cone `{x : g x <= 0, e x = 0}` itself, all of whose rays leave one vertex that
is as degenerate as can be, but its section

    {x : g x <= 0, e x = 0, s x = 1},    s = -(sum of all g),

which is bounded modulo the lines, since `s x > 0` for every x of the cone that is not on a line. Its
vertices are one point on each extreme ray, and reverse search has few bases to visit for each.
Source of the format: Avis, lrslib user's guide, "File formats"; Fukuda, cddlib manual.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import lcm

from ..errors import EngineError
from ..exact import Vector, primitive
from ._base import Cone

NAME = "constrained"
EMPTY = "No feasible solution"


def section(cone: Cone) -> Vector:
    """The row s."""
    return tuple(-sum(column) for column in zip(*cone.inequalities, strict=True)) or (0,) * cone.n


def ine_lines(cone: Cone) -> Iterator[str]:
    """The lines of the `.ine` file of the section of a cone, in exact integers."""
    equalities = [(-1, *section(cone)), *((0, *row) for row in cone.equalities)]
    numbers = " ".join(str(i + 1) for i in range(len(equalities)))
    yield NAME
    yield "H-representation"
    yield f"linearity {len(equalities)} {numbers}"
    yield "begin"
    yield f"{len(equalities) + len(cone.inequalities)} {cone.n + 1} integer"
    yield from map(_row, equalities)
    yield from (_row((0, *(-v for v in row))) for row in cone.inequalities)
    yield "end"


def ext_rays(lines: Iterable[str], n: int) -> Iterator[Vector]:
    """A point on each extreme ray, as a primitive vector, from an `.ext` file of the section.

    Args:
        lines: of the file, or as lrs and mplrs print them.
        n: the number of features of the cone.

    Raises `EngineError` for a file of another shape or one without its end.
    """
    body = iter(lines)
    for word in ("V-representation", "begin"):
        if _next_of(body, word, EMPTY) == EMPTY:  # the cone is a linear subspace
            return
    header = next(body, "").split()
    if len(header) != 3 or header[1] != str(n + 1):
        raise EngineError(f"expected a header with {n + 1} columns in the .ext file; found {header}")
    for line in body:
        words = line.split()
        if words == ["end"]:
            return
        # lrs prints remarks and its name again when it goes on in longer integers.
        if not words or words == [NAME] or words[0].startswith("*"):
            continue
        if len(words) != n + 1 or words[0] not in ("0", "1"):
            raise EngineError(f"expected {n + 1} numbers, the first 0 or 1, in the .ext file; found {line!r}")
        if words[0] == "1":  # 0: a line of the lineality space, which is known already
            yield _point(words[1:])
    raise EngineError("the .ext file has no line 'end': the run that wrote it was stopped; let it finish")


def _next_of(lines: Iterator[str], *words: str) -> str:
    """Skip to the first line that is one of the words, after a star or not."""
    for line in lines:
        if (word := line.strip().lstrip("*")) in words:
            return word
    raise EngineError(f"expected a line {words[0]!r} in the .ext file; found none")


def _row(values: Sequence[int]) -> str:
    import flint  # str() of an int stops at 4300 digits

    return " ".join(str(flint.fmpz(v)) for v in values)


def _point(words: Sequence[str]) -> Vector:
    pairs = [word.partition("/") for word in words]
    bottoms = [_integer(bottom) if bottom else 1 for _, _, bottom in pairs]
    scale = lcm(*bottoms)
    tops = (_integer(top) for top, _, _ in pairs)
    return primitive([top * (scale // bottom) for top, bottom in zip(tops, bottoms, strict=True)])


def _integer(word: str) -> int:
    import flint

    try:
        return int(flint.fmpz(word))
    except ValueError as error:
        raise EngineError(f"expected an integer or a fraction in the .ext file; found {word!r}") from error
