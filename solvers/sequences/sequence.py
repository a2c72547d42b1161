"""petrov.Sequence: many related systems, one SolveResult each, in the caller's order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from .. import arrays
from ..external.petsc import ranks_of, world
from ..result import SolveError, SolveInterrupted, SolveResult, Status
from .course import Course, Options
from .reading import Batch, batches

TOGETHER = 16  # right-hand sides of one matrix that are solved at once
MOST_NUMBERS = 2**23  # of a block of them
TUNED_FROM, TUNED_ON = 32, 16  # systems at hand from which M is tuned, and on how many of them
DONE = (Status.CONVERGED, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a Sequence did: `print` it. ways: (what was done, how often, seconds), the most frequent first."""

    systems: int
    unknowns: int
    seconds: float
    failed: int
    iterations: int
    matvecs: int
    ways: tuple[tuple[str, int, float], ...]
    sorted: str

    def __str__(self) -> str:
        rate = f", {1e3 * self.seconds / self.systems:.3g} ms each" if self.systems else ""
        lines = [
            f"{self.systems} systems of {self.unknowns} unknowns in {self.seconds:.3g} s{rate}: {self.iterations} iterations, "
            f"{self.matvecs} products, {self.failed} failed; {self.sorted}"
        ]
        return "\n".join([*lines, *(f"  {count} x {way}: {seconds:.3g} s" for way, count, seconds in self.ways)])


