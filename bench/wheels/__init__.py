"""Wheels for a CUDA machine without network: collected on one that has it, installed there."""
