"""One system after another: what the last one left is tried on the next, and kept to while it pays."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..direct.refinement import direct
from ..external.petsc import is_petsc, like, local_vector, ranks_of
from ..preconditioners.multigrid.hierarchy import Hierarchy
from ..result import SolveResult, Status
from ..solver import Solver
from .answers import Answers
from .costs import Costs
from .relation import SAME, Reference, Relation, dealt
from .start import Start
from .together import together

DIRECTIONS = 20  # that are recycled by default
SLOW = 50  # iterations from which recycling is tried
RECORDED = 3  # systems whose slow directions are gathered before it is told what they save
LEARNING = 0.1  # of rtol, for a right-hand side from which others are to be put together
STEADY = 0.05  # a deviation from the last matrix up to which several systems may share one set-up
SHARED = 8  # systems that then are reckoned with
TOLD = "put together from solutions of other right-hand sides"
GROWN = 1.15  # times the mean seconds since a set-up, its own included, beyond which the next is due: noise is not growth
LOADING = 0.5  # seconds that a first trial may take, which may load what others find
AHEAD = 4  # systems to come from which a trial may pay


@dataclass(frozen=True, slots=True)
class Options:
    """What a Sequence was asked for; see there."""

    rtol: float | None = None
    atol: float = 0.0
    method: str = "auto"
    M: Any = "auto"
    nullspace: Any = None
    near_nullspace: Any = None
    max_iterations: int | None = None
    time_limit: float | None = None
    recycle: int | str = "auto"
    candidates: tuple[Any, ...] = ()
    seed: int = 20_231_109


class Course:
    """The state between two systems."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.solver: Solver | None = None
        self.held: Reference | None = None  # the matrix that the solver has
        self.origin: Reference | None = None  # the one its preconditioner or factors were made for
        self.answers: Answers | None = None
        self.home = Space(np, "float64", "cpu", None)  # with the ranks that hold the rows, who decide alike
        self.rows = 0  # of the last matrix, here
        self.costs, self.start = Costs(), Start()
        self.units: np.ndarray | None = None  # of the columns of the last matrix, by those of the one the set-up was made for
        self.M: Any = None  # the preconditioner or factors
        self.space: Any = None
        self.recorded, self.repeats, self.steady = 0, 0, 0
        self.cycle: list[float] = []  # seconds since the last set-up, its own first
        self.last: SolveResult | None = None
        self.taken: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}

    def advance(self, A: Any, bs: list[Any], *, uses: int = 1, ahead: int = AHEAD) -> list[SolveResult]:
        """Solve the next systems, which share A; `uses`: how many to come have this A, `ahead`: how many are to come at all."""
        begin = time.perf_counter()
        self.rank_by_rank(A)
        relation, held = self.related(A)
        b, ranks = local_vector(bs[0]), dealt(A)
        if relation is None or not (held and (relation.same if ranks else relation.exact)):
            found = [self.anew(A, b, relation, uses, ahead)]
        elif len(bs) > 1 and relation.same and not ranks and all(map(plain_vector, bs)):
            found = self.several(bs)
        else:
            found = [self.again(A, b, relation)]
        if is_petsc(bs[0]):
            found = [(way, replace(result, x=like(bs[0], result.x))) for way, result in found]
        for way, result in found:
            self.taken[way] += 1
            self.seconds[way] = self.seconds.get(way, 0.0) + (time.perf_counter() - begin) / len(found)
            self.last = result
        done = [replace(result, reason=f"{way}: {result.reason}" if result.reason else way) for way, result in found]
        return done if len(done) == len(bs) else [*done, *self.advance(A, bs[1:], uses=uses - 1, ahead=ahead - 1)]

    def rank_by_rank(self, A: Any) -> None:
        """Which ranks hold the rows of A; if others than held the last ones, what was remembered of vectors is of no use."""
        self.home = replace(self.home, comm=ranks_of(A))
        rows = int(A.getLocalSize()[0] if is_petsc(A) else A.shape[0]) if hasattr(A, "shape") or is_petsc(A) else 0
        if self.home.comm is not None and not arrays.everywhere(rows == self.rows, self.home):
            self.start, self.space = Start(), None
        self.rows = rows

    def since(self, begin: float) -> float:
        """Seconds from then on, on the slowest rank."""
        return arrays.largest(time.perf_counter() - begin, self.home)

    def plain(self, b: Any) -> bool:
        return arrays.everywhere(plain_vector(b), self.home)

    def related(self, A: Any) -> tuple[Relation | None, bool]:
        """How A is related to the matrix that the set-up was made for, or whether it is the one that is held; and whether that
        is the one meant."""
        if self.held is None or self.origin is None:
            return None, False
        if self.held is not self.origin and self.held.same(A):
            return SAME, True
        return self.origin.relation(A), self.held is self.origin

    @property
    def uses_neighbours(self) -> bool:
        """Whether what the next system takes from the last is worth more the nearer they are: not a hierarchy, which is brought
        up to date in less time than an old one costs iterations."""
        return not isinstance(self.M, Hierarchy)

    # The matrix that is held, or one that differs by a scaling.

    def again(self, A: Any, b: Any, relation: Relation) -> tuple[str, SolveResult]:
        solver, options = self.solver, self.options
        assert solver is not None
        self.repeats += 1
        if self.held is not self.origin and self.repeats >= SHARED:  # what was made for another matrix has to do too often
            return "set up", self.fresh(A, b, self.repeats, None, time.perf_counter())
        if self.held is self.origin and self.repeats & (self.repeats - 1) == 0:
            solver.expect(self.repeats)  # as often again as so far
        if not self.plain(b):
            return "the same A", self.through(A, b, relation, self.run(b) if relation.same else None)
        y = b if relation.left is None else b / relation.left
        answers, begin = self.known(y), time.perf_counter()
        guess, left, part = answers.guess(y) if answers.worth else (None, y, 1.0)
        looked, looking = time.perf_counter(), self.since(begin)
        told = guess is not None and part <= self.rtol
        keen = answers.worth and not told and solver.plans[0].method != "direct"
        result = self.run(y, x0=guess, rtol=LEARNING * self.rtol if keen else options.rtol)
        answers.seen, answers.found = answers.seen + 1, answers.found + told
        answers.looking += looking
        answers.solving += self.since(looked)
        if answers.worth and result.converged and not told:
            answers.learn(left, result.x if guess is None else result.x - guess, part)
        way = TOLD if told else "the same A"
        if relation.same:
            return way, result
        return f"A = {relation.kind}" if not told else f"{way}, A = {relation.kind}", self.through(A, b, relation, result)

    def several(self, bs: list[np.ndarray]) -> list[tuple[str, SolveResult]]:
        """The same for right-hand sides of one matrix, as a block."""
        solver, options = self.solver, self.options
        assert solver is not None
        B = np.stack(bs, axis=1).astype(np.float64, copy=False)
        answers, limits = self.known(bs[0]), {} if options.time_limit is None else {"time_limit": options.time_limit * len(bs)}
        keywords = {"rtol": options.rtol, "atol": options.atol, "max_iterations": options.max_iterations, **limits}
        keen = self.rtol * (1.0 if solver.plans and solver.plans[0].method == "direct" else LEARNING)
        found = together(solver, answers, B, self.rtol, keen, keywords)
        return [(TOLD if told else "the same A", result) for told, result in found]

    def through(self, A: Any, b: Any, relation: Relation, inner: SolveResult | None) -> SolveResult:
        """The answer for A from the one for the matrix that is held, held to the residual of A itself."""
        assert self.solver is not None
        if relation.same and inner is not None:
            return inner
        options = self.options
        M = relation.inverse(self.solver.as_linear_operator(rtol=options.rtol))
        x0 = None if inner is None else inner.x if relation.right is None else inner.x / relation.right
        result = direct(A, b, M=M, x0=x0, rtol=options.rtol, atol=options.atol, time_limit=options.time_limit)
        if inner is None:
            return result
        return replace(
            result, method=inner.method, preconditioner=inner.preconditioner, matvecs=result.matvecs + inner.matvecs,
            iterations=inner.iterations, solve_seconds=result.solve_seconds + inner.solve_seconds, reason=inner.reason,
        )  # fmt: skip

    def known(self, b: np.ndarray) -> Answers:
        """The right-hand sides that were answered with the matrix that is held."""
        if self.answers is None or self.answers.n != len(b):
            self.answers = Answers(len(b), home=self.home)
        return self.answers

    # Another matrix.

    def anew(self, A: Any, b: Any, relation: Relation | None, uses: int, ahead: int) -> tuple[str, SolveResult]:
        if self.solver is None:
            return "set up", self.fresh(A, b, uses, None, begin=time.perf_counter())
        self.steady = self.steady + 1 if relation is not None and relation.deviation <= STEADY else 0
        names = self.ways(relation, ahead)
        self.units = None if relation is None else relation.right
        name, begin, x0 = self.costs.choose(names), time.perf_counter(), None
        if name == "kept":
            assert relation is not None
            limit = self.costs.limit(name, names)
            result = self.kept(A, b, relation, limit if self.costs.way(name).taken else max(limit, LOADING), begin)
            self.costs.settle(name, self.since(begin + result.compile_seconds), names)
            if result.converged:
                return f"the set-up of an earlier A0, A ~ {relation.kind}", result
            self.costs.way(name).lost()
            name, x0 = "fresh", result.x if result.status is Status.TIME_LIMIT else None
        uses = max(uses, SHARED if self.steady > 1 else 1)
        if name == "recycled":
            result = self.recycled(A, b, uses, x0, names, begin)
            return "set up, with recycled directions", result
        return "set up", self.fresh(A, b, uses, x0, begin)

    def ways(self, source: Relation | None, ahead: int) -> list[str]:
        """What could be done with the next system; the first needs no trial."""
        solver, last, recycle = self.solver, self.last, self.options.recycle
        assert solver is not None
        plan = solver.plans[min(solver.answered or 0, len(solver.plans) - 1)] if solver.plans else None
        able = plan is not None and plan.method in ("cg", "gmres", "gcrodr")
        slow = able and self.uses_neighbours
        if recycle != "auto":
            return ["recycled"] if recycle and able else ["fresh"] if not self.keeps(source) else ["fresh", "kept"]
        if plan is not None and plan.method == "gcrodr":
            return ["recycled"]
        names = ["fresh"]
        if self.keeps(source) and ahead >= AHEAD // 2:
            names.append("kept")
        tried = self.costs.way("recycled").taken > 0 or self.recorded > 0
        enough = last is not None and int(np.max(last.iterations, initial=0)) >= SLOW and ahead >= AHEAD
        if slow and (tried or enough):
            names.append("recycled")
        return names

    def keeps(self, source: Relation | None) -> bool:
        """The last set-up may serve another matrix: it is a good one, and has not grown older than pays."""
        solver = self.solver
        if source is None or solver is None or self.M is None:
            return False
        if not solver.transform.trivial and not source.plain:
            return False  # the scaling is of all rows, the set-up of those that are left
        if not self.uses_neighbours and source.deviation > (STEADY if source.plain else STEADY**2):
            return False  # what a scaling leaves is small beside the entries, and not beside the least eigenvalues
        return len(self.cycle) < 4 or float(np.median(self.cycle[-3:])) <= GROWN * sum(self.cycle) / len(self.cycle)

    def fresh(self, A: Any, b: Any, uses: int, x0: Any, begin: float, **keywords: Any) -> SolveResult:
        """Set up for A, or bring up to date."""
        options = self.options
        if self.solver is None:
            self.solver = Solver(
                A, method=options.method, M=options.M, nullspace=options.nullspace, near_nullspace=options.near_nullspace,
                candidates=options.candidates, seed=options.seed, uses=uses,
            )  # fmt: skip
        else:
            self.solver.update(A, uses=uses)
        space = keywords.get("space")
        if space is not None and space.basis.shape[1] != self.solver.A.shape[0]:
            keywords["space"] = None
        direct = bool(self.solver.plans) and self.solver.plans[0].method == "direct"
        x0 = None if direct else self.start.guess(self.solver.original, b, self.units) if x0 is None else x0
        result = self.run(b, x0=x0, **keywords)
        self.held = self.origin = Reference(A, self.held)
        self.M = self.solver.answerer if result.converged else None
        self.start.rebase(self.units)
        self.units = None
        seconds = self.since(begin + result.compile_seconds)
        self.cycle = [seconds]
        if not keywords:
            self.costs.settle("fresh", seconds, ["fresh"])
        self.after(b, result)
        return replace(result, setup_seconds=result.setup_seconds + self.solver.look_seconds)

    def kept(self, A: Any, b: Any, source: Relation, limit: float, begin: float) -> SolveResult:
        """Solve with the set-up of an earlier matrix as the preconditioner."""
        assert self.solver is not None
        self.solver.update(A, adapt=lambda _: source.inverse(self.M))
        result = self.run(b, x0=self.start.guess(self.solver.original, b, self.units), time_limit=limit)
        self.held = Reference(A, self.held)
        self.cycle.append(self.since(begin + result.compile_seconds))
        if result.converged:
            self.after(b, result)
        return result

    def recycled(self, A: Any, b: Any, uses: int, x0: Any, names: list[str], begin: float) -> SolveResult:
        """Set up for A, and take the slow directions of earlier systems along."""
        count = DIRECTIONS if self.options.recycle == "auto" else int(self.options.recycle)
        gather = self.recorded < RECORDED
        result = self.fresh(A, b, uses, x0, begin, recycle=count if gather else 0, space=self.space)
        if result.space is not None:
            self.space, self.recorded = result.space, self.recorded + 1
        seconds = self.since(begin + result.compile_seconds)
        if not gather or result.method == "gcrodr":
            self.costs.settle("recycled", seconds, names)
        elif seconds > 3 * (self.costs.way("fresh").seconds or seconds):
            self.costs.way("recycled").lost()
        return result

    def after(self, b: Any, result: SolveResult) -> None:
        """Another matrix is held now."""
        self.answers, self.repeats = None, 0
        if result.converged and self.held is self.origin and self.plain(b):
            self.known(b).learn(b, result.x, 1.0)
        self.start.learn(result, self.units)

    @property
    def rtol(self) -> float:
        return 1e-8 if self.options.rtol is None else self.options.rtol

    def run(self, b: Any, **keywords: Any) -> SolveResult:
        """One solve with the options and what is given beside them."""
        assert self.solver is not None
        options = self.options
        common = {"rtol": options.rtol, "atol": options.atol, "max_iterations": options.max_iterations}
        limits = [limit for limit in (options.time_limit, keywords.pop("time_limit", None)) if limit is not None]
        return self.solver.run(b, **{**common, **keywords}, time_limit=min(limits) if limits and min(limits) < np.inf else None)


def plain_vector(b: Any) -> bool:
    """Whether right-hand sides like b can be put together in double precision."""
    return (
        isinstance(b, np.ndarray)
        and b.ndim == 1
        and b.dtype.kind in "iuf"
        and b.dtype != np.float32
        and bool(np.isfinite(b).all())
    )
