"""What a method or a problem of one's own needs: a stub to start from, and the checks that it must pass.

python -m bench new method NAME --kind projection
python -m bench validate NAME

report = validate(method("shift"))     # report.passed; print(report)
"""

from ._command import new_main, validate_main
from ._new import new_method, new_problem
from ._validate import Report, validate

__all__ = ["Report", "new_main", "new_method", "new_problem", "validate", "validate_main"]
