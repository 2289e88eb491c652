"""Checkpoints: files of torch that are either whole or refused, replaced atomically."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from constrained.errors import InvalidInputError

from ..rows import write_atomic


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the file at `path` by `state`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state saved at `path`; no code is run from the file.

    Raises:
        InvalidInputError: the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not check the checksums
            if (member := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {member}")
        return torch.load(path, map_location="cpu", weights_only=True)
    # torch reports damage in many ways: RuntimeError, EOFError, KeyError, UnpicklingError, ...
    except Exception as error:
        raise InvalidInputError(
            f"the checkpoint {path} is damaged ({type(error).__name__}: {error})"
        ) from error
