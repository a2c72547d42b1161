"""Estimates of the inf-sup constant between parameters at which it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .context import Context, Prepared, stored
from .eigenvalues import smallest_singular_value


@dataclass(frozen=True, slots=True)
class InfSup:
    """An estimate, never a bound, of beta(mu) = inf sup |w^H A v| / (||w||_X ||v||_X), for an A that is not coercive.

    beta is found from above by a factorisation at `size` training points far from each other, and its logarithm interpolated by
    radial functions between them: a resonance between points is not seen. tol: of the square of each beta, relative. Manzoni and
    Negri, Adv. Comput. Math. 41 (2015) 1255.
    Raises ValueError if size is less than 1. Memory: size points; cost: a factorisation and some ten solves for each.

    >>> import numpy as np
    >>> from petrov.rom.parameters import Parameters
    >>> from petrov.rom.stability.context import Context
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, X, P = [np.diag([1.0, -1.0])], np.eye(2), Parameters(k=(1.0, 3.0))
    >>> InfSup(size=3).prepare(Context(A, lambda mus: mus, X, cholesky(X), P, P.grid(9))).values([[1.0], [3.0]]).round(6)
    array([1., 3.])
    """

    size: int = 30
    tol: float = 1e-4

    name = "inf-sup"

    def __post_init__(self) -> None:
        if int(self.size) != self.size or self.size < 1:
            raise ValueError(f"size must be at least 1; got {self.size}")

    def prepare(self, context: Context) -> Prepared:
        train = np.unique(context.train, axis=0)
        mus = train[spread(context.parameters.unit(train), self.size)]
        matrices = stored(context.matrices)
        sums = (matrices.combined(c) for c in context.theta(mus))
        beta = [smallest_singular_value(A, context.X, context.factor, tol=self.tol) for A in sums]
        return self.restore({"points": mus, "beta": np.maximum(beta, np.finfo(float).eps)}, context)

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        unit, log = context.parameters.unit(arrays["points"]), np.log(arrays["beta"])

        def evaluate(mus: np.ndarray) -> np.ndarray:
            from scipy.interpolate import RBFInterpolator

            return np.exp(RBFInterpolator(unit, log, kernel="linear", degree=0)(context.parameters.unit(mus)))

        return Prepared(self.name, False, False, arrays, evaluate)


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` points, each the farthest from those before."""
    chosen, away = [0], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)
