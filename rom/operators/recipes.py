"""A(mu) ~ sum_m beta_m(mu) A(mu_m): the nonintrusive form of a parametrised matrix, in four ways; right-hand sides alike.

All four are empirical interpolation of some f(x, mu) in which the matrix is linear, so that the weights that interpolate f
interpolate the matrix: known coefficient functions (EIM), affine coefficients (Affine), a few entries (MDEIM), all entries of
training matrices (Training). Casenave, Ern, Lelievre and Sylvand, arXiv 1307.4330; Casenave, Ern and Lelievre, arXiv 1401.3684.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..empirical_interpolation import Interpolation, eim
from ..parameters import Parameters
from .expressions import as_function, as_theta
from .weights import (
    AssemblySampler,
    Chosen,
    Constant,
    EntrySampler,
    FunctionSampler,
    Interpolated,
    Polynomial,
    Thetas,
    Weights,
    fitted,
    padded,
    values_at,
)  # fmt: skip

FRESH = 4  # assemblies at which what was learned is confirmed
SPREAD = 64  # points of the box at which coefficient functions are looked at
LARGEST = 1e3  # sum_m |beta_m|, by which the rounding of assemblies is multiplied, where other nodes are tried
EXACT, INTERPOLATED, TRAINED = "exact", "interpolated", "trained"


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A(mu) = sum_q theta_q(mu) A_q with coefficient functions that the user states, exactly; the A_q are not needed.

    Parameters
    ----------
    operator : sequence of callables or expressions
        theta_q(mu), called with a mapping name -> values (m,), returning (m,) or a scalar; or text such as "exp(-k) + 1".
    rhs : the same, or None
        Of b; None: b is looked at by itself, and exact only if it does not depend on mu.
    output : the same, or None
        Of the output rows L.

    The A_q are recovered from assemblies at Q parameters, where the thetas differ most (by EIM), and the sum is compared with
    other assemblies: a ValueError if the thetas are not those of the matrix.

    >>> from petrov.rom import Affine
    >>> Affine(["1", "k**2", lambda mu: mu["sigma"]]).operator[0]
    '1'
    """

    operator: Sequence[Callable[[Any], Any] | str]
    rhs: Sequence[Callable[[Any], Any] | str] | None = None
    output: Sequence[Callable[[Any], Any] | str] | None = None

    def __post_init__(self) -> None:
        for name in ("operator", "rhs", "output"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, str) or not len(value)):
                raise ValueError(f"Affine({name}=) takes a list of functions theta(mu) or expressions; got {value!r}")


@dataclass(frozen=True, slots=True, eq=False)
class EIM:
    """A(mu) = A^0 + sum_r (a form with the known coefficient g_r(x, mu)): the g_r are interpolated, and with them the matrix.

    Parameters
    ----------
    functions : sequence of callables or expressions
        g_r(x, mu) for points x (n, dim) and a mapping name -> value, returning (n,) or a scalar; real or complex.
    points : sequence of arrays (n_r, dim)
        The points x at which the assembly evaluates g_r. One array alone serves all functions.
    rhs, output : (functions, points), or None
        Of b and of the output rows L, which None leaves to themselves.
    tol, max_size
        Of the interpolation, relative to the largest |g_r| of each function; 1e-12 where round-off begins.
    error : callable, optional
        error(mus (m, p)) -> (eps_A (m,), eps_b (m,)), rigorous bounds of ||A - sum beta A_m|| from X to X', and of the error of b
        in X'. With them `predict` gives a bound; without, an estimate.

    The constant 1 is always among the interpolated functions, and is kept exact: sum_m beta_m = 1, so that what does not depend
    on mu (A^0, Dirichlet rows) survives.
    """

    functions: Sequence[Callable[[Any, Any], Any] | str]
    points: Any
    rhs: tuple[Sequence[Callable[[Any, Any], Any] | str], Any] | None = None
    output: tuple[Sequence[Callable[[Any, Any], Any] | str], Any] | None = None
    tol: float = 1e-12
    max_size: int | None = None
    error: Callable[[np.ndarray], Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.functions, str) or callable(self.functions) or not len(self.functions):
            raise ValueError("EIM(functions=) takes a list of g(x, mu)")


