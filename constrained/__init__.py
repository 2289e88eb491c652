"""Hard linear constraints on neural network activations, by construction."""

from .analysis import Analysis, analyse
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
from .generators import Generators, generators, read_ext, write_ine
from .layers import BoxScaling, ConstrainedLinear, constrain
from .planner import Plan, plan
from .polyhedron import Polyhedron

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "BoxScaling",
    "BudgetExceededError",
    "ConstrainedLinear",
    "ConstraintError",
    "EngineError",
    "Generators",
    "InfeasibleError",
    "InvalidInputError",
    "MissingDependencyError",
    "Plan",
    "Polyhedron",
    "TrivialSetError",
    "UnknownNameError",
    "UnsupportedSetError",
    "VerificationError",
    "analyse",
    "constrain",
    "generators",
    "plan",
    "read_ext",
    "write_ine",
]
