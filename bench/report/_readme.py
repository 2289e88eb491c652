"""The generated parts of README.md: the text between `<!-- begin:NAME -->` and `<!-- end:NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from constrained.errors import InvalidInputError

from .._tables_io import Tables, read_all
from ..analyses import main_setting
from ..rows import write_atomic
from ._document import Block, markdown
from ._machine import machine
from ._main_result import main_result
from ._networks import networks
from ._robustness import robustness_in_short
from ._strict import strict
from ._summary import summary
from ._training_step import training_step
from ._verdict import verdict

BLOCKS: dict[str, Callable[[Tables], list[Block]]] = {
    "main-result": main_result,
    "summary": summary,
    "verdict": verdict,
    "strict": strict,
    "training-step": training_step,
    "networks": networks,
    "robustness": robustness_in_short,
    "machine": machine,
}
MARKER = re.compile(r"<!-- (begin|end):([\w-]+) -->")


def update_readme(readme: Path, tables: Path) -> bool:
    """Write every generated part anew from the tables of the first device, "cpu" if it is there.

    Returns:
        Whether the file changed.

    Raises:
        InvalidInputError: no README, a missing, unknown or misplaced marker, no or damaged tables.
    """
    old = _read(readme)
    new = _regenerate(readme, old, _first(tables))
    if new != old:
        write_atomic(readme, new)
    return new != old


def check_readme(readme: Path, tables: Path) -> list[str]:
    """The names of the parts whose text is not what the tables give; raises as `update_readme` does."""
    text = _read(readme)
    parts, device = _parts(readme, text), _first(tables)
    return [name for name, (start, end) in parts.items() if text[start:end] != _generate(name, device)]


def _first(tables: Path) -> Tables:
    return main_setting(read_all(tables)[0])


def _read(readme: Path) -> str:
    try:
        return readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"expected a README at {readme}; {error}; --readme names another") from error


def _regenerate(readme: Path, text: str, tables: Tables) -> str:
    """The text with each part replaced, from the last to the first so that positions stay true."""
    parts = _parts(readme, text)
    for name, (start, end) in sorted(parts.items(), key=lambda part: -part[1][0]):
        text = text[:start] + _generate(name, tables) + text[end:]
    return text


def _generate(name: str, tables: Tables) -> str:
    return f"\n{markdown(BLOCKS[name](tables))}\n"


def _parts(readme: Path, text: str) -> dict[str, tuple[int, int]]:
    """Start and end of the text between each pair of markers; all of BLOCKS, each once."""
    found = list(MARKER.finditer(text))
    parts = {}
    for begin, end in zip(found[::2], [*found[1::2], None], strict=False):
        name = begin[2]
        if begin[1] != "begin" or end is None or end[1] != "end" or end[2] != name or name in parts:
            line = text.count("\n", 0, begin.start()) + 1
            raise InvalidInputError(
                f"{readme}, line {line}: expected pairs <!-- begin:NAME --> ... <!-- end:NAME -->, each name "
                f"once; found {begin[0]} without its partner, or again"
            )
        parts[name] = (begin.end(), end.start())
    if set(parts) != set(BLOCKS):
        missing, unknown = sorted(set(BLOCKS) - set(parts)), sorted(set(parts) - set(BLOCKS))
        raise InvalidInputError(
            f"{readme}: expected a pair of markers for each of {', '.join(BLOCKS)}; "
            f"missing: {', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}; "
            "add <!-- begin:NAME --> and <!-- end:NAME --> on lines of their own"
        )
    return parts
