"""Kernels of projections for CUDA; imported when the first of them is launched, since they need Triton."""
