"""How a model is fitted: the operator taken apart, full solutions gathered (kept, and found again), bases made of them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers import arrays
from ..files.checkpoint import Checkpoint, fingerprint
from ..local_bases.bases import LocalBases
from ..operators.decomposition import compare_one
from ..parameters import spaced
from ..pod import pod
from ..ranks import ALONE, Ranks
from ..snapshots import System
from ..workers import mapped
from .evaluation import Batch
from .greedy import Greedy, History, greedy, swept
from .offline import EXACT, Offline, full_solution, prepared
from .part import Part, dual_projection, part_of
from .projection import Projection

Say = Callable[[str], Any]
MEASURED = 10  # training points, and other points, at which an interpolated operator is compared with the assembled one
SAFETY = 2.0


@dataclass(frozen=True, slots=True)
class POD:
    """Basis by proper orthogonal decomposition of full solutions at training points.

    tol: relative error of the snapshots in the norm of X, root mean square; size: at most so many modes; snapshots: how many of
    the training points are solved, evenly over their order (default: all).
    """

    tol: float | None = None
    size: int | None = None
    snapshots: int | None = None

    def __post_init__(self) -> None:
        if self.tol is None and self.size is None:
            raise ValueError("POD needs tol= or size=")


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What `ReducedModel.fit` was asked for."""

    train: np.ndarray
    progress: bool
    checkpoint: str | Path | None
    workers: int
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        if not len(self.train):
            raise ValueError("train must hold at least one parameter point")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1; got {self.workers}")
        if self.workers > 1 and self.ranks.size > 1:
            raise ValueError("workers= and comm= do not go together: a rank of MPI must not be forked; start more ranks instead")


def fit(model: Any, given: Fit) -> None:
    """Fill a model's offline, parts, partition, history and seconds."""
    recipe = model.recipe
    if not isinstance(recipe, Greedy | POD | LocalBases):
        raise TypeError(f"basis must be Greedy, POD or LocalBases; got {type(recipe).__name__}")
    model.parts, model.partition, model.history, model.seconds = [], None, History(), {}
    try:
        with shown(given.progress and given.ranks.rank == 0) as say:
            made(model, given, say)
    except Exception as error:
        if given.ranks.comm is not None and not isinstance(error, arrays.RankError):
            arrays.bring_down(given.ranks.comm, error)  # the others may wait for this one
        raise


def made(model: Any, given: Fit, say: Say) -> None:
    """The operator, then the basis."""
    recipe, box, ranks, start = model.recipe, model.box, given.ranks, time.perf_counter()
    say("taking the operator apart")
    model.offline = prepared(
        box, model.operator, model.product, model.stability, given.train, model.seed,
        lambda: say(f"assembled {box.calls} systems"), ranks,
    )  # fmt: skip
    model.seconds["operator"] = time.perf_counter() - start
    folder = given.checkpoint if ranks.rank == 0 else None
    store = ranks.agreed(lambda: Store.opened(folder, model, given.train, ranks))
    try:
        if isinstance(recipe, Greedy):
            by_greedy(model, recipe, given, store, say)
        elif isinstance(recipe, POD):
            by_pod(model, recipe, given, store, say)
        else:
            by_clusters(model, recipe, given, store, say)
        model.offline = replace(model.offline, measured=interpolation_errors(model, given, say))
    finally:
        model.seconds["basis"] = time.perf_counter() - start - model.seconds["operator"]


