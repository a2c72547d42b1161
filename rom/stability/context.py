"""What every bound of the coercivity constant is given and gives; bounds by one eigenvalue a parameter, and by the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers.direct.cholesky import Cholesky
from ..operators.terms import Terms, terms
from ..operators.weights import Thetas
from ..parameters import Parameters
from .eigenvalues import confirmed, hermitian_part, semidefinite, skew_part, smallest_eigenvalue

ROUNDING = 1e-10  # of the largest entry: a Hermitian part below it may be that of a skew term
INSTEAD = "use SCM(), Pointwise() or Eigenvalue() for stability, which do not mind signs"


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a recipe for stability bounds is given: A(mu) = sum_q c_q(mu) A_q, the inner product X, and where it came from.

    matrices: the A_q (n, n), a Terms or a sequence. coefficients: points (m, p) -> (m, Q). X: Hermitian positive definite;
    factor: cholesky(X). train: points (m, p). assemble: mapping name -> value to the true A(mu), or None. hermitian: the A_q are
    Hermitian and the c_q real. functions, points: those of EIM, g_r(x, mu) and x_r (n_r, dim). exact: the sum is the assembled
    A(mu) up to rounding, not an interpolation of it. For `restore`, matrices, X and factor may be None.
    """

    matrices: Any
    coefficients: Callable[[np.ndarray], np.ndarray]
    X: Any
    factor: Cholesky | None
    parameters: Parameters
    train: np.ndarray
    assemble: Callable[[dict[str, float]], Any] | None = None
    hermitian: bool = False
    functions: tuple[Callable[..., Any], ...] = ()
    points: tuple[np.ndarray, ...] = ()
    exact: bool = True

    def theta(self, mus: np.ndarray) -> np.ndarray:
        """The coefficients (m, Q), checked."""
        c = np.asarray(self.coefficients(mus))
        if c.ndim != 2 or c.shape[0] != len(mus) or not np.isfinite(c).all():
            raise ValueError(f"coefficients must be finite, a row for each of {len(mus)} points; got shape {c.shape}")
        return c

    def operator(self, mu: np.ndarray) -> Any:
        """The assembled A(mu), or the sum where there is no assemble."""
        if self.assemble is not None:
            return self.assemble(self.parameters.mapping(mu))
        return stored(self.matrices).combined(self.theta(mu[None])[0])


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Bounds, ready: `values(mus)` (m,) of points (m, p).

    rigorous: below the constant of sum_q c_q A_q; for_true_operator: below that of the assembled A(mu); up to the rounding of the
    factorisations, and on the user's word where the recipe says so. `arrays` is all that is held; with it and a Context that
    knows the user's functions, `recipe.restore(arrays, context)` makes the same again.
    """

    name: str
    rigorous: bool
    for_true_operator: bool
    arrays: dict[str, np.ndarray]
    evaluate: Callable[[np.ndarray], np.ndarray] = field(repr=False)

    def values(self, mus: Any) -> np.ndarray:
        """The bound at each point (m, p); zero or negative where it tells nothing. ValueError if it cannot be found there."""
        mus = np.asarray(mus, dtype=np.float64)
        if mus.ndim != 2 or not np.isfinite(mus).all():
            raise ValueError(f"points must be finite, of shape (m, p); got shape {mus.shape}")
        if len(mus) == 0:
            return np.zeros(0)
        found = np.asarray(self.evaluate(mus), dtype=np.float64)
        if found.shape != (len(mus),) or not np.isfinite(found).all():
            raise ValueError(f"{self.name} gave no finite number for each of {len(mus)} points; got shape {found.shape}")
        return found


@dataclass(frozen=True, slots=True)
class Eigenvalue:
    """alpha(mu) = (1 - margin) lambda_min(A_s(mu), X), each confirmed by a Cholesky factorisation of A_s - alpha X, or lowered.

    The sharpest and the dearest: an eigenvalue and two or more factorisations a point (0.3 s at 10^4 unknowns in the plane).
    Negative where A_s is indefinite. It holds the Hermitian forms and needs them again for `restore`.

    >>> import numpy as np
    >>> from petrov.rom.parameters import Parameters
    >>> from petrov.rom.stability.context import Context
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, X, P = [np.eye(2), np.diag([0.0, 1.0])], np.eye(2), Parameters(k=(-3.0, 3.0))
    >>> context = Context(A, lambda mus: np.hstack([np.ones((len(mus), 1)), mus]), X, cholesky(X), P, P.grid(5))
    >>> Eigenvalue().prepare(context).values([[-3.0], [0.0]])
    array([-2.002,  0.999])
    """

    margin: float = 1e-3

    name = "eigenvalue"

    def __post_init__(self) -> None:
        if not 0 < self.margin < 1:
            raise ValueError(f"margin must lie between 0 and 1; got {self.margin}")

    def prepare(self, context: Context) -> Prepared:
        return self.restore({}, context)

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        if context.matrices is None or context.X is None:
            raise ValueError("Eigenvalue needs the matrices A_q and X for every new point, which a stored model does not hold")
        forms, doubled = hermitian_forms(context)

        def one(weights: np.ndarray) -> float:
            H = forms.combined(weights)
            return confirmed(H, context.X, smallest_eigenvalue(H, context.X, context.factor), margin=self.margin)

        return Prepared(
            self.name, True, context.exact, arrays, lambda mus: np.array([one(w) for w in real(context, mus, doubled)])
        )


@dataclass(frozen=True, slots=True)
class User:
    """alpha(mu) by the user: a number, or a function of a mapping name -> values (m,) that gives (m,) or a number. A bound on the
    user's word."""

    function: Callable[[dict[str, np.ndarray]], Any] | float

    name = "user"

    def __post_init__(self) -> None:
        if not (callable(self.function) or isinstance(self.function, int | float | np.number)):
            given = type(self.function).__name__
            raise TypeError(f"stability needs a number, or a function of a mapping name -> values; got {given}")

    def prepare(self, context: Context) -> Prepared:
        return self.restore({}, context)

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        def evaluate(mus: np.ndarray) -> np.ndarray:
            given = self.function
            if not callable(given):
                return np.full(len(mus), float(given))
            try:
                alpha = Thetas((given,), context.parameters)(mus)[:, 0]
            except ValueError as error:
                raise ValueError(f"alpha(mu) must be a number or {len(mus)} of them, real and finite: {error}") from error
            if np.iscomplexobj(alpha):
                raise ValueError(f"alpha(mu) must be real; got {alpha.dtype}")
            return alpha

        return Prepared(self.name, context.exact, True, arrays, evaluate)


