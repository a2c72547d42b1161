"""petsc4py itself, and what it is asked for everywhere."""

from __future__ import annotations

import itertools
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


@contextmanager
def options(given: Mapping[str, Any]) -> Iterator[str]:
    """A prefix of its own under which these options stand in PETSc's database for as long as this is open.

    Keys as on the command line, without the dash: {"pc_hypre_type": "boomeramg"}; True for an option without a value.
    """
    PETSc, prefix = library(), f"petrov_{next(NUMBERS)}_"
    database = PETSc.Options(prefix)
    for key, value in given.items():
        database.setValue(key.lstrip("-"), None if value is True else value)
    try:
        yield prefix
    finally:
        for key in given:
            database.delValue(key.lstrip("-"))
