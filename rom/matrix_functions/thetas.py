"""Weights that turn the values of any smooth function of theta(mu) at a few nodes into its value elsewhere."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..empirical_interpolation import Interpolation, eim
from ..parameters import Parameters

MOST_ENTRIES = 2 * 10**8  # of the table of monomials over the training set: 1.6 GB
CONSTANT = 1e-12  # of the largest |theta|: a theta that varies less is a constant
CHUNK = 512  # parameters whose monomials are held at once by a bound


@dataclass(frozen=True, slots=True, eq=False)
class ThetaInterpolation:
    """f(theta(mu)) ~ sum_l beta_l(mu) f(theta(mu_l)), exact for polynomials f of a degree.

    s_q = (theta_q - centre_q) / scale_q lies in [-1, 1] over the training set. The nodes mu_l and the weights are those of the
    empirical interpolation of (k, mu) -> s(mu)^k, |k| <= degree. sum_l beta_l = 1.

    Attributes
    ----------
    parameters : Parameters
    thetas : tuple of callables
        mapping name -> values (m,) to values (m,) or one number.
    centre, scale : ndarray (Q,)
        scale 0: a constant theta, no variable of the monomials.
    exponents : ndarray (n_k, v)
        Of all monomials, by total degree.
    fit : Interpolation
        Its points are monomials, its nodes training parameters.
    nodes : ndarray (d, p)
        The mu_l.
    """

    parameters: Parameters
    thetas: tuple[Callable[[Any], Any], ...]
    centre: np.ndarray
    scale: np.ndarray
    exponents: np.ndarray
    fit: Interpolation
    nodes: np.ndarray

    @property
    def size(self) -> int:
        return self.fit.size

    @property
    def lower_size(self) -> int:
        """The number of monomials of the highest degree that leaves at least v nodes over; at least 1 unless d = 1."""
        v = self.exponents.shape[1]
        counts = [math.comb(v + n, v) for n in range(self.size) if math.comb(v + n, v) <= self.size - v] if v else []
        return max(counts, default=self.size // 2)

    def scaled(self, points: np.ndarray) -> np.ndarray:
        """s (v, m) at the points (m, p)."""
        return scaled(evaluated(self.thetas, self.parameters, points), self.centre, self.scale)

    def coefficients(self, points: np.ndarray, size: int | None = None) -> np.ndarray:
        """beta (d, m) at the points (m, p), or those of the first `size` nodes alone."""
        fit = self.fit if size is None else self.fit.truncated(size)
        return fit.coefficients(monomials(self.scaled(points), self.exponents[fit.points]))

    def series_error(self, points: np.ndarray, series: Series) -> np.ndarray:
        """An upper bound (m,) of |g(s) - sum_l beta_l g(s_l)| for g(s) = sum_k T_k s^k, |T_k| as in the series; or inf."""
        chunks = np.array_split(points, max(1, -(-len(points) // CHUNK)))
        return np.concatenate([self.chunk_error(chunk, series) for chunk in chunks])

    def chunk_error(self, points: np.ndarray, series: Series) -> np.ndarray:
        """`series_error` at few points: the monomials that are summed, and the tails of g at the points and at the nodes."""
        s, beta, at_nodes = self.scaled(points), self.coefficients(points), self.scaled(self.nodes)
        k = exponents(len(s), summed_degree(len(s), len(series.terms) - 1))
        majorants = series.terms[k.sum(axis=1)] * multinomials(k) * monomials(series.sizes[:, None], k)[:, 0]
        near = majorants @ abs(monomials(s, k) - monomials(at_nodes, k) @ beta)
        last = int(k.sum(axis=1).max())
        here, there = (series.tail(last, abs(part).max(axis=0, initial=0.0)) for part in (s, at_nodes))
        return near + here + there @ abs(beta)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """|T_k| <= terms[|k|] multinomial(k) prod_q sizes_q^k_q, with terms[j + 1] <= ratio terms[j] from the last one on."""

    sizes: np.ndarray
    terms: np.ndarray
    ratio: float

    def tail(self, last: int, reach: np.ndarray) -> np.ndarray:
        """sum over |k| > last of the majorants times reach^|k|, inf where that diverges."""
        x = self.sizes.sum() * reach
        j = np.arange(last + 1, len(self.terms))
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            finite = (self.terms[j, None] * x ** j[:, None]).sum(axis=0)
            end = self.terms[-1] * x ** (len(self.terms) - 1) * self.ratio * x
            rest = np.where(self.ratio * x < 1, end / abs(1 - self.ratio * x), np.inf)
        return finite + rest


def interpolate_thetas(
    thetas: Sequence[Callable[[Any], Any]], train: Any, *, parameters: Parameters | None = None, degree: int = 6,
    tol: float = 1e-12, max_size: int | None = None,
) -> ThetaInterpolation:  # fmt: skip
    """The nodes among `train` and the weights for functions of theta(mu), by empirical interpolation of its monomials.

    train is a mapping name -> values (m,), whose smallest box is then where the weights may be used, or what `parameters` takes
    for points. ValueError if a theta is not finite, or for too many monomials: C(v + degree, degree) of v thetas that vary.
    Casenave, Akkari, Charles and Rey, arXiv 1710.02488. Memory: two tables, monomials x training parameters.
    """
    if not thetas or not all(callable(theta) for theta in thetas):
        raise TypeError("thetas must be callables, one for each matrix: theta(mu) with mu a mapping from name to values")
    if int(degree) != degree or degree < 1:
        raise ValueError(f"degree must be a whole number from 1 on; got {degree}")
    parameters, points = training_points(parameters, train)
    theta = evaluated(thetas, parameters, points)
    centre, scale = centre_and_scale(theta)
    s = scaled(theta, centre, scale)
    count = math.comb(len(s) + degree, degree)
    if count * len(points) > MOST_ENTRIES:
        raise ValueError(
            f"{len(s)} thetas have {count} monomials of degree {degree}, at {len(points)} training parameters; take a lower "
            "degree or fewer of them"
        )
    k = exponents(len(s), int(degree))
    fit = eim(monomials(s, k), tol=tol, max_size=max_size, first=0)
    return ThetaInterpolation(parameters, tuple(thetas), centre, scale, k, fit, points[fit.nodes])


def training_points(parameters: Parameters | None, train: Any) -> tuple[Parameters, np.ndarray]:
    """The box and the training points (m, p)."""
    if parameters is None:
        if not isinstance(train, Mapping):
            raise TypeError(f"train must be a mapping from name to values, or give parameters=; got {type(train).__name__}")
        parameters = Parameters(**{name: (np.min(values), np.max(values)) for name, values in train.items()})
    points = parameters.points(train)
    if len(points) == 0:
        raise ValueError("train must hold at least one parameter point")
    return parameters, points


def evaluated(thetas: Sequence[Callable[[Any], Any]], parameters: Parameters, points: np.ndarray) -> np.ndarray:
    """theta (Q, m) at the points (m, p), or an error that names the one at fault."""
    columns, rows = parameters.columns(points), []
    for q, theta in enumerate(thetas):
        values = np.asarray(theta(columns))
        if values.dtype.kind not in "biufc" or values.shape not in ((), (1,), (len(points),)):
            raise ValueError(
                f"theta {q} must give one number or one for each of {len(points)} parameters; got {values.dtype} {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"theta {q} is not finite somewhere in the box")
        rows.append(np.broadcast_to(values, (len(points),)))
    return np.array(rows) * 1.0


def centre_and_scale(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each theta (Q, m) and how far it goes from there, 0 for a constant."""

    def middle(values: np.ndarray) -> np.ndarray:
        return (values.min(axis=1) + values.max(axis=1)) / 2

    centre = middle(theta.real) + 1j * middle(theta.imag) if np.iscomplexobj(theta) else middle(theta)
    scale = abs(theta - centre[:, None]).max(axis=1)
    return centre, np.where(scale > CONSTANT * abs(theta).max(axis=1), scale, 0.0)