def user(function: Callable[[dict[str, np.ndarray]], Any]) -> User:
    """The recipe for a bound that the user knows."""
    return User(function)


def stored(matrices: Any) -> Terms:
    made = matrices if isinstance(matrices, Terms) else terms(matrices)
    if not made.stored:
        raise TypeError("stability bounds need the entries of the A_q, which are known by products alone; use user(callable)")
    return made


def hermitian_forms(context: Context) -> tuple[Terms, bool]:
    """(H_q, or H_q and G_q, with A_q = H_q + i G_q both Hermitian; whether the G_q are there, for complex coefficients)."""
    made = stored(context.matrices)
    if context.hermitian:
        return made, False
    doubled = np.iscomplexobj(context.theta(context.train[:1]))
    return terms([part(A) for part in [hermitian_part, skew_part][: 1 + doubled] for A in each(made)]), doubled


def each(made: Terms) -> list[Any]:
    return [made[q] for q in range(len(made))]


def real(context: Context, mus: np.ndarray, doubled: bool) -> np.ndarray:
    """The real weights of the Hermitian forms: (c A)_s = Re(c) H - Im(c) G."""
    c = context.theta(mus)
    if doubled:
        return np.hstack([c.real, -c.imag])
    if np.iscomplexobj(c) and np.any(c.imag):
        raise ValueError("coefficients were real for the first training point and are complex now; return one dtype always")
    return c.real


def reference(recipe: Any, context: Context) -> np.ndarray:
    """mu_bar (p,), which may lie outside of the box."""
    given = recipe.reference
    return context.parameters.centre if given is None else context.parameters.points(given, extrapolate=True)[0]


def at_reference(A: Any, context: Context) -> float:
    """A lower bound of alpha(mu_bar): 1 less rounding if X is A_s, else a confirmed eigenvalue; ValueError if not positive."""
    E = hermitian_part(A - context.X)
    if abs(E).max() <= ROUNDING * abs(context.X).max():
        delta = semidefinite(E, context.X, float((abs(E).sum(axis=1) / context.X.diagonal().real).max()) * 1e12)
        if delta is not None:
            return 1.0 - delta
    alpha = confirmed(A, context.X, smallest_eigenvalue(A, context.X, context.factor))
    if not alpha > 0:
        raise ValueError(f"A is not coercive at the reference: only alpha >= {alpha:.3g} is certain; use InfSup() or SCM()")
    return alpha
