"""The errors of the library: each says what was expected, what was found and what to try."""


class ConstraintError(ValueError):
    """Base class of every error raised on purpose by `constrained`, `baselines` and `bench`."""


class InvalidInputError(ConstraintError):
    """An argument has a wrong shape, dtype or value (NaN, infinity, no columns, ...)."""


class InfeasibleError(ConstraintError):
    """The set has no point at all."""


class TrivialSetError(ConstraintError):
    """The set is a single point, so there is nothing for a network to choose."""


class UnsupportedSetError(ConstraintError):
    """The chosen method cannot serve this set; the text is the reason."""


class UnknownNameError(ConstraintError):
    """No method, solver, engine, device or data set has this name; the text lists those that exist."""


class MissingDependencyError(ConstraintError, ImportError):
    """An optional package is not installed; the text names the package and the extra that has it."""


class EngineError(ConstraintError):
    """A ray engine or a solver failed with an error of its own."""


class VerificationError(EngineError):
    """An engine returned a result that exact arithmetic refutes."""


class BudgetExceededError(EngineError):
    """An enumeration was stopped at its budget; the text gives the count reached."""


def require(name: str, extra: str) -> None:
    """Raise `MissingDependencyError` unless the module `name` can be found.

    Looks the module up without importing it; `extra` is the extra of this package that installs it.
    """
    from importlib.util import find_spec

    try:
        found = find_spec(name) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise MissingDependencyError(
            f"the package '{name}' is needed here and is not installed; "
            f"try: pip install 'constrained[{extra}]'"
        )


def lookup(kind: str, name: str, entries: tuple) -> type:
    """The class called `name` among `entries`, or `UnknownNameError` with the names that exist."""
    for entry in entries:
        if entry.name == name:
            return entry
    names = ", ".join(repr(entry.name) for entry in entries)
    raise UnknownNameError(f"unknown {kind} {name!r}; available: {names}")


def check_choice(name: str, value: object, choices: tuple) -> None:
    """Raise `InvalidInputError` unless the option `name` has one of its values."""
    if value not in choices:
        raise InvalidInputError(f"{name} must be one of {', '.join(map(repr, choices))}; found {value!r}")
