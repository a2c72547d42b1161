"""petsc4py itself, and what it is asked for everywhere."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NUMBERS = itertools.count()


def library() -> Any:
    """petsc4py.PETSc; ImportError naming the extra if it is missing."""
    try:
        from petsc4py import PETSc
    except ImportError as error:
        raise ImportError('this needs petsc4py: `make petsc` in a checkout, or pip install "petrov[petsc]"') from error
    return PETSc


def world() -> Any:
    """The communicator, of mpi4py, of all ranks, where petsc4py is in use on several; else None. Loads nothing."""
    PETSc = sys.modules.get("petsc4py.PETSc")
    return PETSc.COMM_WORLD.tompi4py() if PETSc is not None and PETSc.COMM_WORLD.getSize() > 1 else None


@contextmanager
def options(given: Mapping[str, Any], prefix: str | None = None) -> Iterator[str]:
    """A prefix under which these options stand in PETSc's database for as long as this is open: one of its own by default.

    Keys as on the command line, without the dash: {"pc_hypre_type": "boomeramg"}; True for an option without a value. Under a
    prefix of the user's, what he has set stands.
    """
    name = f"petrov_{next(NUMBERS)}_" if prefix is None else prefix
    database = library().Options(name)
    ours = {key.lstrip("-"): value for key, value in given.items() if not database.hasName(key.lstrip("-"))}
    for key, value in ours.items():
        database.setValue(key, None if value is True else value)
    try:
        yield name
    finally:
        for key in ours:
            database.delValue(key)
