"""The contract of projections on a device under Triton's interpreter; run with TRITON_INTERPRET=1.

In a process of its own: the variable counts when Triton is imported.
"""

import pytest

from tests.contracts.projection_kernels import ProjectionKernelContract

# The interpreter computes NaN and infinity with NumPy, which warns of them.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class TestInterpreted(ProjectionKernelContract):
    device, batches = "cpu", (3,)
