"""A matrix prepared once for many solves: what was recognised, the plans, and the preconditioners that were set up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .choose import KSPS, Candidate, Factorise, Plan, describe, direct_recipe, guard, named, petsc_plans, plans
from .compiling import Compiling, compiler_seconds
from .direct.refinement import direct
from .direct.sparse import Factorization
from .eliminate import Extended, Restricted, eliminate
from .external import dlpack
from .external.petsc import Context, adopt, is_petsc, known_spaces, ksp, like, local_vector
from .krylov import bicgstab, block_cg, cg, flexible_cg, gcrodr, gmres, minres
from .nullspace import Nullspace, Projected, ProjectedPreconditioner, basis, bordered_factor
from .operator import checked, name_of, size_of
from .preconditioners import Deflation
from .preconditioners.multigrid.hierarchy import Hierarchy
from .recognise import Facts, recognise
from .recycling import RecycleSpace
from .refusals import failed, given_up, reachable
from .result import SolveError, SolveInterrupted, SolveResult, Status
from .stopping import State
from .storage import Resident, Stored, compact, resident
from .system import iteration_limit, matrix_in_range, nonfinite, preconditioner, right_hand_side
from .transform import Transform

METHODS: dict[str, Callable[..., SolveResult]] = {
    "cg": cg, "block_cg": block_cg, "flexible_cg": flexible_cg, "minres": minres, "gmres": gmres, "gcrodr": gcrodr,
    "bicgstab": bicgstab, "direct": direct, **{f"petsc {kind}": partial(ksp, kind=kind) for kind in KSPS.values()},
}  # fmt: skip
NAMES = [name for name in METHODS if not name.startswith("petsc ")]
SYMMETRIC_ONLY = ("cg", "block_cg", "flexible_cg", "minres")
FINAL = {  # outcomes that another method would meet again, or that the user asked for
    Status.CONVERGED, Status.STOPPED, Status.TIME_LIMIT, Status.NONFINITE_INPUT, Status.NONFINITE_OPERATOR, Status.INCONSISTENT,
}  # fmt: skip


class Solver:
    """A x = b for many b: A is looked at once, a preconditioner or factorisation set up once, when first needed.

    Parameters are those of `petrov.solve` that concern A; `uses`: how many right-hand sides are to come, over which a dearer
    set-up pays. `solve(b, ...)` takes the others.

    >>> import numpy as np, petrov
    >>> S = petrov.Solver(np.diag([1.0, 2.0]))
    >>> S.solve(np.ones(2)).x, S.solve(np.array([0.0, 4.0])).x
    (array([1. , 0.5]), array([0., 2.]))
    """

    def __init__(
        self, A: Any, *, method: str = "auto", M: Any = "auto", nullspace: Any = None, near_nullspace: Any = None,
        backend: str = "auto", prefix: str | None = None, candidates: Sequence[Candidate] = (), seed: int = 20_231_109,
        uses: int = 1,
    ):  # fmt: skip
        if backend not in ("auto", "petsc"):
            raise ValueError(f"backend must be 'auto' or 'petsc'; got {backend!r}")
        if prefix is not None and backend != "petsc":
            raise ValueError(f"prefix= is of options of PETSc and goes with backend='petsc'; got backend={backend!r}")
        if wrong := [M for M in candidates if not (callable(M) and hasattr(M, "estimate"))]:
            raise TypeError(f"candidates are recipes with a method estimate(facts); got {name_of(wrong[0])}: give that as M")
        if method != "auto" and method not in NAMES:
            raise ValueError(f"method must be one of auto, {', '.join(NAMES)}, lsmr; got {method!r}")
        self.backend, self.prefix, self.method, self.seed = backend, prefix, method, seed
        self.M = named(M) if isinstance(M, str) and M != "auto" else M
        self.arguments, self.candidates = (nullspace, near_nullspace), tuple(candidates)
        self.plans: list[Plan] = []
        self.ready: dict[int, Any] = {}
        self.former: dict[type, Any] = {}
        self.answered: int | None = None  # which of the plans answered last
        self.favourite: tuple[str, type] | None = None  # method and recipe of a plan that answered where others had failed
        self.seen: tuple[Any, Any, Facts] | None = None  # the last matrix, what is solved with, what was recognised of that
        self.wary = False  # what was set up for another matrix took gmres, though A and M looked definite
        self.update(A, uses=uses)

    def update(self, A: Any, *, uses: int = 1, adapt: Callable[[Any], Any] | None = None) -> Solver:
        """Go on with another A; a hierarchy set up for one of the same pattern is brought up to date. Returns self.

        uses: right-hand sides to come with this A, over which a dearer set-up pays. adapt: nothing is set up: adapt(M) of the
        preconditioner or factorisation M that answered last serves this A as a preconditioner; `lambda M: M` where A has hardly
        changed. ValueError if nothing has answered yet, or A has another size.
        """
        start = time.perf_counter()
        kept = None if adapt is None else self.kept(adapt)
        self.former |= {
            type(self.plans[index].M): lasting(M) for index, M in self.ready.items()
            if hasattr(lasting(M), "update") and not hasattr(self.plans[index].M, "shape")
        }  # fmt: skip
        self.look(A)
        self.ready, self.uses = {}, uses
        if self.defect is None and kept is None:
            self.plans = self.liked(self.make_plans(uses))
        elif self.defect is None and kept is not None:
            if tuple(kept.shape) != tuple(self.A.shape):
                raise ValueError(f"adapt serves an A of the last one's size; got {self.A.shape} unknowns, M has {kept.shape}")
            self.ready = {0: kept, 1: kept}
            methods = ["gmres"] if self.wary else dict.fromkeys([self.method_for(kept), "gmres"])
            self.plans = [Plan(method, kept, "the set-up of an earlier matrix") for method in methods]
        self.look_seconds = time.perf_counter() - start
        return self

    def expect(self, uses: int) -> None:
        """So many more right-hand sides are to come with this A: choose again if another plan now is cheaper by estimate."""
        if uses <= self.uses or self.defect is not None:
            return  # the choice was made for as many
        self.uses, plans = uses, self.liked(self.make_plans(uses))
        if plans and self.answered is not None and kind_of(plans[0]) != kind_of(self.plans[self.answered]):
            self.plans, self.ready, self.answered = plans, {}, None

    def kept(self, adapt: Callable[[Any], Any]) -> Any:
        if self.answerer is None:
            raise ValueError("adapt needs a solve with the last A, whose preconditioner it takes over; leave it out")
        return adapt(self.answerer)

    @property
    def answerer(self) -> Any:
        """The preconditioner or factors that answered last; None if nothing has, or there were none."""
        return None if self.answered is None else self.ready.get(self.answered)

    def liked(self, plans: list[Plan]) -> list[Plan]:
        """The plans, first the favourite."""
        return sorted(plans, key=lambda plan: self.favourite is not None and kind_of(plan) != self.favourite)

    def look(self, A: Any) -> None:
        """Recognise A and reduce it to the matrix that is solved with."""
        carried, A = known_spaces(A), dlpack.matrix(adopt(A))
        like, *former = self.seen or (None,)
        self.original = compact(arrays.detach(np.asarray(A) if arrays.is_numpy_matrix(A) else A), like=like)
        checked(self.original)
        self.defect, _, _ = matrix_in_range(self.original)
        if self.defect is not None:
            self.facts, self.plans = Facts(A.shape[0], "unknown", "float64"), []
            return
        nullspace, self.near_nullspace = (
            own if given is None else given for given, own in zip(self.arguments, carried, strict=True)
        )
        stored = getattr(self.original, "on_host", self.original)  # its entries, where it lives on a GPU
        self.elimination = elimination = None if nullspace is not None else eliminate(stored)
        inner, sign = stored if elimination is None else elimination.interior, 1.0
        self.facts = recognise(inner, self.seed, tuple(former) or None)
        if self.facts.symmetric and self.facts.definite == -1 and self.facts.form in ("sparse", "dense"):
            sign, inner = -1.0, compact(-inner.tocsr()) if isinstance(inner, Stored) else -inner
            self.facts = replace(self.facts, definite=1)
        self.nullspace: Nullspace | None = None if nullspace is None else basis(nullspace, inner, self.facts.symmetric)
        self.transform, self.A = Transform(self.original, elimination, self.nullspace, sign), inner
        self.seen = self.original, inner, self.facts
        if stored is not self.original:
            self.transform, self.A = self.transform.moved(self.original.move), resident(inner, self.original.move)
            self.nullspace, self.facts = self.transform.nullspace, replace(self.facts, on_gpu=True)

    def make_plans(self, uses: int = 1) -> list[Plan]:
        """The user's wish where there is one, else the automatic choice."""
        if self.backend == "petsc":
            return petsc_plans(self.facts, self.nullspace is not None, self.method, self.M, self.prefix)
        if self.method == "auto" and isinstance(self.M, str):
            return self.automatic(uses)
        if self.method == "auto":
            given = Plan(self.method_for(self.M), self.M, f"{describe(self.facts)}; M was given")
            return [given, *(self.automatic(uses) if guard(self.facts, self.M) else [])]
        if self.method == "direct":
            return [Plan("direct", M, "asked for") for M in self.factorisations()]
        if isinstance(self.M, str):
            suited = [plan for plan in self.automatic(uses) if plan.method == self.method]
            return [replace(plan, why="asked for") for plan in suited] or [Plan(self.method, None, "asked for")]
        return [Plan(self.method, self.M, "asked for")]

    def automatic(self, uses: int) -> list[Plan]:
        return plans(self.facts, self.nullspace is not None, uses, self.candidates)

    def factorisations(self) -> list[Any]:
        """The user's own, or the one that suits A and, where that trusts A to be definite, the one that does not."""
        if self.M is not None and not isinstance(self.M, str):
            return [self.M]
        suited = direct_recipe(self.facts, self.nullspace is not None)
        return [suited, Factorise()] if suited.spd else [suited]

    def method_for(self, M: Any) -> str:
        """cg only with a linear, symmetric positive definite M; flexible_cg forgives all else."""
        if not self.facts.symmetric:
            return "gmres"
        if self.facts.definite == 0:
            return "minres" if getattr(M, "spd", None) or M is None else "gmres"
        if M is None:
            return "cg"
        applied = self.set_up(0, M)
        return "cg" if getattr(applied, "linear", True) and getattr(applied, "spd", None) else "flexible_cg"

    def solve(self, b: Any, *, raise_on_failure: bool = True, **keywords: Any) -> SolveResult:
        """x for one b (n,) or (n, k); keywords and outcome as in `petrov.solve`. Set-up is counted in the first call only.

        recycle=k: cg and gmres (as gcrodr) leave k slow directions in result.space; space=: the directions that an earlier solve
        left, of this A or another of its size, which cg adds to its preconditioner and gcrodr begins with.
        """
        result = self.run(b, **keywords)
        if result.status in (Status.CONVERGED, Status.STOPPED) or not raise_on_failure:
            return result
        raise SolveError(str(result), result)

    def as_petsc_pc(self) -> Any:
        """The preconditioner (never the iteration) as a Python context of PETSc: pc.setType("python"); pc.setPythonContext(...).

        It is what `solve` would use, set up for this solver's A; an operator that changes there needs `update` here. ValueError
        where the choice for A has no preconditioner: give M=.
        """
        plan = self.plans[0]
        M = self.set_up(0, plan.M)
        if M is None:
            raise ValueError(f"{plan.method} was chosen without a preconditioner ({plan.why}): give Solver one, M=")
        if self.transform.elimination is not None:
            M = Extended(M, self.transform.elimination)
        return Context(M)

    def as_linear_operator(self, **keywords: Any) -> Any:
        """A^-1 to the tolerance as a SciPy LinearOperator; a product that fails raises SolveError."""
        from scipy.sparse.linalg import LinearOperator

        dtype = arrays.working_dtype(self.facts.dtype)
        return LinearOperator(
            self.original.shape, matvec=lambda b: self.solve(b.ravel(), **keywords).x,
            matmat=lambda B: self.solve(B, **keywords).x, dtype=np.dtype(dtype),
        )  # fmt: skip

    def run(self, b: Any, *, x0: Any = None, **keywords: Any) -> SolveResult:
        """Solve and report, whatever the outcome; a Vec of PETSc, or a tensor of torch beside a matrix on a GPU, by one."""
        given = [dlpack.vector(v) if isinstance(self.original, Resident) else local_vector(v) for v in (b, x0)]
        result = self.reported(given[0], x0=given[1], **keywords)
        return replace(result, x=like(b, result.x) if is_petsc(b) else dlpack.like(b, result.x))

    def reported(self, b: Any, *, rtol: float | None = None, atol: float = 0.0, x0: Any = None, **keywords: Any) -> SolveResult:
        b, space = right_hand_side(self.original, b)
        reachable(rtol, atol, b, space)
        iteration_limit(keywords.get("max_iterations"), size_of(self.original))
        if (refusal := self.refusal(b, space)) is not None:
            return refusal
        transform = self.transform
        if transform.trivial:
            return self.climb(b, rtol=rtol, atol=atol, x0=x0, **keywords)
        inner = transform.forward(b, x0, rtol, atol, space)
        if (callback := keywords.get("callback")) is not None:
            keywords["callback"] = lambda state: callback(
                State(state.iteration, state.residual, lambda: transform.restore(inner, state.x))
            )
        try:
            result = self.climb(inner.b, rtol=inner.rtol, atol=inner.atol, x0=inner.x0, **keywords)
        except SolveInterrupted as stopped:
            assert stopped.result is not None
            result = transform.restate(inner, stopped.result, b, rtol, atol, space)
            raise SolveInterrupted(str(result), result) from None
        return transform.restate(inner, result, b, rtol, atol, space)

    def refusal(self, b: Any, space: Space) -> SolveResult | None:
        """What can be told without a solve: a NaN in A or b, a method that needs symmetry, a row of zeros that b contradicts."""
        facts = self.facts
        if (defect := self.defect or nonfinite("b", b, arrays.norm(b, space))) is not None:
            return failed(b, space, self.method, Status.NONFINITE_INPUT, defect)
        if self.method in SYMMETRIC_ONLY and facts.symmetric is False:
            detail = f"max|A - A^H| = {facts.asymmetry:.1e} max|A|" if facts.form != "operator" else "by two sampled products"
            detail = f"{self.method} was asked for, but A is not symmetric ({detail})"
            return failed(b, space, self.method, Status.NOT_SYMMETRIC, detail)
        row = facts.empty_row
        if row is not None and self.transform.trivial and arrays.to_numpy(b[row : row + 1]).any():
            return failed(b, space, self.method, Status.INCONSISTENT, f"row {row} of A is zero but b is not there")
        return None

    def climb(self, b: Any, **keywords: Any) -> SolveResult:
        """Try the plans in order until one answers; seconds and products add up over the tries."""
        tried: list[SolveResult] = []
        for index, plan in enumerate(self.plans):
            result = self.attempt(index, plan, b, **keywords)
            tried.append(result)
            if result.converged:
                self.answered = index
                if hasattr(plan.M, "shape"):
                    self.wary |= index > 0
                elif index:
                    self.favourite = kind_of(plan)
            if result.status in FINAL:
                break
        best = tried[-1] if tried[-1].status in FINAL else min(tried[::-1], key=lambda r: float(np.max(r.residual, initial=0.0)))
        story = "; then ".join(
            f"{r.method} ({self.plans[i].why})" + ("" if r.converged else f" ended {r.status.name}") for i, r in enumerate(tried)
        )
        return replace(
            best,
            reason=story if best.converged else f"{story}; {best.reason}",
            matvecs=sum(r.matvecs for r in tried) + self.facts.products,
            setup_seconds=sum(r.setup_seconds for r in tried),
            solve_seconds=sum(r.solve_seconds for r in tried),
            compile_seconds=sum(r.compile_seconds for r in tried),
            seed=self.seed if self.facts.form == "operator" else None,
        )

    def attempt(self, index: int, plan: Plan, b: Any, **keywords: Any) -> SolveResult:
        new = index not in self.ready
        compiled, start = compiler_seconds(plan.M) if new else 0.0, time.perf_counter()
        try:
            with Compiling() as clock:
                M = self.set_up(index, plan.M)
        except (np.linalg.LinAlgError, MemoryError, ValueError) as error:
            if not isinstance(self.M, str) and plan.method != "direct":
                raise  # the user's own preconditioner
            detail, space = f"setting up {name_of(plan.M)} failed: {error}", right_hand_side(self.A, b)[1]
            return failed(b, space, plan.method, Status.BREAKDOWN, detail)
        setup = time.perf_counter() - start if new else 0.0
        within = max(clock.done, getattr(M, "compile_seconds", 0.0) if new else 0.0)
        if within < setup:  # what was compiled within this very set-up
            compiled, setup = compiled + within, setup - within
        A = self.A if self.nullspace is None else Projected(self.A, self.nullspace)
        method, keywords = recycling(plan.method, A, M, **keywords)
        limit = guard(self.facts, plan.M) if index + 1 < len(self.plans) else None
        if limit is not None:
            limit = keywords["max_iterations"] = min(limit, iteration_limit(keywords.get("max_iterations"), size_of(A)))
        if method == "cg" and self.method == "auto" and "recycle" not in keywords and shared_search_pays(A, M, b):
            method = "block_cg"
        if self.prefix is not None:
            keywords["prefix"] = self.prefix
        with Compiling() as clock:
            result = METHODS[method](A, b, **keywords)
        if limit is not None and result.status is Status.MAX_ITERATIONS:
            given_up(plan, limit, self.plans[index + 1])
        late = max(0.0, min(clock.done - result.compile_seconds, result.solve_seconds))  # by M, when it was first applied
        return replace(
            result, setup_seconds=setup, solve_seconds=result.solve_seconds - late,
            compile_seconds=result.compile_seconds + late + compiled,
        )  # fmt: skip

    def set_up(self, index: int, M: Any) -> Any:
        """The applied preconditioner of a plan, made once."""
        if index not in self.ready:
            elimination = self.elimination
            if self.near_nullspace is not None and hasattr(M, "bind"):
                near = self.near_nullspace if elimination is None else self.near_nullspace[elimination.free]
                M = M.bind(near_nullspace=near)
            if elimination is not None and hasattr(M, "shape") and tuple(M.shape) == tuple(self.original.shape):
                M = Restricted(M, self.transform.elimination.free)  # type: ignore[union-attr]
            if self.nullspace is not None and isinstance(M, Factorise):
                M = bordered_factor(self.A, self.nullspace)
            M = preconditioner(self.renewed(M) or M, self.A)
            if M is not None and self.nullspace is not None:
                M = ProjectedPreconditioner(M, self.nullspace)
            self.ready[index] = M
        return self.ready[index]

    def renewed(self, M: Any) -> Any:
        """The preconditioner of the last A brought up to date; None if there is none, or the pattern has changed."""
        former = None if hasattr(M, "shape") else self.former.pop(type(M), None)
        if former is None or tuple(former.shape) != tuple(self.A.shape):
            return None
        try:
            return former.update(self.A)
        except ValueError:
            return None  # another pattern: set up anew

    def __repr__(self) -> str:
        if self.defect is not None:
            return f"Solver: {self.defect}"
        first = self.plans[0]
        return f"Solver {self.original.shape[0]} x {self.original.shape[1]}: {first.method} + {name_of(first.M)} ({first.why})"


