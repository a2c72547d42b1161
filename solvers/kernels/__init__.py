"""Kernels: the fused verbs of the iterations, readable and compiled, and those of each form of storage and each method."""
