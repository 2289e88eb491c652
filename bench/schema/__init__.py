"""The declared columns of every table: one place for the writer, the reader and the data dictionary.

    TABLES["inference"].schema     # a pandera schema: types, ranges, allowed values, key
    python -m bench schema         # the data dictionary, in Markdown

A new column is a line in the file of its table, and its value a line in `bench/tables.py`; a change of
the columns raises SCHEMA, and the tables are written anew from the raw rows (`python -m bench tables`).
"""

from ._experiment import DIGITS, NETWORKS, TRAINING
from ._kinds import EXPECTED, Table, kind_of, unit_of
from ._learning import LEARNED, LEARNING, LEARNING_RATES
from ._limits import LIMITS
from ._reference import RATIOS, REFERENCE
from ._robustness import ROBUSTNESS
from ._timing import ACCURACY, COMPILED, INFERENCE, PLANNING, ROLES, STATUSES, TRAINING_STEP
from ._vae import VAE, VAE_IMAGES, VAE_TRAINING

SCHEMA = 2
"""The version of TABLES, written to machine.json beside the tables; those of version 1 did not have it."""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        INFERENCE, TRAINING_STEP, COMPILED, PLANNING, ACCURACY, ROBUSTNESS, TRAINING, NETWORKS, DIGITS,
        LEARNING, LEARNED, LEARNING_RATES, VAE, VAE_TRAINING, VAE_IMAGES, LIMITS,
    )
}  # fmt: skip
"""Every table in `results/tables/<machine>/`, by the name of its file."""

__all__ = [
    "EXPECTED",
    "RATIOS",
    "REFERENCE",
    "ROLES",
    "SCHEMA",
    "STATUSES",
    "TABLES",
    "Table",
    "kind_of",
    "unit_of",
]
