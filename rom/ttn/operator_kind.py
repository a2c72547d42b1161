"""What is worth knowing of an operator before solving with it."""

from __future__ import annotations

from copy import copy

import numpy as np

from .environments import expectation
from .program import Program
from .state import TTN

SMALLEST = 1e-10  # imaginary part of <X, A X> relative to its modulus, from which A is not Hermitian
SEEDS = (907, 4421, 70663)


def unit(program: Program) -> Program:
    """The program with factor 1; plans are shared."""
    same = copy(program)
    object.__setattr__(same, "factor", 1.0)
    return same


def is_hermitian(program: Program) -> bool | None:
    """Whether <X, A X> is real for three random complex X of rank 2; None if a leg operator is a function, or never read.

    A matrix that is not Hermitian has forms that are not real but for a set of X of measure zero; what differs from a Hermitian
    one by less than 1e-10 of its size passes.
    """
    for local in program.locals:
        if any(callable(op) and not hasattr(op, "shape") for op in local.ops):
            return None
    for seed in SEEDS:
        value = complex(expectation(program, TTN.random(program.tree, 2, seed, "complex128")))
        if not np.isfinite(value):
            return None
        if abs(value.imag) > SMALLEST * abs(value):
            return False
    return True


