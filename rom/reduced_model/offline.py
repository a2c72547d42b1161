"""What a model is made of before it has a basis: the operator taken apart, the inner product, the stability constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.direct.cholesky import Cholesky, cholesky
from ..operators.decomposition import Split, compare_one, split
from ..operators.expressions import as_function
from ..operators.recipes import EIM, EXACT, TRAINED, located
from ..parameters import Parameters
from ..ranks import Ranks
from ..snapshots import BlackBox, System, working
from ..stability.context import Context, Prepared, User
from ..stability.eigenvalues import hermitian_part
from ..stability.inf_sup import InfSup
from ..stability.min_theta import MinTheta
from ..stability.successive_constraints import SCM
from .evaluation import Batch, batch

RIGOROUS, ESTIMATE, NONE = "rigorous", "estimate", "none"
MOST_CORNERS = 4  # parameters with so few are looked at in all 2^p
ROUGH = (12, 1e-2)  # factorisations that an estimate nobody asked for may take, and their tolerance


@dataclass(frozen=True, slots=True, eq=False)
class Offline:
    """The problem, prepared: terms and weights, X and its factors, stability constants or None, the operator's error or None."""

    parameters: Parameters
    split: Split
    X: Any
    factor: Cholesky | None
    stability: Prepared | None
    error: Callable[[np.ndarray], Any] | None
    stability_recipe: Any = None
    measured: tuple[float, float] = (0.0, 0.0)  # of an interpolated operator: errors of A and b seen at some parameters

    @property
    def kind(self) -> str:
        """What the errors are: rigorous only with a rigorous stability constant and a known error of the operator."""
        if self.stability is None:
            return NONE
        if self.split.kind == EXACT:
            return RIGOROUS if self.stability.rigorous else ESTIMATE
        split = self.split
        told = self.error is not None and TRAINED not in (split.A.by.kind, split.b.by.kind)  # of A and b; none is known of L
        exact = split.L is None or split.L.by.kind == EXACT
        certain = told and exact and (self.stability.for_true_operator or self.stability.rigorous)
        return RIGOROUS if certain else ESTIMATE

    def batch(self, mus: np.ndarray, outputs: bool = True) -> Batch:
        """With the errors of the operator that are known as bounds, else with those measured, which make an estimate."""
        error = self.error or ((lambda mus: self.measured) if any(self.measured) else None)
        return batch(self.split, mus, self.alpha, error, outputs)

    def alpha(self, mus: np.ndarray) -> np.ndarray:
        """The stability constants (m,); those of an interpolated operator less the error of the interpolation."""
        if self.stability is None:
            return np.full(len(mus), np.nan)
        alpha = self.stability.values(mus)
        if self.error is not None and not self.stability.for_true_operator:
            alpha = alpha - np.asarray(self.error(mus)[0], float)
        return alpha


def prepared(
    box: BlackBox, operator: Any, product: Any, stability: Any, train: np.ndarray, seed: int, progress: Callable[[], Any],
    ranks: Ranks,
) -> Offline:  # fmt: skip
    """Everything that comes before the basis; raises as `split`, `inner_product` and the stability recipes do."""
    apart = split(box, operator, train, seed=seed, progress=progress, ranks=ranks)
    X, factor = inner_product(product, apart, box.parameters)
    recipe, constants = constants_of(stability, operator, apart, X, factor, box, train)
    return Offline(box.parameters, apart, X, factor, constants, getattr(operator, "error", None), recipe)


def full_solution(model: Any, mu: np.ndarray, x0: np.ndarray | None = None) -> tuple[System, np.ndarray]:
    """(system, x) at mu. An assembly that is at hand is compared with the sum that is called exact: a ValueError if it is not."""
    system, x = model.box.solution(mu, x0)
    if any(part.projection is not None for part in model.parts) or not model.parts:  # a file does not hold the terms
        compare_one(model.offline.split, system, mu, model.parameters)
    return system, x


