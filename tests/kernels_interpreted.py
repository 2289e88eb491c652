"""The contract of the kernels under Triton's interpreter; run by test_kernels.py with TRITON_INTERPRET=1.

In a process of its own: the variable counts when Triton is imported, and it changes what the operators do.
"""

import numpy as np
import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

from tests.contracts.kernels import KernelContract

# The interpreter computes NaN and infinity with NumPy, which warns of them.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
truncating = interpreter.InterpreterBuilder.cast_impl


def rounding(builder, handle, dtype):
    """Float32 to bfloat16 to the nearest, as devices do it; the interpreter cuts off."""
    if dtype.scalar != tl.bfloat16 or handle.dtype.scalar != tl.float32:
        return truncating(builder, handle, dtype)
    bits = torch.from_numpy(np.ascontiguousarray(handle.data)).bfloat16().view(torch.int16).numpy()
    return interpreter.TensorHandle(bits.view(np.uint16), tl.bfloat16)


interpreter.InterpreterBuilder.cast_impl = rounding
interpreter.InterpreterBuilder.create_fp_trunc = rounding


class TestInterpreted(KernelContract):
    device, batch = "cpu", 19
    sizes = ((37, 21), (150, 9), (5, 3))
