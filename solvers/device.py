"""What a GPU asks of a solve: a preconditioner that lives there too, and looks at the scalars that are far between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import arrays
from .arrays import Space
from .kernels.cuda.launch import scratch
from .operator import Diagonal, name_of
from .storage import Resident, compact

CHEAP, DEAR = 8, 2  # iterations between two looks: one look costs about as much as an iteration by Jacobi at 10^6 unknowns


def on_gpu(space: Space, M: Any) -> Space:
    """The space of a solve with M on a GPU: few of dear iterations between two looks, many of cheap ones."""
    space = replace(space, interval=CHEAP if M is None or type(M) is Diagonal else DEAR)
    return replace(space, scratch=scratch(space))


def made(recipe: Any, A: Any) -> Any:
    """recipe(A). For a matrix on a GPU our recipes set up on the host, and what they made is moved; those that say `on_device`
    take the matrix as it is, as does a recipe that is not ours. TypeError where there is no such form on a GPU."""
    ours = type(recipe).__module__.partition(".")[0] == __name__.partition(".")[0]
    A = compact(A) if ours and arrays.library(A) == "cupyx" else A
    if not (ours and isinstance(A, Resident)):
        return recipe(A)
    if getattr(recipe, "on_device", False):
        return ready(recipe(A), A)
    M = recipe(A.on_host)
    if not hasattr(M, "moved"):
        raise TypeError(
            f"{name_of(recipe)} has no form on a GPU (substitutions run one row after the other); use Jacobi, Chebyshev, "
            "SparseInverse, SmoothedAggregation or GeometricMultigrid, or solve on the host: A.get(), b.get()"
        )
    return ready(M.moved(A.move), A)


def ready(M: Any, A: Resident) -> Any:
    """M, applied once to zero: while the clock of the set-up runs, its kernels are compiled and its vectors made."""
    if type(M) is not Diagonal and hasattr(M, "into"):
        xp: Any = arrays.namespace(A.parts[0])
        zero = xp.zeros(A.shape[0], dtype=getattr(xp, arrays.dtype_name(A)))
        M.into(zero, xp.empty_like(zero))
    return M


def check_home(M: Any, A: Any) -> None:
    """TypeError where A lives on a GPU and an applied M does not."""
    if isinstance(A, Resident) and arrays.of_host(M):
        raise TypeError(
            f"A is on a GPU and M ({name_of(M)}) is not: give the recipe, which moves what it sets up, or M.moved(A.move) of "
            "compact(A)"
        )
