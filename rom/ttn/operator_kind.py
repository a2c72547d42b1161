"""What is worth knowing of an operator before solving with it."""

from __future__ import annotations

from copy import copy

import numpy as np

from .environments import expectation
from .program import Program
from .state import TTN
from .tree import Tree

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
        value = complex(expectation(program, isometric(program.tree, 2, seed)))
        if not np.isfinite(value):
            return None
        if abs(value.imag) > SMALLEST * abs(value):
            return False
    return True




def isometric(tree: Tree, rank: int, seed: int) -> TTN:
    """A random complex state of norm 1 of orthonormal cores, made one by one: no number gets large, however many leaves."""
    rng, ranks = np.random.default_rng(seed), tree.feasible(rank)
    cores = []
    for node in tree.nodes:
        shape = tree.core_shape(node, ranks)
        core = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        cores.append(np.linalg.qr(core.reshape(-1, shape[-1]))[0].reshape(shape))
    return TTN(tree, tuple(cores))