def inner_product(product: Any, apart: Split, parameters: Parameters) -> tuple[Any, Cholesky]:
    """(X, its factors): "auto" is the Hermitian part of A in the middle of the box, None the Euclidean product.

    Raises ValueError that names `product=` if X is not positive definite, has another size, or cannot be known.
    """
    n = apart.A.terms.shape[0]
    if product is None:
        from scipy.sparse import eye_array

        X = eye_array(n, format="csr")
        return X, cholesky(X)
    auto = isinstance(product, str)
    if auto and product != "auto":
        raise ValueError(f'product must be a matrix, None (Euclidean) or "auto"; got {product!r}')
    if auto and not apart.A.terms.stored:
        raise ValueError('product="auto" needs the entries of A; pass product=X, a matrix, or product=None for the Euclidean one')
    X = hermitian_part(apart.A.combined(parameters.centre)) if auto else own(product)
    if tuple(getattr(X, "shape", ())) != (n, n):
        raise ValueError(f"product= must be a matrix ({n}, {n}), as A is; got {type(X).__name__} {getattr(X, 'shape', '')}")
    try:
        return X, cholesky(X)
    except (np.linalg.LinAlgError, ValueError) as error:
        whose = "the Hermitian part of A in the middle of the box" if auto else "product="
        raise ValueError(
            f"{whose} cannot be the inner product: {error}. Pass product=X, symmetric positive definite, such as a stiffness or "
            "mass matrix; or product=None for the Euclidean one"
        ) from error


def own(product: Any) -> Any:
    """A user's matrix in double precision, and no longer his: he may write to it."""
    if arrays.sparse(product):
        return product.tocsr().astype(working(product.dtype), copy=True)
    if isinstance(product, np.ndarray | list | tuple):
        product = np.asarray(product)
        return np.array(product, dtype=working(product.dtype))
    return product


def constants_of(
    stability: Any, operator: Any, apart: Split, X: Any, factor: Cholesky, box: BlackBox, train: np.ndarray
) -> tuple[Any, Prepared | None]:
    """(recipe, its constants): the user's, or by itself min-theta where that holds, then SCM; an estimate for the others."""
    context = context_of(apart, X, factor, operator, train, box)
    if stability is None:
        return None, None
    if not isinstance(stability, str):
        recipe = stability if hasattr(stability, "prepare") else User(stability)
        return recipe, recipe.prepare(context)
    if stability != "auto":
        raise ValueError(f'stability must be a recipe such as MinTheta(), a function of mu, None or "auto"; got {stability!r}')
    if not apart.A.terms.stored:
        return None, None
    tests = np.concatenate([train, corners(box.parameters)])
    for recipe, enough in candidates(apart, box.parameters):
        try:
            constants = recipe.prepare(context)
            if (constants.values(tests) > 0).mean() >= enough:
                return recipe, constants
        except ValueError:
            continue  # min-theta refuses what it does not hold for
    return None, None


def candidates(apart: Split, parameters: Parameters) -> list[tuple[Any, float]]:
    """(recipe, on which part of the box it must be positive) from the cheapest online on; an estimate alone where the operator is
    interpolated or not coercive. Min-theta says nothing where a theta vanishes, unless it is compared with that corner."""
    if apart.kind != EXACT or not is_coercive(apart.A.combined(parameters.centre)):
        return [(InfSup(*ROUGH), 0.0)]
    references = [None, *map(tuple, corners(parameters))]
    return [*((MinTheta(reference=mu), 1.0) for mu in references), (SCM(), 0.5), (InfSup(*ROUGH), 0.0)]


def corners(parameters: Parameters) -> np.ndarray:
    """Of the box, two of them where there are many."""
    few = len(parameters) <= MOST_CORNERS
    return parameters.grid(2) if few else np.stack([parameters.low, parameters.high])


def context_of(
    apart: Split, X: Any, factor: Cholesky | None, operator: Any, train: np.ndarray, box: BlackBox
) -> Context:  # fmt: skip
    functions: tuple[Callable[..., Any], ...] = ()
    points: tuple[np.ndarray, ...] = ()
    if isinstance(operator, EIM):
        functions = tuple(as_function(g, box.parameters.names) for g in operator.functions)
        points = tuple(located(operator.points, len(functions)))
    hermitian = bool(apart.A.terms.stored and apart.A.terms.hermitian and real_weights(apart, train))
    return Context(
        apart.A.terms, apart.A.by.weights, X, factor, box.parameters, train, lambda mu: box.assembled(mu).A, hermitian,
        functions, points, apart.kind == EXACT,
    )  # fmt: skip


def real_weights(apart: Split, train: np.ndarray) -> bool:
    return not np.iscomplexobj(apart.A.by.weights(train[:1]))


def is_coercive(A: Any) -> bool:
    """Whether the Hermitian part of a stored A is positive definite."""
    if not (arrays.sparse(A) or isinstance(A, np.ndarray)):
        return False
    try:
        cholesky(hermitian_part(A))
    except np.linalg.LinAlgError:
        return False
    return True