@dataclass(frozen=True, slots=True, eq=False)
class MDEIM:
    """A(mu) by a few of its entries: entries(mu, rows, cols) -> values (len(rows),), at places that training matrices choose.

    rhs: entries of b, rhs(mu, rows) -> values, or None to leave b to itself. samples: training matrices that are assembled.
    tol, max_size, error: as in EIM. Negri, Manzoni and Amsallem, J. Comput. Phys. 303 (2015) 431, with matrices for modes.
    """

    entries: Callable[..., Any]
    rhs: Callable[..., Any] | None = None
    samples: int = 100
    tol: float = 1e-12
    max_size: int | None = None
    error: Callable[[np.ndarray], Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """Nothing is known: the entries of `samples` training matrices are interpolated. What operator="auto" means.

    Their singular values tell the rank. Online, the values at the chosen entries come from polynomials in mu if these reproduce
    held-out training values to `learned`, else from one assembly a parameter. Never certified: `predict` gives estimates.
    """

    samples: int = 100
    tol: float = 1e-12
    max_size: int | None = None
    learned: float = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """One quantity as a sum of terms: assembled at `nodes` (d, p), recombined by T (Q, d) (None: as they are), with weights.

    kind: "exact", "interpolated" or "trained". errors: of the interpolation, relative, before each step. singular_values: of the
    training values, where there were. how: in words.
    """

    nodes: np.ndarray
    T: np.ndarray | None
    weights: Weights
    kind: str
    how: str
    errors: np.ndarray = field(default_factory=lambda: np.zeros(1))
    singular_values: np.ndarray | None = None


# -- The four ways ---------------------------------------------------------------------------------------------------------


def constant(mu: np.ndarray) -> Decomposition:
    return Decomposition(np.reshape(mu, (1, -1)), None, Constant(), EXACT, "the same for all parameters looked at")


def affine(functions: Sequence[Any], parameters: Parameters, train: np.ndarray) -> Decomposition:
    """A_q = sum_m (F^-1)_{mq} A(mu_m), F_{qm} = theta_q(mu_m), at the mu_m that EIM takes from the training points.

    Where these do not span what the thetas are in the box (one point, a line, a corner of it), from points of the whole box.
    """
    thetas = Thetas(tuple(as_theta(f, parameters.names) for f in functions), parameters)
    everywhere = np.concatenate([train, parameters.random(SPREAD), [parameters.low, parameters.high]])
    table = thetas(everywhere).T
    if not (named := np.abs(table).max(axis=1) > 0).all():
        raise ValueError(f"theta {int(np.argmin(named))} is zero everywhere; leave it out")
    table = balanced(table)
    nodes, which = chosen(table[:, : len(train)])
    if not spanned(table, nodes, which):
        nodes, which = chosen(table)
    nodes = everywhere[nodes]
    T = np.linalg.inv(thetas(nodes)[:, which])  # A(mu_m) = sum_q theta_q(mu_m) A_q
    weights = thetas if len(which) == len(functions) else Chosen(thetas, which)
    dropped = "" if len(which) == len(functions) else f", {len(functions) - len(which)} of them combinations of the others"
    return Decomposition(nodes, T, weights, EXACT, f"affine in {len(functions)} functions{dropped}")


def balanced(table: np.ndarray) -> np.ndarray:
    """Thetas (Q, m) relative to their usual sizes, and at each parameter to the largest of them: a term is found best where it is
    large beside the others, be it small or not."""
    size = np.abs(table)
    size = size / np.array([np.median(row[row > 0]) for row in size])[:, None]
    largest = size.max(axis=0)
    return table * np.divide(size, np.abs(table) * largest, out=np.zeros(size.shape), where=size > 0)


def chosen(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(columns to be nodes, which of the rows are independent)."""
    found = eim(table, tol=1e-13)
    return found.nodes, np.sort(found.points)


def spanned(table: np.ndarray, nodes: np.ndarray, which: np.ndarray) -> bool:
    """Whether all columns are combinations of those at the nodes, with weights that do not blow up rounding."""
    if not len(which):
        return False
    beta = np.linalg.solve(table[np.ix_(which, nodes)], table[which])
    wrong = np.abs(table[:, nodes] @ beta - table).max(axis=1)
    return bool((wrong <= 1e-10 * np.abs(table).max(axis=1)).all() and np.abs(beta).sum(axis=0).max() <= LARGEST)


def by_functions(recipe: EIM, functions: Sequence[Any], points: Any, parameters: Parameters, train: np.ndarray) -> Decomposition:
    """Simultaneous EIM: the pairs (r, x) are one long axis, so that one beta serves every function."""
    functions = tuple(as_function(g, parameters.names) for g in functions)
    spots = located(points, len(functions))
    rows = [values_at(g, x, train, parameters) for g, x in zip(functions, spots, strict=True)]
    scales = np.array([np.abs(row).max(initial=0.0) or 1.0 for row in rows])
    table = np.concatenate([np.ones((1, len(train))), *(row / scale for row, scale in zip(rows, scales, strict=True))])
    found = eim(table, tol=recipe.tol, max_size=recipe.max_size, first=0)
    owner = np.concatenate([[-1], np.repeat(np.arange(len(spots)), [len(x) for x in spots])])
    place = np.concatenate([[0], *(np.arange(len(x)) for x in spots)])
    chosen = tuple(np.zeros(0) if owner[i] < 0 else spots[owner[i]][place[i]] for i in found.points)
    sampler = FunctionSampler(functions, owner[found.points], chosen, scales, parameters)
    return interpolated(found, sampler, train, INTERPOLATED, f"EIM of {len(functions)} functions")


def located(points: Any, count: int) -> list[np.ndarray]:
    """One array (n_r, dim) for each function."""
    several = isinstance(points, list | tuple)
    spots = [np.asarray(x, float) for x in points] if several else [np.asarray(points, float)] * count
    spots = [x[:, None] if x.ndim == 1 else x for x in spots]
    if len(spots) != count or any(x.ndim != 2 or not len(x) for x in spots):
        shapes = [x.shape for x in spots]
        raise ValueError(f"points must be one array (n, dim), or {count} of them, one for each function; got {shapes}")
    return spots


def interpolated(found: Interpolation, sampler: Any, train: np.ndarray, kind: str, how: str, **more: Any) -> Decomposition:
    errors = found.errors / (found.errors[0] or 1.0)
    said = f"{how}: {found.size} terms, interpolation error {errors[-1]:.1e}"
    return Decomposition(train[found.nodes], None, Interpolated(found, sampler), kind, said, errors, **more)


def by_entries(
    recipe: MDEIM, entries: Callable[..., Any], places: tuple[np.ndarray, ...], values: np.ndarray, train: np.ndarray,
    parameters: Parameters,
) -> Decomposition:  # fmt: skip
    """EIM of the entries `values` (entries, m) of training matrices; places: where each of them stands."""
    table, ones, scale = tabulated(values)
    found = eim(table, tol=recipe.tol, max_size=recipe.max_size, first=0 if ones else None)
    rows = padded(ones, found.points)
    sampler = EntrySampler(entries, tuple(place[rows] for place in places), scale, ones, parameters)
    return interpolated(found, sampler, train, INTERPOLATED, f"entries of {values.shape[1]} training assemblies")


def by_training(
    recipe: Training, read: Callable[..., np.ndarray], places: tuple[np.ndarray, ...], values: np.ndarray, train: np.ndarray,
    parameters: Parameters,
) -> Decomposition:  # fmt: skip
    """EIM of all entries; the values at the chosen ones learned as polynomials in mu, else read(mu, *places) off an assembly."""
    table, ones, scale = tabulated(values)
    spectrum = singular_values(table[int(ones) :])
    found = eim(table, tol=recipe.tol, max_size=recipe.max_size, first=0 if ones else None)
    rows = padded(ones, found.points)
    sampler = AssemblySampler(read, tuple(place[rows] for place in places), scale, ones)
    learned = fitted(train, table[found.points].T, parameters, recipe.learned)
    if learned is not None and not confirmed(learned[0], sampler, parameters, 10 * recipe.learned):
        learned = None
    how = f"{values.shape[1]} training assemblies of rank {int((spectrum > 1e-12 * spectrum[0]).sum())}"
    more: dict[str, Any] = {"singular_values": spectrum}
    if learned is not None:
        polynomial, error = learned
        degrees = ", ".join(str(degree) for degree in polynomial.degrees.max(axis=0))
        how = f"{how}, weights by polynomials of degrees {degrees} (held out: {error:.1e})"
        return interpolated(found, polynomial, train, TRAINED, how, **more)
    how = f"{how}, weights by one assembly a parameter (no polynomial predicted them; more samples= may do)"
    return interpolated(found, sampler, train, TRAINED, how, **more)


def confirmed(polynomial: Polynomial, sampler: AssemblySampler, parameters: Parameters, tol: float) -> bool:
    """Whether polynomials hold away from the training points too, which may lie on lines or a grid: on a few fresh assemblies."""
    fresh = parameters.random(FRESH)
    return bool((np.abs(polynomial(fresh) - sampler(fresh)) <= tol).all())


def tabulated(values: np.ndarray) -> tuple[np.ndarray, bool, float]:
    """(the values, scaled, below a row of ones if some are the same at all parameters; whether there is one; the scale)."""
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    fixed = (values == values[:, :1]).all(axis=1) & (values[:, 0] != 0)
    table = values / scale
    if not fixed.any():
        return table, False, scale
    return np.concatenate([np.ones((1, values.shape[1])), table]), True, scale


def singular_values(table: np.ndarray) -> np.ndarray:
    """By QR first: the table is tall."""
    tall = table if table.shape[0] >= table.shape[1] else table.conj().T
    return np.linalg.svd(np.linalg.qr(tall, mode="r"), compute_uv=False)
