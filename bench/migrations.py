"""From an older format of a run file to the next one, in memory; the files stay as they were written.

A new format: raise FORMAT, and add the function that makes its content from the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT = 2
"""The format of run files that this version writes."""

Content = dict[str, Any]
"""What a run file holds: `{"run": header, "rows": rows}`."""


def migrate(content: Content) -> Content:
    """The content in today's format; `KeyError` for a format that no function starts from."""
    while content["run"]["format"] < FORMAT:
        found = content["run"]["format"]
        content = MIGRATIONS[found](content)
        content["run"]["format"] = found + 1
    return content


def _with_calls_threads_and_cache(content: Content) -> Content:
    """Format 1 timed one call a round, on warm caches, with the threads of the process.

    It knew no machine names, and kept neither BLAS, governor, command line nor load.
    """
    header = content["run"]
    machine = {"name": "", "gpu": None, "governor": None, "blas": None} | header["machine"]
    timed = {"calls": 1, "threads": machine["threads"], "cache": "warm"}
    rows = [timed | row if "cell" in row else row for row in content["rows"]]
    return {"run": {"command": None, "load": None} | header | {"machine": machine}, "rows": rows}


MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: _with_calls_threads_and_cache}
"""By the format that each of them starts from."""
