"""What the user of a transient model gave, as matrices, weights and vectors that fit together; or an error that says why not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.direct.cholesky import Cholesky, cholesky
from ..operators.recipes import affine as by_thetas
from ..operators.terms import Terms, terms
from ..operators.weights import Thetas
from ..parameters import Parameters
from .functions import Entries, Start, Stated, TimeThetas, as_theta
from .problem import Problem, norm
from .stencils import Differences, stencil
from .time_stepping import EULER, Scheme

TRIED = 3  # parameters at which functions are tried
NODES = 200  # parameters among which those are chosen at which a black box is taken apart


def problem_of(
    mass: Any, affine: Any, nonlinear: Any, parameters: Parameters, jacobian: Any, needed: Any, rhs: Any, u0: Any,
    times: np.ndarray, scheme: Scheme, tol: float,
) -> Problem:  # fmt: skip
    """The full problem, from the arguments of TransientModel."""
    weights, parts = operator(affine, parameters)
    n = parts.shape[0]
    M = None if mass is None else matrix(mass, "mass", n)
    b, b_weights, vectors = source(rhs, parameters, n)
    start = Start(u0, parameters, n)
    start(parameters.centre)
    mus = parameters.random(TRIED, seed=51_407)
    b = None if b is None else b.tried(float(times[-1]), mus, np.arange(n))
    if nonlinear is None and (jacobian is not None or needed is not None):
        raise ValueError("jacobian and stencil belong to nonlinear, which was not given")
    f = None if nonlinear is None else Entries(nonlinear, parameters, "nonlinear")
    f = None if f is None else f.tried(np.stack([around(start(mu))[0] for mu in mus]), mus, np.arange(n))
    given = Stated(parameters, weights, f, b, b_weights, start, times, scheme, tol)
    found = Problem(given, M, parts, jacobian, vectors)
    if f is None:
        return found
    if found.dtype.kind == "c":
        raise ValueError("complex problems must be linear: f is differentiated along the real axis. Split u into two parts")
    pattern = dependence(needed, found)
    return replace(found, pattern=pattern, differences=Differences.of(pattern))


def inner_product(product: Any, problem: Problem) -> tuple[Any, Cholesky | None]:
    """(X, its factors), (None, None) for the Euclidean product; ValueError if X is not positive definite."""
    if isinstance(product, str) and product != "mass":
        raise ValueError(f'product must be "mass", None (Euclidean) or a matrix; got {product!r}')
    X = problem.mass if isinstance(product, str) else None if product is None else matrix(product, "product", problem.n)
    try:
        return X, None if X is None else cholesky(X)
    except (np.linalg.LinAlgError, ValueError) as error:
        whose = "mass" if isinstance(product, str) else "product="
        raise ValueError(
            f"{whose} cannot be the inner product: {error}. Pass product=X, symmetric positive definite, or product=None"
        ) from error


def sizes_of(basis: Any, deim: Any, stated: Stated) -> dict[str, tuple[float | None, int | None]]:
    """name -> (tolerance, most modes), of the states and of what is interpolated: f ("nonlinear") and b ("rhs")."""
    states, entries = size_of(basis, "basis"), size_of(deim, "deim")
    if states is None:
        raise ValueError("basis must be a tolerance, a size, or have both; got None")
    if entries is None:
        return {"states": states}
    return {"states": states} | {name: entries for name, by in (("nonlinear", stated.f), ("rhs", stated.b)) if by is not None}


def size_of(given: Any, what: str) -> tuple[float | None, int | None] | None:
    """(tolerance, most modes) from a float, an int, or an object with tol and size."""
    if given is None:
        return None
    tol, size = (given, None) if isinstance(given, float) else (None, given) if isinstance(given, int | np.integer) else (
        getattr(given, "tol", None), getattr(given, "size", None))  # fmt: skip
    if isinstance(given, bool) or (tol is None and size is None):
        raise TypeError(f"{what} must be a tolerance (float), a size (int), or have tol and size; got {given!r}")
    if (tol is not None and not 0 <= tol < 1) or (size is not None and size < 1):
        raise ValueError(f"{what} must have a tolerance 0 <= tol < 1 or a size of at least 1; got {given!r}")
    return tol, None if size is None else int(size)


def stable(stability: Any, energy: Any, problem: Problem) -> tuple[Thetas, Any] | None:
    """(alpha, X) of the bound, None without one; ValueError where it would not be one."""
    if stability is None or energy is None:
        if stability is None and energy is None:
            return None
        raise ValueError("a bound needs both stability=alpha and energy=X, with Re v^H A v >= alpha v^H X v")
    given = problem.stated
    if given.f is not None or given.scheme != EULER or given.b is not None:
        raise ValueError(
            "stability gives a bound for linear problems with implicit Euler and rhs as a sum of vectors; leave it out, and ask "
            "predict(estimate=True) for an estimate"
        )
    alpha = Thetas((as_theta(stability, given.parameters.names, "stability", False),), given.parameters)
    return alpha, matrix(energy, "energy", problem.n)


def matrix(A: Any, what: str, n: int | None = None) -> Any:
    """A as canonical, finite CSR in double precision."""
    from scipy.sparse import csr_array

    shape = tuple(getattr(A, "shape", ()))
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0] or (n is not None and shape[0] != n):
        wanted = "square and not empty" if n is None else f"({n}, {n})"
        raise ValueError(f"{what} must be a matrix, {wanted}; got {type(A).__name__} of shape {shape}")
    if not (isinstance(A, np.ndarray) or (arrays.sparse(A) and arrays.library(A) == "scipy")):
        raise TypeError(f"{what} must be a SciPy sparse matrix or a NumPy array; got {type(A).__name__}")
    csr = csr_array(A, dtype=np.result_type(A.dtype, np.float64), copy=True)
    csr.sum_duplicates()
    if not np.isfinite(csr.data).all():
        raise ValueError(f"{what} holds NaN or infinity")
    return csr


def operator(given: Any, parameters: Parameters) -> tuple[Thetas, Terms]:
    """(weights, terms) of A: one matrix, [(theta, matrix), ...], or (assemble, [theta, ...])."""
    names = parameters.names
    if hasattr(given, "shape"):
        given = [(1.0, given)]
    if not isinstance(given, list | tuple) or not len(given):
        known = "a matrix, [(theta, matrix), ...] or (assemble, [theta, ...])"
        raise TypeError(f"affine must be {known}; got {type(given).__name__}")
    if callable(given[0]):
        return taken_apart(given, parameters)
    pairs = [pair for pair in given if isinstance(pair, tuple | list) and len(pair) == 2]
    if len(pairs) != len(given):
        raise TypeError("affine must be a list of pairs (theta, matrix)")
    functions = tuple(as_theta(theta, names, f"theta {q} of affine", False) for q, (theta, _) in enumerate(pairs))
    first = matrix(pairs[0][1], "matrix 0 of affine")
    others = [matrix(A, f"matrix {q} of affine", first.shape[0]) for q, (_, A) in enumerate(pairs[1:], start=1)]
    return Thetas(functions, parameters), terms([first, *others])


def taken_apart(given: Any, parameters: Parameters) -> tuple[Thetas, Terms]:
    """assemble(mu) = sum_q theta_q(mu) A_q solved for the A_q at as many parameters; ValueError if it is no such sum."""
    assemble, functions = given
    functions = [as_theta(theta, parameters.names, f"theta {q} of affine", False) for q, theta in enumerate(functions)]
    found = by_thetas(functions, parameters, parameters.random(NODES))
    assembled = [matrix(assemble(parameters.mapping(mu)), "the matrix that assemble returns") for mu in found.nodes]
    parts = terms(assembled).recombined(found.T)  # type: ignore[arg-type]
    weights, mu = found.weights, parameters.random(1, seed=90_821)
    there = matrix(assemble(parameters.mapping(mu[0])), "the matrix that assemble returns", parts.shape[0])
    off = norm(there - parts.combined(weights(mu)[0]))
    if not off <= 1e-10 * norm(there):
        raise ValueError(
            f"at {parameters.said(mu[0])} assemble differs from the sum of its terms by {off / norm(there):.1e} of its size: it "
            "does not depend on the parameters as the thetas say. Correct them"
        )
    chosen = weights if isinstance(weights, Thetas) else Thetas(tuple(functions[q] for q in weights.which), parameters)  # type: ignore[attr-defined]
    return chosen, parts


def source(given: Any, parameters: Parameters, n: int) -> tuple[Entries | None, TimeThetas, np.ndarray]:
    """(entries or None, weights, vectors (n, P)) of b: None, an array, [(theta, vector), ...], or rhs(mu, t, indices)."""
    if callable(given):
        return Entries(given, parameters, "rhs"), TimeThetas((), parameters), np.zeros((n, 0))
    if isinstance(given, np.ndarray):
        given = [(1.0, given)]
    if given is not None and not (isinstance(given, list | tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in given)):
        raise TypeError("rhs must be None, an array (n,), [(theta, vector), ...] or a function rhs(mu, t, indices)")
    pairs, vectors = list(given or []), []
    functions = tuple(as_theta(theta, parameters.names, f"theta {p} of rhs", True) for p, (theta, _) in enumerate(pairs))
    for p, (_, vector) in enumerate(pairs):
        b = np.asarray(vector)
        if b.shape != (n,) or b.dtype.kind not in "biufc" or not np.isfinite(b).all():
            raise ValueError(f"vector {p} of rhs must hold {n} finite numbers, as the matrices have rows; got shape {b.shape}")
        vectors.append(b.astype(np.result_type(b, np.float64)))
    return None, TimeThetas(functions, parameters), np.stack(vectors, axis=1) if vectors else np.zeros((n, 0))


def dependence(given: Any, problem: Problem) -> Any:
    """The pattern of f', CSR (n, n) of bool: the user's, a matrix or rows -> unknowns, or what is found at states around u0."""
    from scipy.sparse import csr_array

    n = problem.n
    if given is None:
        return found_dependence(problem)
    if callable(given):
        return pattern_of_rows(given, n)
    if tuple(getattr(given, "shape", ())) != (n, n):
        raise ValueError(f"stencil must be a matrix ({n}, {n}) or a function of indices; got {type(given).__name__}")
    return csr_array(abs(csr_array(given)).astype(bool))


def pattern_of_rows(unknowns_of: Any, n: int) -> Any:
    """The pattern (n, n) whose row i holds unknowns_of([i])."""
    from scipy.sparse import csr_array

    needed = [np.unique(np.asarray(unknowns_of(np.arange(i, i + 1)), dtype=np.int64)) for i in range(n)]
    if any(len(part) and (part[0] < 0 or part[-1] >= n) for part in needed):
        raise ValueError(f"stencil(indices) must return unknowns from 0 to {n - 1}")
    counts = np.cumsum([0, *(len(part) for part in needed)])
    return csr_array((np.ones(counts[-1], bool), np.concatenate(needed), counts), shape=(n, n))


def found_dependence(problem: Problem) -> Any:
    """The union of the patterns of the jacobian, or of the stencils found by trials, at states around u0 of some parameters."""
    from scipy.sparse import csr_array

    n, f, everything = problem.n, problem.stated.f, np.arange(problem.n)
    assert f is not None
    parts = []
    for mu in problem.parameters.random(TRIED, seed=51_407):
        states = around(problem.stated.start(mu))
        if problem.jacobian is None:
            parts.append(stencil(lambda u, mu=mu: f.one(u, mu, everything), states))  # type: ignore[misc]
        else:
            slopes = [csr_array(problem.jacobian(u, problem.parameters.mapping(mu))) for u in states]
            parts += [csr_array((np.ones(J.nnz, bool), J.indices, J.indptr), shape=(n, n)) for J in slopes]
    return sum(parts[1:], start=parts[0])


def around(u: np.ndarray) -> list[np.ndarray]:
    """States near u0, of both signs and both slopes, so that branches are taken."""
    rng, scale = np.random.default_rng(70_913), float(np.abs(u).max(initial=0.0)) or 1.0
    noise = rng.standard_normal((3, len(u)))
    return [u + 0.1 * scale * noise[0], u + scale * noise[1], u + scale * np.abs(noise[2]), u - scale * np.abs(noise[2])]
