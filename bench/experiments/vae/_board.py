"""Curves for TensorBoard, for those who want to watch; no result depends on them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from constrained.errors import require

CURVES = (
    "train_elbo", "val_elbo", "val_reconstruction", "val_divergence", "seconds",
)  # fmt: skip


class Board:
    """A writer for each training below one folder.

    Args:
        folder: of the event files; `None`: nothing is written, and no package is needed.

    Raises:
        MissingDependencyError: there is a folder and no TensorBoard.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        if folder is not None:
            require("tensorboard", "tensorboard")

    def add(self, name: str, row: dict[str, Any]) -> None:
        """The numbers of one epoch of the training called `name`."""
        if self.folder is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        # An epoch's file is closed at once: a run that is killed has lost none, one that goes on adds more.
        with SummaryWriter(str(self.folder / name)) as writer:
            for curve in CURVES:
                value = row.get(curve)
                if value is not None and math.isfinite(value):
                    writer.add_scalar(curve, value, row["epoch"])