class Sequence:
    """Solve a sequence of related systems A_i x_i = b_i, with what the ones before leave for the next.

    Tried, and kept to while it is the cheapest by measured seconds: nothing but a solve where A is the same, no solve where b
    lies in the span of earlier right-hand sides; the same for A = diag(l) A_0 diag(r); a hierarchy brought up to date; the
    factors or the preconditioner of an earlier matrix; the slow directions of earlier solves (Deflation, GCRO-DR); a first
    iterate from the last solutions. Systems are put in an order in which neighbours are near. Whatever was done, x is held to the
    residual of its own system.

    Parameters
    ----------
    rtol, atol, method, M, nullspace, near_nullspace, max_iterations, time_limit, candidates, seed
        As in `petrov.solve`; time_limit in seconds a system.
    recycle : 'auto' or int
        Directions that are recycled: 0 for none, k for k in every solve by cg or gmres, 'auto' for 20 where that proves cheaper.
    sort : 'auto', None, 'greedy', 'hilbert' or 'grouped'
        See `recycling.sorting.order`; None keeps the order, 'auto' sorts where matrices differ, unless multigrid has solved the
        first system: then a neighbour saves nothing.
    window : int
        Systems of a generator that are read ahead to be sorted. 1 for a generator whose next system depends on the last x.
    tune : callable, optional
        tune(M, systems) -> M, called once before the first solve where 32 systems or more are read ahead, with 16 of them: as
        `petrov.learned.tune` with a learned M, which then is better on these systems for the minutes it takes.
    progress : bool
        Show a bar.
    raise_on_failure : bool
        A system that is not solved raises SolveError; False leaves its result among the others.

    Notes
    -----
    Memory: what one solve needs, copies of one or two matrices, at most 128 vectors of earlier right-hand sides of one matrix,
    and 40 of directions; a window of systems for a generator; the results unless `write` takes them. On ranks of MPI, with
    matrices of PETSc, all choose alike; an `assemble`, generator or `write` that raises on one ends the job. Wang et al., ICLR
    2024, for sorting and recycling along a sequence.

    Examples
    --------
    >>> import numpy as np, petrov
    >>> from petrov.solvers import problems
    >>> A = problems.poisson(32).A
    >>> B = np.random.default_rng(1).standard_normal((A.shape[0], 3)) @ np.random.default_rng(2).standard_normal((3, 20))
    >>> sequence = petrov.Sequence()
    >>> results = sequence.solve([(A, b) for b in B.T])
    >>> all(r.converged for r in results), sum("put together" in r.reason for r in results)
    (True, 19)
    """

    def __init__(
        self, *, rtol: float | None = None, atol: float = 0.0, method: str = "auto", M: Any = "auto", nullspace: Any = None,
        near_nullspace: Any = None, max_iterations: int | None = None, time_limit: float | None = None,
        recycle: int | str = "auto", sort: str | None = "auto", window: int = 256, candidates: Iterable[Any] = (),
        tune: Callable[[Any, list[Any]], Any] | None = None, seed: int = 20_231_109, progress: bool = False,
        raise_on_failure: bool = True,
    ):  # fmt: skip
        if recycle != "auto" and (isinstance(recycle, bool) or not isinstance(recycle, int) or recycle < 0):
            raise ValueError(f"recycle must be 'auto' or an integer >= 0; got {recycle!r}")
        if sort not in ("auto", None, "greedy", "hilbert", "grouped"):
            raise ValueError(f"sort must be 'auto', None, 'greedy', 'hilbert' or 'grouped'; got {sort!r}")
        if isinstance(window, bool) or not isinstance(window, int) or window < 1:
            raise ValueError(f"window must be an integer >= 1 (systems read ahead); got {window!r}")
        if tune is not None and (isinstance(M, str) or not callable(M) or hasattr(M, "shape")):
            raise TypeError(f"tune needs M, a recipe to tune such as petrov.learned.load(...); got M={M!r}")
        self.options = Options(
            rtol, atol, method, M, nullspace, near_nullspace, max_iterations, time_limit, recycle, tuple(candidates), seed,
        )  # fmt: skip
        self.tune = tune
        self.sort, self.window, self.progress, self.raise_on_failure = sort, window, progress, raise_on_failure
        self.results: list[SolveResult] = []
        self.course = Course(self.options)
        self.spent, self.sorted = 0.0, 0

    def solve(
        self, systems: Any, *, parameters: Any = None, write: Callable[[int, SolveResult], Any] | None = None
    ) -> list[SolveResult]:
        """Solve them all.

        Parameters
        ----------
        systems : iterable of (A, b), or (assemble, mus)
            A list is sorted as a whole, any other iterable within a window. assemble(mu) -> (A, b) is called for one row of mus
            at a time, in the order of the solves.
        parameters : (N, ...) array, optional
            What sets the systems apart: scalars, vectors or coefficient fields. By default mus, else low frequencies of the
            values of A.
        write : write(index, result), optional
            Called with every system as soon as it is solved; the results returned then carry neither x nor history.

        Returns
        -------
        list of SolveResult, in the order of the systems.

        Raises
        ------
        SolveError
            If a system is not solved; its message names the system, `results` has those before it.
        SolveInterrupted
            On Ctrl-C; `results` has what was solved.
        TypeError, ValueError
            For what is no sequence of systems.
        """
        found: dict[int, SolveResult] = {}
        self.course, self.spent, self.sorted, self.results = Course(self.options), 0.0, 0, []
        begin = time.perf_counter()
        source = batches(systems, parameters, self.window)
        try:
            with bar(self.progress, source.total) as (shown, step):
                for batch in self.guarded(source.batches):
                    self.tuned(batch)
                    for indices, A, bs, uses, ahead in self.guarded(self.ordered(batch)):
                        shown(A)
                        for index, result in zip(indices, self.next(indices, A, bs, uses, ahead), strict=True):
                            if write is not None:
                                self.written(write, index, result)
                            found[index] = result if write is None else replace(result, x=None, residuals=result.residuals[:0])
                            step()
                            self.refuse(index, result)
        except KeyboardInterrupt as stop:
            raise SolveInterrupted(f"interrupted; {len(found)} systems are solved, see .results", None) from stop
        finally:
            self.results, self.spent = [found[index] for index in sorted(found)], time.perf_counter() - begin
        return self.results

    def guarded(self, items: Iterable[Any]) -> Iterator[Any]:
        """The items; what their making raises ends the job of all ranks, of which the others would wait for this one."""
        try:
            yield from items
        except Exception as error:
            self.end(error)
            raise

    def written(self, write: Callable[[int, SolveResult], Any], index: int, result: SolveResult) -> None:
        try:
            write(index, result)
        except Exception as error:
            self.end(error)
            raise

    def end(self, error: Exception) -> None:
        """Before the first system it is not known whose rows it would have had: then all ranks end where PETSc has several."""
        comm = world() if self.course.solver is None else self.course.home.comm
        if comm is not None:
            arrays.bring_down(comm, error)

    def tuned(self, batch: Batch) -> None:
        """Begin with an M tuned on systems of the first batch, if that was asked for and many are there."""
        if self.tune is None or self.course.last is not None or len(batch) < TUNED_FROM:
            return
        among = [batch.system(k * len(batch) // TUNED_ON) for k in range(TUNED_ON)]
        self.course = Course(replace(self.options, M=self.tune(self.options.M, among)))

    def next(self, indices: list[int], A: Any, bs: list[Any], uses: int, ahead: int) -> list[SolveResult]:
        """The next systems, whatever their outcome; what only these solves could use is dropped."""
        try:
            return [replace(result, space=None) for result in self.course.advance(A, bs, uses=uses, ahead=ahead)]
        except (TypeError, ValueError) as error:
            raise type(error)(f"system {indices[0]}: {error}") from error

    def refuse(self, index: int, result: SolveResult) -> None:
        if self.raise_on_failure and result.status not in DONE:
            raise SolveError(f"system {index}: {result}", result)

    def ordered(self, batch: Batch) -> Iterator[tuple[list[int], Any, list[Any], int, int]]:
        """(indices, A, right-hand sides, systems to come with this A, systems to come): the first as it came, then the others
        sorted, those of one A together."""
        if not len(batch):
            return
        A, b = batch.system(0)
        yield [batch.index(0)], A, [b], batch.uses(0), len(batch)
        order = batch.order(self.sort, near=self.sort != "auto" or self.course.uses_neighbours)
        self.sorted += len(batch) if order.moved else 0
        left = list(order.rest)
        while left:
            A, b = batch.system(left[0])
            group, bs = [left[0]], [b]
            most = max(1, min(TOGETHER, MOST_NUMBERS // max(1, A.shape[0] if hasattr(A, "shape") else 1)))
            while len(group) < min(most, len(left)) and batch.shares(group[0], left[len(group)]):
                group.append(left[len(group)])
                bs.append(batch.system(group[-1])[1])
            uses = max([batch.uses(number) for number in group])
            yield [batch.index(number) for number in group], A, bs, uses, len(left)
            left = left[len(group) :]

    @property
    def summary(self) -> Summary:
        """What was done in the last `solve`, and how long it took."""
        course, results = self.course, self.results
        ways = sorted(((way, count, course.seconds[way]) for way, count in course.taken.items()), key=lambda way: -way[1])
        return Summary(
            len(results), int(course.solver.original.shape[0]) if course.solver is not None else 0, self.spent,
            sum(r.status not in DONE for r in results), sum(int(total(r.iterations)) for r in results),
            sum(r.matvecs for r in results), tuple(ways), f"{self.sorted} sorted" if self.sorted else "in the order they came",
        )  # fmt: skip


def total(iterations: Any) -> int:
    return int(iterations if isinstance(iterations, int) else iterations.sum())


@contextmanager
def bar(wanted: bool, count: int | None) -> Iterator[tuple[Callable[[Any], Any], Callable[[], Any]]]:
    """(what shows a progress bar on stderr, given a matrix: on the first of its ranks alone; its step), or of none."""
    if not wanted:
        yield lambda A: None, lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = Progress(*columns, console=Console(stderr=True))
    task = shown.add_task("systems", total=count)

    def show(A: Any) -> None:
        if (comm := ranks_of(A)) is None or comm.Get_rank() == 0:
            shown.start()

    try:
        yield show, lambda: shown.advance(task)
    finally:
        shown.stop()
