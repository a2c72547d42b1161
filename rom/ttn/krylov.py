"""exp(h A) Y for the linear equations of a step on a tree: Lanczos, Arnoldi."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from .local_solvers import (
    Linear,
    LocalSolveError,
    Stats,
    as_complex,
    checked,
    eps_of,
    flat,
    length,
    linear_only,
    number,
    positive,
    rate,
    shaped,
    times,
)
from .machine import Machine
from .tensors import conjugate, is_complex, namespace, placed, vector_norm

LOOK = 4  # Krylov steps between two looks at the error while its leading term is large, from twice as many on
EARLY = 30.0  # times the tolerance: leading term of the error at which to look
CAUTION = 0.8  # of a predicted substep
SAFETY = 2.0  # times the estimated error; without it, one oscillating problem in twenty ends above a loose tolerance
SAMPLES = np.array([1.0, 0.9, 0.8])  # of a substep, at which the residual is looked at
TRIES = 200  # predictions of a substep
NOT_FINITE = "H gave NaN or infinity for a vector of norm 1"
ASYMMETRY = 1e-3  # relative to H on the basis, from which H is no Hermitian operator: far above rounding, also in single


@dataclass(frozen=True, slots=True)
class Krylov:
    """Y' = f H(Y) + b, solved in Krylov spaces: exp(h f H) Y, exact up to `tol` at every h.

    Lanczos if F.hermitian, else Arnoldi; real arithmetic as long as H and Y are real, also if f is not. A source b costs one
    more application: Y + h phi_1(h f H) (f H(Y) + b).

    Parameters
    ----------
    tol : float
        The estimated error, relative to the larger of ||Y(t)|| and the change; spread over the substeps by length. At least the
        rounding unit of Y.
    max_dim : int
        The dimension of a space. Where it does not reach tol, the largest substep that the same space allows is taken.
    max_substeps : int
        LocalSolveError after so many: H is too stiff for h.

    Notes
    -----
    The error after m steps is estimated by its first term, |h f| beta_m |e_m^T phi_1(h f T) e_1| ||Y||, or from the residual near
    the end if that is larger, and doubled. Every basis vector is made orthogonal twice. Holds max_dim + 1 vectors. Step m costs
    one application of H and about 2 m sweeps (Arnoldi: 4 m). On a device the host reads m + 1 numbers a step, at once.

    Y = 0 without b, h = 0 and spaces that H does not leave end at once. Raises TypeError if F is not linear, ValueError if Y is
    not finite, LocalSolveError if H gives NaN, if it is declared Hermitian and is not, or after max_substeps.

    Saad, SIAM J. Numer. Anal. 29 (1992), Section 5 (estimates); Jawecki, Auzinger and Koch, BIT 60 (2020) (the leading term, by
    which the looks are timed); Niesen and Wright, ACM Trans. Math. Softw. 38 (2012) (phi functions).

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn.krylov import Krylov
    >>> from petrov.rom.ttn.local_solvers import LinearFlow
    >>> H = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> Y, stats = Krylov().solve(LinearFlow(lambda Y: H @ Y, factor=-1j, hermitian=True), np.array([1.0, 0.0]), 0.0, np.pi / 4)
    >>> Y.round(6), stats.applications
    (array([0.707107+0.j      , 0.      -0.707107j]), 2)
    """

    tol: float = 1e-10
    max_dim: int = 40
    max_substeps: int = 1000

    def __post_init__(self) -> None:
        positive(self.tol, "tol")
        positive(self.max_dim, "max_dim", int)
        if self.max_dim < 2:
            raise ValueError(f"max_dim must be at least 2: one vector gives no error that falls with h; got {self.max_dim}")
        positive(self.max_substeps, "max_substeps", int)

    def solve(self, F: Linear, Y: Any, t: float, h: float) -> tuple[Any, Stats]:
        """(Y(t + h), Stats)."""
        t, h, size = checked(F, Y, t, h)
        linear_only(F, "Krylov")
        left, stats = 1.0 if h else 0.0, Stats()  # left: of the step, as a fraction
        while left > 0.0:
            now = t + (1 - left) * h
            if stats.substeps == self.max_substeps:
                raise LocalSolveError(
                    f"Krylov: {self.max_substeps} substeps with {self.max_dim} vectors each led from t = {t:g} to {now:g} only, "
                    f"not to {t + h:g}: H is too stiff for this h. Take Implicit, a smaller h or a larger max_dim"
                )
            try:
                Y, part, used = self.substep(F, Y, h, left, size if left == 1.0 else None)
            except LocalSolveError as error:
                raise LocalSolveError(f"Krylov at t = {now:g}, h = {left * h:g}: {error}") from None
            left, stats = (left - part if part < left else 0.0), stats + Stats(used, 1)
        return (as_complex(Y) if isinstance(number(F.factor), complex) else Y), stats

    def substep(self, F: Linear, Y: Any, h: float, left: float, known: float | None) -> tuple[Any, float, int]:
        """(Y after it, which part of h it is, applications): as much of what is left as one Krylov space allows.

        known: ||Y||, if it is."""
        affine = getattr(F, "source", None) is not None
        start = flat(rate(F, Y) if affine else Y)
        scale = length(flat(Y)) if known is None else known
        size = length(start) if affine else scale
        most, tol = min(self.max_dim, start.shape[0]), max(self.tol, eps_of(Y))
        if size == 0.0:
            return Y, left, int(affine)
        exponent = Exponent(number(F.factor) * h, h if affine else None, size, scale, F.hermitian is True, tol)
        v, m, leading, space = times(1.0 / size, start), 0, 1.0, None
        extend = compiled_extension(F, v, Y, most) or extension(F, v, Y.shape, most)
        while True:
            m, beta, leading, space = extend(m, leading, exponent.hermitian, abs(exponent.z) * left, EARLY * tol)
            at = exponent.on(space[1][:m, :m], beta)
            c, excess = at(left)
            if excess <= 1.0 or beta == 0.0 or m == most:
                part, c = (left, c) if excess <= 1.0 else shortened(at, left, m)
                change = shaped(combined(c, space[0][:m, :]), Y.shape)
                return (Y + change if affine else change), part, m + affine
            leading = min(leading, excess * tol)  # from here on it predicts by its growth alone


Space = tuple[Any, np.ndarray]  # basis and projected matrix, see `basis`
Extend = Callable[[int, float, bool, float, float], tuple[int, float, float, Space]]


def extension(F: Linear, v: Any, shape: tuple[int, ...], most: int) -> Extend:
    """(m, leading, hermitian, growth, early) -> (m, beta, leading, space): the space grown until its error is worth a look.

    `leading`: the first term of the error, which step m multiplies by beta growth / m; it calls for a look at `early`.
    """
    space: list[Any] = []
    known = [v]

    def extend(m: int, leading: float, hermitian: bool, growth: float, early: float) -> tuple[int, float, float, Space]:
        while True:
            w = flat(F.apply(shaped(known[0], shape)))
            space.extend(() if space else basis(known[0], w, most))
            m += 1
            beta, known[0] = orthogonal(w, space[0], space[1], m, hermitian)
            leading *= beta * growth / m
            if beta == 0.0 or m == most or leading <= early or (m % LOOK == 0 and m >= 2 * LOOK):
                return m, beta, leading, (space[0], space[1])

    return extend


def compiled_extension(F: Linear, v: Any, Y: Any, most: int) -> Extend | None:
    """`extension` without the interpreter, for an operator that is a compiled contraction; None for others."""
    if not (isinstance(F.apply, Machine) and F.apply.fits(Y) and v.dtype == Y.dtype):
        return None
    from .compiled import krylov

    V, T = basis(v, v, most)
    arguments, place, limit = F.apply.arguments, F.apply.layout.place, 10 * eps_of(Y)

    def extend(m: int, leading: float, hermitian: bool, growth: float, early: float) -> tuple[int, float, float, Space]:
        m, beta, leading = krylov(*arguments, place, V, T, m, hermitian, growth, leading, early, LOOK, limit)
        if math.isnan(beta):
            raise LocalSolveError(NOT_FINITE)
        return m, beta, leading, (V, T)

    return extend


def basis(v: Any, w: Any, most: int) -> tuple[Any, np.ndarray]:
    """(V (most, n) with v as its first row, in the precision of v and complex if v or H v is; T (most, most) on the host)."""
    first = as_complex(v) if is_complex(w) else v
    V = namespace(first).empty((most, v.shape[0]), dtype=first.dtype, device=arrays.device(first))
    V[0, :] = first
    return V, np.zeros((most, most), np.complex128 if is_complex(first) else np.float64)


def orthogonal(w: Any, V: Any, T: np.ndarray, m: int, hermitian: bool) -> tuple[float, Any]:
    """(beta, the next basis vector) from w = H v_m, with column m of T; beta = 0 if w lies in the space but for rounding.

    First against the vectors that theory names (the last two for Lanczos), then against all: classical Gram-Schmidt twice.
    """
    found: list[Any] = []
    for first in (max(m - 2, 0) if hermitian else 0, 0):
        rows = V[first:m, :]
        c = conjugate(rows @ conjugate(w))
        w = w - c @ rows
        found.append(c)
    if type(w) is np.ndarray:
        beta = length(w)
    else:  # one read for all of them
        size = vector_norm(w)
        joined = arrays.to_numpy(namespace(w).concat([*found, namespace(w).astype(size[None], w.dtype)]))
        found, beta = np.split(joined[:-1], [len(joined) - 1 - m]), float(joined[-1].real)
        beta = beta if 1e-18 < beta < 1e18 else length(w)
    for c in found:
        T[m - len(c) : m, m - 1] += c
    inside = length(T[:m, m - 1])
    if not math.isfinite(beta + inside):
        raise LocalSolveError(NOT_FINITE)
    if beta <= 10 * eps_of(V) * inside:
        return 0.0, w
    w = w * (1.0 / beta)
    if m < V.shape[0]:
        T[m, m - 1], V[m, :] = beta, w
    return beta, w


def combined(c: np.ndarray, V: Any) -> Any:
    """sum_k c_k V_k. Complex c and real V: two real products."""
    if c.dtype.kind != "c" or is_complex(V):
        return placed(c, V) @ V
    real, imaginary = (as_complex(placed(part, V) @ V) for part in (c.real, c.imag))
    return real + 1j * imaginary


@dataclass(frozen=True, slots=True)
class Exponent:
    """exp(z H) start, or h phi_1(z H) start: z = f h, the norms of start and of Y(t), the tolerance."""

    z: Any
    h: float | None
    size: float
    scale: float
    hermitian: bool
    tol: float

    def on(self, T: np.ndarray, beta: float) -> Callable[[float], tuple[np.ndarray, float]]:
        """The function part -> (coefficients for the basis, estimated error / allowed error) for a part of h."""
        first_column = (hermitian_phi if self.hermitian else general_phi)(T, 0 if self.h is None else 1)

        def at(part: float) -> tuple[np.ndarray, float]:
            z, gain = self.z * part, self.size * (1.0 if self.h is None else self.h * part)
            with np.errstate(over="ignore", invalid="ignore"):
                c, following = first_column(z)
                error = SAFETY * abs(gain * z) * beta * following
                c = gain * c
                change = math.sqrt(np.vdot(c, c).real)
            if not math.isfinite(error + change):
                return c, math.inf
            return c, error / (self.tol * part * max(self.scale, change))

        return at


def hermitian_phi(T: np.ndarray, p: int) -> Callable[[Any], tuple[np.ndarray, float]]:
    """z -> (phi_p(z T) e_1, size of the first term of the error) for the tridiagonal part of T, by its eigenvectors.

    The latter is the integral of the residual, |e_m^T phi_(p+1)(z T) e_1|, or, where that is small by chance, what the residual
    at one of SAMPLES would come to if it had grown like a power.
    """
    asymmetry = T - T.conj().T
    if abs(asymmetry).max() > ASYMMETRY * abs(T).max():
        raise LocalSolveError("H is declared hermitian=True, and is not: with hermitian=None it is treated as any other matrix")
    values, Q = np.linalg.eigh(T.real)  # reads the lower triangle: diagonal and betas
    both, m = Q[-1] * Q[0], len(T)

    def first_column(z: Any) -> tuple[np.ndarray, float]:
        w = z * values
        at_samples = phi(p, SAMPLES[:, None] * w)
        residual = abs(at_samples @ both) * SAMPLES ** (p + 1)
        return Q @ (at_samples[0] * Q[0]), max(abs(both @ phi(p + 1, w)), residual.max() / m)

    return first_column


def general_phi(T: np.ndarray, p: int) -> Callable[[Any], tuple[np.ndarray, float]]:
    """The same for any T, by exp [[z T, e_1, 0], [0, 0, 1], [0, 0, 0]]: its last columns begin with phi_1 e_1 and phi_2 e_1."""
    from scipy.linalg import expm

    m = len(T)

    def first_column(z: Any) -> tuple[np.ndarray, float]:
        big = np.zeros((m + 2, m + 2), np.result_type(T, type(z)))
        big[:m, :m], big[0, m], big[m, m + 1] = z * T, 1.0, 1.0
        E = expm(big) if np.isfinite(big).all() else np.full_like(big, np.inf)
        c = E[:m, m if p else 0]
        return c, max(abs(E[m - 1, m + p]), abs(c[-1]) / m)

    return first_column


def phi(p: int, w: np.ndarray) -> np.ndarray:
    """phi_0 = exp, phi_1 = (exp(w) - 1) / w, phi_2 = (phi_1 - 1) / w, entry by entry."""
    if p == 0:
        return np.exp(w)
    small = np.abs(w) < (0.5 if p == 2 else 1e-300)
    safe = np.where(small, 1.0, w)
    if p == 1:
        return np.where(small, 1.0, np.expm1(safe) / safe)
    series = np.zeros_like(w)
    for k in range(14, -1, -1):
        series = series * w + 1.0 / math.factorial(k + 2)
    return np.where(small, series, (np.expm1(safe) / safe - 1.0) / safe)


def shortened(at: Callable[[float], tuple[np.ndarray, float]], left: float, m: int) -> tuple[float, np.ndarray]:
    """(part, coefficients): a part of what is left that the space of dimension m allows, and that divides it evenly."""
    part = left
    for _ in range(TRIES):
        excess = at(part)[1]
        if excess <= 1.0:
            part = left / math.ceil(left / part)
            return part, at(part)[0]
        part *= max(0.1, CAUTION * excess ** (-1.0 / max(m - 1, 1))) if math.isfinite(excess) else 0.5
    raise LocalSolveError(f"no substep is short enough for {m} vectors: raise max_dim or tol, or take Implicit")