# -- Full solutions --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Store:
    """Full solutions in the order in which they are asked for: those that a checkpoint holds are not solved again.

    The first rank alone has a checkpoint; the ranks take turns to solve.
    """

    checkpoint: Checkpoint | None
    ranks: Ranks = ALONE
    turns: int = 0
    asked: int = 0
    adjoint: bool = False  # what is asked for now

    @classmethod
    def opened(cls, folder: str | Path | None, model: Any, train: np.ndarray, ranks: Ranks) -> Store:
        """Raises FileExistsError if the folder belongs to another problem."""
        if folder is None:
            return cls(None, ranks)
        split = model.offline.split
        vector = np.random.default_rng(7_723).standard_normal(split.A.terms.shape[0])
        points = [model.parameters.centre, *model.parameters.random(2, seed=7_724)]  # two problems may agree at one of them
        identity = {
            "parameters": model.parameters.record(), "train": fingerprint(train), "unknowns": len(vector),
            "matrix": [f"{np.linalg.norm(split.A.combined(mu) @ vector):.6e}" for mu in points],
            "rhs": [f"{np.linalg.norm(split.b.combined(mu)):.6e}" for mu in points],
            "basis": type(model.recipe).__name__, "rtol": float(model.box.rtol), "dual": bool(model.dual),
        }  # fmt: skip
        return cls(Checkpoint(folder, identity), ranks)

    def held(self, mu: np.ndarray) -> np.ndarray | None:
        """The next solution if the checkpoint has it, for this mu; one that is another, and all after it, are of no use."""
        self.asked += 1
        if self.checkpoint is None or self.asked > self.checkpoint.steps():
            return None
        step = self.checkpoint.load(self.asked)
        if not np.array_equal(step["mu"], mu) or bool(step["adjoint"]) != self.adjoint:
            said = f"solution {self.asked} of the checkpoint is not the one that is needed now; solving anew, and keeping no more"
            warnings.warn(said, RuntimeWarning, stacklevel=2)
            self.checkpoint = None
            return None
        return step["x"]

    def keep(self, mu: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self.checkpoint is not None:
            self.checkpoint.append({"mu": mu, "x": x, "adjoint": np.array(self.adjoint)})
        return x

    def get(self, mu: np.ndarray, solve: Callable[[], np.ndarray]) -> np.ndarray:
        found = self.ranks.first(lambda: self.held(mu))
        if found is None:
            found = self.keep(mu, self.ranks.one(self.turns % self.ranks.size, solve))
            self.turns += 1
        return found


def solutions(model: Any, mus: np.ndarray, store: Store, given: Fit, say: Say) -> list[np.ndarray]:
    """x (n, k) at each of the parameters, by several processes or ranks if asked for."""
    found: list[np.ndarray] = []
    ranks = given.ranks
    while len(found) < len(mus) and (x := ranks.first(lambda: store.held(mus[len(found)]))) is not None:
        found.append(x)
    left = list(mus[len(found) :])

    def solve(mu: np.ndarray) -> np.ndarray:
        return full_solution(model, mu)[1]

    for mu, x in zip(left, ranks.mapped(solve, left) if ranks.size > 1 else mapped(solve, left, given.workers), strict=True):
        found.append(store.keep(mu, x))
        say(f"solved {len(found)} of {len(mus)}")
    return found


# -- Bases -----------------------------------------------------------------------------------------------------------------


def by_greedy(model: Any, recipe: Greedy, given: Fit, store: Store, say: Say) -> None:
    offline: Offline = model.offline
    projection, dual = projections(model)
    training = indicated(offline, given.train, given.ranks, model.dual)

    def step(history: History) -> None:
        say(f"greedy: {projection.size} vectors, largest bound {history.bounds[-1]:.2e} (tol {recipe.tol:g})")

    def fresh(number: int) -> Batch:
        return indicated(offline, model.parameters.random(recipe.validate, seed=model.seed + 1 + number), given.ranks)

    try:
        greedy(
            projection, training, lambda mu, x0: store.get(mu, lambda: full_solution(model, mu, x0)[1]), recipe, model.history,
            fresh=fresh, step=step, ranks=given.ranks,
        )  # fmt: skip
        if dual is not None:
            by_dual(model, dual, training, recipe, store, say)
    finally:  # after Ctrl-C too: what there is answers
        if projection.size or model.history.reason != "not begun":
            model.parts = [part_of(projection, dual)]


def by_dual(model: Any, dual: Projection, training: Batch, recipe: Greedy, store: Store, say: Say) -> None:
    """The basis of the adjoint problem, by the same greedy."""
    assert training.outputs is not None
    adjoint = replace(training, thetas=training.thetas.conj(), rhs=training.outputs.conj(), outputs=None)

    def solve(mu: np.ndarray, x0: np.ndarray | None) -> np.ndarray:
        system = model.box(mu)
        compare_one(model.offline.split, system, mu, model.parameters)
        return model.box.solve(System(system.A.conj().T, system.L.conj().T), x0)

    history, store.adjoint = History(), True
    greedy(
        dual, adjoint, lambda mu, x0: store.get(mu, lambda: solve(mu, x0)), recipe, history,
        step=lambda history: say(f"adjoint: {dual.size} vectors, largest bound {history.bounds[-1]:.2e}"), ranks=store.ranks,
    )  # fmt: skip


def by_pod(model: Any, recipe: POD, given: Fit, store: Store, say: Say) -> None:
    mus = given.train if recipe.snapshots is None else spaced(given.train, recipe.snapshots)
    found = solutions(model, mus, store, given, say)
    product = model.offline.factor
    modes = given.ranks.first(lambda: pod(np.concatenate(found, axis=1), product=product, tol=recipe.tol, size=recipe.size))
    model.parts = [grown(model, modes.basis)]
    model.history.selected, model.history.reason = list(mus), f"POD of {len(mus)} solutions: {modes!r}"
    record_bounds(model, given)


def by_clusters(model: Any, recipe: LocalBases, given: Fit, store: Store, say: Say) -> None:
    if not model.box.vector:
        raise ValueError("LocalBases takes one right-hand side; give b as (n,)")
    found = solutions(model, given.train, store, given, say)
    say("clustering")
    product = model.offline.factor
    model.partition = given.ranks.first(lambda: recipe.fit(np.concatenate(found, axis=1), given.train, product=product))
    model.parts = [grown(model, V) for V in model.partition.bases]
    model.history.selected, model.history.reason = list(given.train), f"{len(model.parts)} local bases"


def projections(model: Any) -> tuple[Projection, Projection | None]:
    split = model.offline.split
    L = None if split.L is None else split.L.terms
    projection = Projection(split.A.terms, split.b.terms, model.offline.factor, L=L)
    if not model.dual:
        return projection, None
    if model.offline.error is not None:
        raise ValueError("dual=True has no bound where the error of the operator is a number; leave out dual= or error=")
    if L is None:
        raise ValueError("dual=True needs outputs: output=L, or a third value of assemble")
    return projection, dual_projection(projection)


def grown(model: Any, V: np.ndarray) -> Part:
    """The part of a given basis."""
    if model.dual:
        raise ValueError("dual=True goes with basis=Greedy(...)")
    projection, _ = projections(model)
    projection.append(V)
    return part_of(projection)


def record_bounds(model: Any, given: Fit) -> None:
    """The largest bound over the training set for the first N vectors, N = 0, ..., as a greedy leaves them."""
    training, reduced = indicated(model.offline, given.train, given.ranks), model.parts[0].reduced
    for N in range(reduced.size + 1):
        model.history.bounds.append(float(swept(reduced.truncated(N), training, False, given.ranks).max()))


def indicated(offline: Offline, mus: np.ndarray, ranks: Ranks, outputs: bool = False) -> Batch:
    """A batch to train with: where there is no stability constant, the residual's norm stands for the error."""
    given = reduce(Batch.joined, ranks.parts(lambda part: offline.batch(mus[part], outputs=outputs), len(mus)))
    return replace(given, alpha=np.ones(len(mus))) if offline.stability is None else given


def interpolation_errors(model: Any, given: Fit, say: Say) -> tuple[float, float]:
    """(eps_A, eps_b): twice the largest ||(A - sum beta A_m) u_N||_{X'} / ||u_N||_X and ||b - sum beta b_m||_{X'} seen at some
    points of training and of the box (on the lines of a grid it may be exact); zero where the sums are exact, or bounds of
    their errors are known. Estimates, from as many assemblies."""
    offline: Offline = model.offline
    if offline.split.kind == EXACT or offline.error is not None:
        return 0.0, 0.0
    factor, train = offline.factor, given.train
    assert factor is not None
    say("measuring the error of the interpolated operator")
    some = train[np.random.default_rng(model.seed).choice(len(train), min(MEASURED, len(train)), replace=False)]
    mus = np.concatenate([some, model.parameters.random(MEASURED, seed=model.seed + 5)])
    found = model.answers(mus)

    def seen(i: int) -> tuple[float, float]:
        mu, system = mus[i], model.box(mus[i])
        u = found.fields(i).reshape(len(offline.split.b.terms[0]), -1)
        wrong = np.asarray(system.A @ u) - np.asarray(offline.split.A.combined(mu) @ u)
        of_A = factor.dual_norm(wrong) / np.maximum(factor.norm(u), np.finfo(float).tiny)
        return of_A.max(), factor.dual_norm(system.b - offline.split.b.combined(mu)).max()

    errors = np.max(list(given.ranks.mapped(seen, range(len(mus)))), axis=0)
    return float(SAFETY * errors[0]), float(SAFETY * errors[1])


@contextmanager
def shown(wanted: bool) -> Iterator[Say]:
    """A line on stderr that says what is going on, with the time; or nothing."""
    if not wanted:
        yield lambda text: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda text: bar.update(task, description=text)