def lasting(M: Any) -> Any:
    """What of a set-up serves another A: of a factorisation its ordering alone, so that there are never two."""
    return M.renew if isinstance(M, Factorization) else M


def kind_of(plan: Plan) -> tuple[str, type]:
    """What two plans for different matrices have in common."""
    return plan.method, type(plan.M)


def shared_search_pays(A: Any, M: Any, b: Any) -> bool:
    """Whether block CG takes less time than cg for the columns of b: not by multigrid, whose few iterations stay as many."""
    several = getattr(b, "ndim", 1) == 2 and b.shape[1] > 1 and isinstance(b, np.ndarray)
    return several and isinstance(A, Stored) and A.dtype == b.dtype == np.float64 and not isinstance(M, Hierarchy)


def recycling(
    method: str, A: Any, M: Any, *, recycle: int = 0, space: RecycleSpace | None = None, **keywords: Any
) -> tuple[str, dict[str, Any]]:
    """The method and its keywords: what a solve takes from the ones before it and leaves for the next, where the method can."""
    if method == "direct":
        keywords["max_iterations"] = None  # of corrections, not of iterations
    elif method == "cg" and (recycle or space is not None):
        M, keywords["recycle"] = M if space is None else Deflation(space, M)(A), recycle
    elif method in ("gmres", "gcrodr") and (recycle or space is not None):
        method, keywords["space"] = "gcrodr", space
        if recycle:
            keywords["recycle"] = recycle
    return method, {**keywords, "M": M}
