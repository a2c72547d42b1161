"""The inverse, the log-determinant, the square root ... of A(mu) for every mu, from those at a few."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from ..parameters import Parameters
from .algorithms import ALGORITHMS, dense, name_of, series_of
from .interpolated import MatrixFunction
from .thetas import ThetaInterpolation, evaluated, interpolate_thetas

SEED = 27_183


def interpolate_function(
    algorithm: str | Callable[[Any], Any], family: Any, thetas: Sequence[Callable[[Any], Any]], train: Any, *,
    parameters: Parameters | None = None, degree: int = 6, tol: float = 1e-12, max_size: int | None = None,
) -> MatrixFunction:  # fmt: skip
    """f(A(mu)) for every mu of a box from d matrices, for an f that is smooth in A, and A(mu) = sum_q theta_q(mu) A_q.

    A^n is a polynomial in theta, hence what a converging iteration of matrix powers tends to is one but for its remainder: the
    weights that interpolate the monomials of theta interpolate f(A), whatever f is.

    Parameters
    ----------
    algorithm : str or callable
        'inverse', 'logdet' (of a positive determinant), 'sqrt', 'sign', 'exp', a Polynomial, an Iteration, or a callable from A
        to a number, an array (n, n) or an operator.
    family : sequence of Q matrices, dense or sparse, or callable
        The A_q; or assemble(mu) -> A(mu), with mu a mapping from name to number.
    thetas : sequence of Q callables
        theta_q(mu) with mu a mapping from name to values (m,). A constant part of A needs one that returns 1.
    train : mapping name -> (m,), or array (m, p) with `parameters`
        Where the nodes are chosen from. The box is that of `parameters`, else the smallest around train.
    degree : int
        C(v + degree, degree) monomials of the v thetas that vary, and at most so many nodes.
    tol : float
        No more nodes once the monomials, of size one, are interpolated up to this.
    max_size : int, optional
        At most so many nodes.

    Notes
    -----
    ValueError if assemble does not follow the thetas, or a node has no f. 'inverse' of a sparse A is kept as its factorisation;
    'sqrt', 'sign', 'exp' and Polynomial make a sparse A dense. Cost: d evaluations of f. Memory: d n^2 numbers, or d factors.
    Casenave, Akkari, Charles and Rey, arXiv 1710.02488.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.matrix_functions.interpolate import interpolate_function
    >>> A = [np.diag([2.0, 3.0, 4.0]), np.ones((3, 3))]
    >>> root = interpolate_function("sqrt", A, [lambda mu: 1.0, lambda mu: mu["t"]], {"t": np.linspace(0, 1, 50)}, degree=8)
    >>> X = root.evaluate({"t": 0.3})
    >>> bool(abs(X @ X - A[0] - 0.3 * A[1]).max() < 1e-6)
    True
    """
    f = ALGORITHMS.get(algorithm) if isinstance(algorithm, str) else algorithm
    if not callable(f):
        raise ValueError(f"algorithm must be a callable or one of {', '.join(ALGORITHMS)}; got {algorithm!r}")
    matrices = None if callable(family) else checked_matrices(family, len(thetas))
    weights = interpolate_thetas(thetas, train, parameters=parameters, degree=degree, tol=tol, max_size=max_size)
    assemble = family if matrices is None else affine(matrices, weights)
    values, shape = node_values(f, assemble, weights, check=matrices is None)
    kept = stacked(values)
    dtype = kept.dtype if isinstance(kept, np.ndarray) else np.dtype(np.result_type(*(np.dtype(F.dtype) for F in kept)))
    series = "the family is a callable" if matrices is None else series_of(f, matrices, weights)
    return MatrixFunction(weights, kept, name_of(algorithm), shape, dtype, series)


def interpolate_inverse(family: Any, thetas: Any, train: Any, **options: Any) -> MatrixFunction:
    """A(mu)^-1 for every mu of a box: `interpolate_function('inverse', ...)`, whose options it takes.

    >>> import numpy as np
    >>> A = [np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0])]
    >>> inverse = interpolate_inverse(A, [lambda mu: 1.0, lambda mu: mu["t"]], {"t": np.linspace(0, 1, 50)})
    >>> inverse.apply({"t": 0.5}, np.ones(4)).round(3)
    array([0.667, 0.5  , 0.4  , 0.333])
    """
    return interpolate_function("inverse", family, thetas, train, **options)


def interpolate_logdet(family: Any, thetas: Any, train: Any, **options: Any) -> MatrixFunction:
    """log det A(mu) for every mu of a box: `interpolate_function('logdet', ...)`, whose options it takes.

    >>> import numpy as np
    >>> A = [np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0])]
    >>> logdet = interpolate_logdet(A, [lambda mu: 1.0, lambda mu: mu["t"]], {"t": np.linspace(0, 1, 50)})
    >>> round(float(logdet.evaluate({"t": 0.5})), 3), round(float(np.log(1.5 * 2 * 2.5 * 3)), 3)
    (3.114, 3.114)
    """
    return interpolate_function("logdet", family, thetas, train, **options)


def checked_matrices(family: Any, count: int) -> list[Any]:
    """The A_q, all CSR or all dense, of one shape."""
    matrices = list(family)
    if len(matrices) != count or not matrices:
        raise ValueError(f"there must be a theta for each matrix; got {len(matrices)} matrices and {count} thetas")
    sparse = all(arrays.sparse(A) for A in matrices)
    matrices = [A.tocsr() if sparse else dense(A) for A in matrices]
    shapes = {tuple(A.shape) for A in matrices}
    shape = next(iter(shapes))
    if len(shapes) != 1 or len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"the matrices must be square and of one shape; got {', '.join(map(str, sorted(shapes)))}")
    return matrices


def affine(matrices: list[Any], weights: ThetaInterpolation) -> Callable[[Mapping[str, float]], Any]:
    """mu -> sum_q theta_q(mu) A_q, in the precision of the matrices."""
    kind = np.result_type(*(arrays.working_dtype(arrays.dtype_name(A)) for A in matrices))

    def assemble(mu: Mapping[str, float]) -> Any:
        theta = evaluated(weights.thetas, weights.parameters, weights.parameters.points(mu))[:, 0]
        total = sum(value * A for value, A in zip(theta, matrices, strict=True))
        return total.astype(np.result_type(kind, np.complex64) if np.iscomplexobj(theta) else kind)

    return assemble


def node_values(f: Any, assemble: Any, weights: ThetaInterpolation, check: bool) -> tuple[list[Any], Any]:
    """f(A(mu_l)) of every node, and the shape of A; with `check`, that A(mu) is a combination of the thetas at all."""
    dependence = null_weights(weights) if check else np.zeros(weights.size)
    values: list[Any] = []
    total: Any = 0.0
    size, shape = 0.0, None
    for weight, point in zip(dependence, weights.nodes, strict=True):
        mu = weights.parameters.mapping(point)
        A = square(assemble(mu), shape, mu)
        shape = A.shape
        if check:
            total, size = total + weight * A, size + abs(weight) * abs(A).max()
        try:
            values.append(f(A))
        except np.linalg.LinAlgError as error:
            error.add_note(f"at the node {weights.parameters.said(point)}: {name_of(f)} must be smooth over the whole box")
            raise
    if check and abs(total).max() > np.sqrt(np.finfo(arrays.working_dtype(A.dtype.name)).eps) * size:
        raise ValueError(
            f"assemble(mu) is not sum_q theta_q(mu) A_q with these thetas: off by {abs(total).max() / size:.1e} of its entries; "
            "a part that does not depend on mu needs a theta that returns 1"
        )
    return values, shape


def null_weights(weights: ThetaInterpolation) -> np.ndarray:
    """Random c (d,) with sum_l c_l theta(mu_l) = 0, so that sum_l c_l A(mu_l) = 0 for an affine A; 0 with too few nodes."""
    theta = evaluated(weights.thetas, weights.parameters, weights.nodes)
    c = np.random.default_rng(SEED).standard_normal(weights.size)
    rest = c - np.linalg.pinv(theta) @ (theta @ c)
    length = np.linalg.norm(rest)
    return rest / length if length > 1e-6 * np.linalg.norm(c) else np.zeros(weights.size)


def square(A: Any, shape: tuple[int, int] | None, mu: Mapping[str, float]) -> Any:
    """A(mu) as CSR or a dense array, finite, square and of the size of the others; the first of a tuple (A, b)."""
    A = A[0] if isinstance(A, tuple) else A
    A = A.tocsr() if arrays.sparse(A) else np.asarray(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape != (shape or A.shape):
        raise ValueError(f"A(mu) must be a square matrix, everywhere of one shape; got shape {A.shape} at {dict(mu)}")
    if A.dtype.kind not in "biufc" or not np.isfinite(A.data if arrays.sparse(A) else A).all():
        raise ValueError(f"A(mu) must hold finite numbers; it does not at {dict(mu)}")
    return A


def stacked(values: list[Any]) -> Any:
    """The values as an array (d,) or (d, n, n), or as a tuple of operators."""
    if all(isinstance(value, np.ndarray) or np.isscalar(value) for value in values):
        stack = np.array(values)
        if stack.ndim not in (1, 3) or stack.dtype.kind not in "biufc" or not np.isfinite(stack).all():
            raise ValueError(f"f(A) must be a finite number or matrix; got {stack.dtype} {stack.shape[1:]}, perhaps not finite")
        return stack if stack.dtype.kind in "fc" else stack.astype(float)
    if not all(hasattr(value, "shape") and hasattr(type(value), "__matmul__") for value in values):
        raise TypeError(f"f(A) must be a number, an array or an operator (shape, dtype, @); got {type(values[0]).__name__}")
    return tuple(values)
