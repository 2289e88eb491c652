"""Hard linear constraints on neural network activations, by construction."""

from .errors import (
    BudgetExceededError,
    ConstraintError,
    EngineError,
    InfeasibleError,
    InvalidInputError,
    MissingDependencyError,
    TrivialSetError,
    UnknownNameError,
    UnsupportedSetError,
    VerificationError,
)
from .generators import Generators, generators
from .layers import BoxScaling, ConstrainedLinear, constrain
from .polyhedron import Polyhedron

__version__ = "0.1.0"

__all__ = [
    "BoxScaling",
    "BudgetExceededError",
    "ConstrainedLinear",
    "ConstraintError",
    "EngineError",
    "Generators",
    "InfeasibleError",
    "InvalidInputError",
    "MissingDependencyError",
    "Polyhedron",
    "TrivialSetError",
    "UnknownNameError",
    "UnsupportedSetError",
    "VerificationError",
    "constrain",
    "generators",
]
