"""Work dealt over the ranks of MPI, each of which can solve every system by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..solvers import arrays


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Those of a communicator of mpi4py; None: this process alone. Every rank has to call every method, in the same order.

    What a function raises on one rank is raised on all, as `arrays.RankError`, so that none waits for it; a function that runs
    here may not communicate itself. Alone, everything is as without ranks.
    """

    comm: Any = None

    @classmethod
    def of(cls, comm: Any) -> Ranks:
        """TypeError for what is no communicator of mpi4py or petsc4py."""
        comm = comm.tompi4py() if hasattr(comm, "tompi4py") else comm
        if comm is not None and not hasattr(comm, "allgather"):
            raise TypeError(f"comm must be a communicator of mpi4py, such as MPI.COMM_WORLD; got {type(comm).__name__}")
        return cls(None if comm is None or comm.Get_size() == 1 else comm)

    @property
    def size(self) -> int:
        return 1 if self.comm is None else self.comm.Get_size()

    @property
    def rank(self) -> int:
        return 0 if self.comm is None else self.comm.Get_rank()

    def agreed(self, work: Callable[[], Any]) -> Any:
        """work(), on every rank."""
        return arrays.agreed(work, self.comm, "the work of")

    def one(self, rank: int, work: Callable[[], Any]) -> Any:
        """work(), on one rank, whose result all have."""
        found = self.agreed(lambda: work() if self.rank == rank else None)
        return found if self.comm is None else self.comm.bcast(found, root=rank)

    def first(self, work: Callable[[], Any]) -> Any:
        """The same on the first rank."""
        return self.one(0, work)

    def mapped(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """function(item) of each item in order, an item a rank at a time."""
        for begin in range(0, len(items), self.size):
            here = items[begin : begin + self.size]
            mine = self.agreed(partial(self.turn, function, here))
            for rank in range(len(here)):
                yield mine if self.comm is None else self.comm.bcast(mine, root=rank)

    def turn(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Any:
        return function(items[self.rank]) if self.rank < len(items) else None

    def parts(self, function: Callable[[slice], Any], count: int) -> list[Any]:
        """function of as many stretches of range(count) as there are ranks, one a rank; empty ones are left out."""
        ends = [rank * count // self.size for rank in range(self.size + 1)]
        own = slice(ends[self.rank], ends[self.rank + 1])
        mine = self.agreed(lambda: function(own) if own.start < own.stop or self.comm is None else None)
        return [mine] if self.comm is None else [part for part in self.comm.allgather(mine) if part is not None]

    def swept(self, function: Callable[[slice], np.ndarray], count: int) -> np.ndarray:
        """The arrays of the stretches, one behind the other."""
        return np.concatenate(self.parts(function, count))


ALONE = Ranks()