def scaled(theta: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """s (v, m) of theta (Q, m), without the constants."""
    varying = scale > 0
    return (theta[varying] - centre[varying, None]) / scale[varying, None]


def exponents(variables: int, degree: int) -> np.ndarray:
    """All k (n_k, variables) with |k| <= degree, by total degree, the constant first."""
    rows = [
        np.bincount(np.array(chosen, np.intp), minlength=variables)
        for total in range(degree + 1)
        for chosen in itertools.combinations_with_replacement(range(variables), total)
    ]
    return np.array(rows, np.intp).reshape(len(rows), variables)


def monomials(s: np.ndarray, k: np.ndarray) -> np.ndarray:
    """s^k (n_k, m) of s (v, m)."""
    table = np.ones((len(k), s.shape[1]), s.dtype)
    degrees = np.arange(k.max(initial=0) + 1)[:, None]
    for q, values in enumerate(s):
        table *= (values**degrees)[k[:, q]]
    return table


def multinomials(k: np.ndarray) -> np.ndarray:
    """|k|! / prod_q k_q! of each row."""
    return np.array([math.factorial(sum(row)) // math.prod(map(math.factorial, row)) for row in k.tolist()], float)


def summed_degree(variables: int, most: int) -> int:
    """Up to which degree a series is summed term by term: at most 3000 monomials, and as far as it goes."""
    return next((n for n in range(most) if math.comb(variables + n + 1, variables) > 3000 or n == 60), most)
