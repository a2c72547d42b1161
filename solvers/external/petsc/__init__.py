"""PETSc through petsc4py: its matrices and vectors in our methods, its solvers and preconditioners as ours, and ours inside its.

Nothing here is loaded before it is used: `make petsc`, or pip install "petrov[petsc]".
"""

from .aggregation import DistributedAggregation
from .context import Context, PetrovPC
from .ksp import ksp
from .library import world
from .matrix import Distributed, adopt, csr_of, is_petsc, known_spaces, like, local_vector, petsc_matrix, ranks_of
from .preconditioner import PETSc
from .schwarz import DistributedSchwarz

__all__ = [
    "Context", "Distributed", "DistributedAggregation", "DistributedSchwarz", "PETSc", "PetrovPC", "adopt", "csr_of", "is_petsc",
    "known_spaces", "ksp", "like", "local_vector", "petsc_matrix", "ranks_of", "world",
]  # fmt: skip
