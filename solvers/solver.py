"""A matrix prepared once for many solves: what was recognised, the plans, and the preconditioners that were set up."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .choose import Factorise, Plan, describe, direct_recipe, named, plans
from .direct.refinement import direct
from .eliminate import Restricted, eliminate
from .krylov import bicgstab, block_cg, cg, flexible_cg, gcrodr, gmres, minres
from .nullspace import Nullspace, Projected, ProjectedPreconditioner, basis, bordered_factor
from .operator import checked, name_of
from .preconditioners import GeometricMultigrid, IncompleteCholesky, SmoothedAggregation
from .recognise import Facts, recognise
from .result import SolveError, SolveInterrupted, SolveResult, Status
from .stopping import State
from .storage import Stored, compact
from .system import iteration_limit, matrix_in_range, nonfinite, nonnegative, preconditioner, right_hand_side
from .transform import Transform

METHODS: dict[str, Callable[..., SolveResult]] = {
    "cg": cg, "block_cg": block_cg, "flexible_cg": flexible_cg, "minres": minres, "gmres": gmres, "gcrodr": gcrodr,
    "bicgstab": bicgstab, "direct": direct,
}  # fmt: skip
SYMMETRIC_ONLY = ("cg", "block_cg", "flexible_cg", "minres")
FINAL = {  # outcomes that another method would meet again, or that the user asked for
    Status.CONVERGED, Status.STOPPED, Status.TIME_LIMIT, Status.NONFINITE_INPUT, Status.NONFINITE_OPERATOR, Status.INCONSISTENT,
}  # fmt: skip


class Solver:
    """A x = b for many b: A is looked at once, a preconditioner or factorisation set up once, when first needed.

    Parameters are those of `petrov.solve` that concern A. `solve(b, ...)` takes the others.

    >>> import numpy as np, petrov
    >>> S = petrov.Solver(np.diag([1.0, 2.0]))
    >>> S.solve(np.ones(2)).x, S.solve(np.array([0.0, 4.0])).x
    (array([1. , 0.5]), array([0., 2.]))
    """

    def __init__(
        self, A: Any, *, method: str = "auto", M: Any = "auto", nullspace: Any = None, near_nullspace: Any = None,
        seed: int = 20_231_109,
    ):  # fmt: skip
        if method != "auto" and method not in METHODS:
            raise ValueError(f"method must be one of auto, {', '.join(METHODS)}, lsmr; got {method!r}")
        self.method, self.M, self.seed = method, named(M) if isinstance(M, str) and M != "auto" else M, seed
        self.arguments = (nullspace, near_nullspace)
        self.plans: list[Plan] = []
        self.ready: dict[int, Any] = {}
        self.update(A)

    def update(self, A: Any) -> Solver:
        """Go on with another A; a hierarchy set up for one of the same pattern is brought up to date. Returns self."""
        start = time.perf_counter()
        self.original = compact(arrays.detach(np.asarray(A) if arrays.is_numpy_matrix(A) else A))
        checked(self.original)
        self.defect, _, _ = matrix_in_range(self.original)
        if self.defect is not None:
            self.facts, self.plans, self.look_seconds = Facts(A.shape[0], "unknown", "float64"), [], time.perf_counter() - start
            return self
        nullspace, self.near_nullspace = self.arguments
        elimination = None if nullspace is not None else eliminate(self.original)
        inner, sign = self.original if elimination is None else elimination.interior, 1.0
        self.facts = recognise(inner, self.seed)
        if self.facts.symmetric and self.facts.definite == -1 and self.facts.form in ("sparse", "dense"):
            sign, inner = -1.0, compact(-inner.tocsr()) if isinstance(inner, Stored) else -inner
            self.facts = replace(self.facts, definite=1)
        self.nullspace: Nullspace | None = None if nullspace is None else basis(nullspace, inner, self.facts.symmetric)
        self.transform = Transform(self.original, elimination, self.nullspace, sign)
        self.A = inner
        # What was set up for the last A and can be brought up to date, by the type of its recipe.
        self.former = {type(self.plans[index].M): M for index, M in self.ready.items() if hasattr(M, "update")}
        self.ready = {}
        self.plans = self.make_plans()
        self.look_seconds = time.perf_counter() - start
        return self

    def make_plans(self) -> list[Plan]:
        """The user's wish where there is one, else the automatic choice."""
        if self.method == "auto" and isinstance(self.M, str):
            return plans(self.facts, self.nullspace is not None)
        if self.method == "auto":
            return [Plan(self.method_for(self.M), self.M, f"{describe(self.facts)}; M was given")]
        if self.method == "direct":
            return [Plan("direct", M, "asked for") for M in self.factorisations()]
        if isinstance(self.M, str):
            suited = [plan for plan in plans(self.facts, self.nullspace is not None) if plan.method == self.method]
            return [replace(plan, why="asked for") for plan in suited] or [Plan(self.method, None, "asked for")]
        return [Plan(self.method, self.M, "asked for")]

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
        """x for one b (n,) or (n, k); keywords and outcome as in `petrov.solve`. Set-up is counted in the first call only."""
        result = self.run(b, **keywords)
        if result.status in (Status.CONVERGED, Status.STOPPED) or not raise_on_failure:
            return result
        raise SolveError(str(result), result)

    def as_linear_operator(self, **keywords: Any) -> Any:
        """A^-1 to the tolerance as a SciPy LinearOperator; a product that fails raises SolveError."""
        from scipy.sparse.linalg import LinearOperator

        dtype = arrays.working_dtype(self.facts.dtype)
        return LinearOperator(
            self.original.shape, matvec=lambda b: self.solve(b.ravel(), **keywords).x,
            matmat=lambda B: self.solve(B, **keywords).x, dtype=np.dtype(dtype),
        )  # fmt: skip

    def run(self, b: Any, *, rtol: float | None = None, atol: float = 0.0, x0: Any = None, **keywords: Any) -> SolveResult:
        """Solve and report, whatever the outcome."""
        b, space = right_hand_side(self.original, b)
        reachable(rtol, atol, b, space)
        iteration_limit(keywords.get("max_iterations"), self.original.shape[0])
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
        if facts.empty_row is not None and self.transform.trivial and np.any(b[facts.empty_row]):
            return failed(b, space, self.method, Status.INCONSISTENT, f"row {facts.empty_row} of A is zero but b is not there")
        return None

    def climb(self, b: Any, **keywords: Any) -> SolveResult:
        """Try the plans in order until one answers; seconds and products add up over the tries."""
        tried: list[SolveResult] = []
        for index, plan in enumerate(self.plans):
            result = self.attempt(index, plan, b, **keywords)
            tried.append(result)
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
        keywords = {**keywords, "M": M}
        if plan.method == "direct":
            keywords["max_iterations"] = None  # of corrections, not of iterations
        with Compiling() as clock:
            result = METHODS[plan.method](A, b, **keywords)
        late = max(0.0, min(clock.done - result.compile_seconds, result.solve_seconds))  # by M, when it was first applied
        return replace(
            result, setup_seconds=setup, solve_seconds=result.solve_seconds - late,
            compile_seconds=result.compile_seconds + late + compiled,
        )  # fmt: skip

    def set_up(self, index: int, M: Any) -> Any:
        """The applied preconditioner of a plan, made once."""
        if index not in self.ready:
            elimination = self.transform.elimination
            if self.near_nullspace is not None and hasattr(M, "bind"):
                near = self.near_nullspace if elimination is None else self.near_nullspace[elimination.free]
                M = M.bind(near_nullspace=near)
            if elimination is not None and hasattr(M, "shape") and tuple(M.shape) == tuple(self.original.shape):
                M = Restricted(M, elimination.free)
            if self.nullspace is not None and isinstance(M, Factorise):
                M = bordered_factor(self.A, self.nullspace)
            M = preconditioner(self.renewed(M) or M, self.A)
            if M is not None and self.nullspace is not None:
                M = ProjectedPreconditioner(M, self.nullspace)
            self.ready[index] = M
        return self.ready[index]

    def renewed(self, M: Any) -> Any:
        """The preconditioner of the last A brought up to date; None if there is none, or the pattern has changed."""
        former = self.former.pop(type(M), None)
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


