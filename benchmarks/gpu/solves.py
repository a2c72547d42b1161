"""What is measured of solves: one iteration by Jacobi against a copy and against cupyx, multigrid against the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ...solvers import GeometricMultigrid, Jacobi, SmoothedAggregation, arrays, cg, compact, problems
from ...solvers.device import made
from ...solvers.storage import resident
from ..contests import Contest
from ..document import OK, WRONG, Row
from ..iteration import textbook
from ..records import System, relative_residual
from ..suites import model
from .timing import Timing, median, rounds

ITERATION, AGAINST, MULTIGRID = "iteration", "cupyx", "multigrid"
OURS, COPY, THEIRS, HOST = "petrov cg + Jacobi", "copy", "cupyx cg + Jacobi", "petrov on the host"
FEW, MANY = 24, 120  # whole batches of iterations between two looks
VECTORS = 2 * 8 + 6 * 8 + 3 * 8 + 2 * 8  # bytes a row: p, q; p, q, x and r twice; r, p twice; d twice
RTOL = 1e-8
Measure = Callable[[int, int, Timing], list[Row]]  # of n cells a side in so many dimensions
RECIPES = (GeometricMultigrid, SmoothedAggregation)


def system(n: int, dim: int) -> System:
    return model(problems.poisson, n, dim, {})


def contests(timing: Timing) -> list[Contest]:
    plane, cube, million = (timing.side_2d, 2), (timing.side_3d, 3), (timing.side_million, 3)
    table: tuple[tuple[str, Measure, tuple[tuple[int, int], ...]], ...] = (
        (ITERATION, iteration, (cube,)), (AGAINST, against_cupyx, (million, plane)), (MULTIGRID, multigrid, (plane, cube)),
    )  # fmt: skip
    return [contest(work, measure, n, dim, timing) for work, measure, sizes in table for n, dim in sizes]


def contest(work: str, measure: Measure, n: int, dim: int, timing: Timing) -> Contest:
    name = f"{work}: poisson {n}^{dim}"
    return Contest(name, work, lambda settings: [replace(row, problem=name, work=work) for row in measure(n, dim, timing)])


def on_device(given: System) -> tuple[Any, Any]:
    """(A in its compact form, b) on the GPU."""
    import cupy

    return resident(compact(given.A), cupy.asarray), cupy.asarray(given.b)


def row(given: System, method: str, library: str = "petrov", **more: Any) -> Row:
    """A row of the document, without its problem and work."""
    facts = {"rows": given.A.shape[0], "entries": int(given.A.nnz), "setup_seconds": 0.0, **more}
    return Row("", "poisson", "spd", method, library, OK, **facts)


def an_iteration(name: str, times: dict[str, list[float]]) -> float:
    """Seconds of one, by the difference of many and few, whose ends cost the same."""
    return (min(times[f"{name} {MANY}"]) - min(times[f"{name} {FEW}"])) / (MANY - FEW)


def iteration(n: int, dim: int, timing: Timing) -> list[Row]:
    """One iteration of ours, its bytes counted, beside a copy of a vector."""
    given = system(n, dim)
    A, b = on_device(given)
    source, target = b.copy(), b.copy()
    ways = {f"{OURS} {k}": ours(A, b, k) for k in (FEW, MANY)}
    times = rounds({**ways, COPY: lambda: copy(target, source)}, timing.rounds)
    traffic, seconds = A.on_host.bytes_per_row + VECTORS, an_iteration(OURS, times)
    found = row(given, OURS, iterations=MANY, solve_seconds=seconds, traffic=traffic, chose=repr(A.on_host), runs=timing.rounds)
    copied = row(given, COPY, "machine", solve_seconds=min(times[COPY]), traffic=16.0, runs=timing.rounds)
    return [checked(found, given, lambda count: ours(A, b, count)()), copied]


def copy(target: Any, source: Any) -> None:
    target[...] = source


def ours(A: Any, b: Any, count: int) -> Callable[[], Any]:
    """So many iterations: none is enough at this tolerance."""
    return lambda: cg(A, b, M=Jacobi(), rtol=1e-14, max_iterations=count)


def checked(found: Row, given: System, run: Callable[[int], Any]) -> Row:
    """The row, WRONG unless FEW iterations of the run are those of the textbook's loop in NumPy."""
    result, expected = run(FEW), textbook(given, FEW)
    off = abs(relative_residual(given, result.x.get()) / expected[-1] - 1)
    if not off <= 1e-6:
        return replace(found, status=WRONG, reason=f"after {FEW} iterations the residual is off the textbook's by {off:.1e}")
    return replace(found, relative_residual=float(expected[-1]))


def against_cupyx(n: int, dim: int, timing: Timing) -> list[Row]:
    """One iteration of ours beside one of cupyx's cg, both with the inverse of the diagonal."""
    import cupy
    import cupyx.scipy.sparse as sparse
    from cupyx.scipy.sparse import linalg

    given = system(n, dim)
    A, b = on_device(given)
    theirs, inverse = sparse.csr_matrix(given.A), cupy.asarray(1.0 / given.A.diagonal())
    M = linalg.LinearOperator(theirs.shape, matvec=lambda r: inverse * r, dtype=theirs.dtype)

    def rival(count: int) -> Any:
        return linalg.cg(theirs, b, rtol=1e-14, maxiter=count, M=M)[0]

    ways = {f"{OURS} {k}": ours(A, b, k) for k in (FEW, MANY)}
    ways |= {f"{THEIRS} {k}": partial(rival, k) for k in (FEW, MANY)}
    times = rounds(ways, timing.rounds)
    first = row(given, OURS, iterations=MANY, solve_seconds=an_iteration(OURS, times), runs=timing.rounds)
    second = row(given, THEIRS, "cupyx", iterations=MANY, solve_seconds=an_iteration(THEIRS, times), runs=timing.rounds)
    return [checked(first, given, lambda count: ours(A, b, count)()), checked(second, given, lambda count: Answer(rival(count)))]


class Answer:
    """A bare x as a result."""

    def __init__(self, x: Any) -> None:
        self.x = x


def multigrid(n: int, dim: int, timing: Timing) -> list[Row]:
    """Set-up and solve with each recipe, on the GPU and on the host."""
    given = system(n, dim)
    places = {"GPU": on_device(given), "host": (compact(given.A), given.b)}
    return [row for recipe in RECIPES for row in beside(recipe, given, places, timing)]


def beside(recipe: Any, given: System, places: dict[str, tuple[Any, Any]], timing: Timing) -> list[Row]:
    """The rows of one recipe, a place each; WRONG where x is not within the tolerance."""
    M: dict[str, Any] = {}

    def set_up(place: str) -> None:
        M[place] = made(recipe(), places[place][0])

    def solve(place: str) -> Any:
        return cg(*places[place], M=M[place], rtol=RTOL)

    steps = {"set-up": set_up, "solve": solve}
    times = rounds({f"{what}, {place}": partial(do, place) for what, do in steps.items() for place in places}, timing.rounds)
    found = []
    for place in places:
        result = solve(place)
        residual = relative_residual(given, arrays.to_numpy(result.x))
        measured = row(
            given, f"petrov cg + {recipe.__name__}, {place}", "petrov" if place == "GPU" else HOST, relative_residual=residual,
            iterations=int(result.iterations), setup_seconds=median(times[f"set-up, {place}"]),
            solve_seconds=median(times[f"solve, {place}"]), runs=timing.rounds,
        )  # fmt: skip
        right = residual <= 1.01 * RTOL
        found.append(measured if right else replace(measured, status=WRONG, setup_seconds=None, solve_seconds=None))
    return found