class Compiling:
    """The seconds that numba spends compiling while this is open, in any thread; none before it is loaded."""

    def __init__(self) -> None:
        self.done = 0.0
        self.timer: Any = None

    def __enter__(self) -> Compiling:
        if "numba" in sys.modules:
            event = importlib.import_module("numba.core.event")
            self.timer = event.install_timer("numba:compile", self.add)
            self.timer.__enter__()
        return self

    def add(self, seconds: float) -> None:
        self.done += seconds

    def __exit__(self, *failure: object) -> None:
        if self.timer is not None:
            self.timer.__exit__(*failure)


def compiler_seconds(M: Any) -> float:
    """The seconds it took to load the compiler, if M is the first thing of this process to need it."""
    if not isinstance(M, (IncompleteCholesky, GeometricMultigrid, SmoothedAggregation)) or "numba" in sys.modules:
        return 0.0
    start = time.perf_counter()
    importlib.import_module("numba")
    return time.perf_counter() - start


def reachable(rtol: float | None, atol: float, b: Any, space: Any) -> None:
    """Refuse a tolerance that no x of this precision can be trusted to reach."""
    if rtol is None:
        return
    rtol, atol, floor = nonnegative(rtol, "rtol"), nonnegative(atol, "atol"), 4 * space.eps
    size = float(np.max(arrays.norm(b, space), initial=0.0))
    if rtol < floor and math.isfinite(size) and atol < floor * size:
        raise ValueError(
            f"rtol = {rtol:.1e} is below 4 eps = {floor:.1e} of {space.dtype}, which no solution can be trusted to reach; "
            f"ask for rtol >= {floor:.1e}, set atol, or solve in double precision"
        )


def failed(b: Any, space: Space, method: str, status: Status, detail: str) -> SolveResult:
    """The record of a solve that was not begun: x = 0."""
    xp = arrays.namespace(b)
    assert xp is not None
    norms = arrays.norm(b, space)
    vector = b.ndim == 1
    return SolveResult(
        x=xp.zeros_like(b), status=status, reason=f"{detail}; {status.value}", method=method, preconditioner="none",
        residual=float(norms) if vector else norms, residuals=np.array([norms]), matvecs=0,
        iterations=0 if vector else np.zeros(b.shape[1], np.int64), relative_residual=1.0 if vector else np.ones(b.shape[1]),
        statuses=(status,) * (1 if vector else b.shape[1]),
    )  # fmt: skip
