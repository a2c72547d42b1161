"""f(A(mu)) as a combination of its values at a few mu: numbers, matrices or operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..operators.terms import deviation
from ..parameters import Parameters
from .thetas import Series, ThetaInterpolation

SYMMETRIC = 1e-10  # max |X - X^H| / max |X| of a Hermitian combination, or 100 units of round-off
PROBES = 4  # random columns by which an estimate sees an operator
SEED = 61_403


@dataclass(frozen=True, slots=True, eq=False)
class MatrixFunction:
    """f(A(mu)) ~ sum_l beta_l(mu) f(A(mu_l)), of `interpolate_function`.

    mus is what `Parameters.points` takes; one mu a mapping from name to number or an array (p,).

    Attributes
    ----------
    weights : ThetaInterpolation
        mu -> beta, with the nodes.
    values : ndarray (d,) or (d, n, n), or tuple
        f(A(mu_l)): numbers, matrices, or d operators, as the factorisations of sparse matrices are.
    name : str
    shape : (n, n)
        Of A.
    dtype
        Of f.
    series : (factor, Series) or str
        What `bound` needs, or why there is none.
    """

    weights: ThetaInterpolation
    values: Any
    name: str
    shape: tuple[int, int]
    dtype: np.dtype
    series: tuple[float, Series] | str

    @property
    def size(self) -> int:
        return self.weights.size

    @property
    def nodes(self) -> np.ndarray:
        """The mu_l (d, p)."""
        return self.weights.nodes

    @property
    def scalar(self) -> bool:
        """Whether f gives numbers."""
        return isinstance(self.values, np.ndarray) and self.values.ndim == 1

    def coefficients(self, mus: Any, *, extrapolate: bool = False) -> np.ndarray:
        """beta (d, m). ValueError outside of the box, unless `extrapolate`."""
        return self.weights.coefficients(self.weights.parameters.points(mus, extrapolate=extrapolate))

    def evaluate(self, mus: Any) -> Any:
        """f at one mu: a number or a matrix (n, n); at m of them (m,) or (m, n, n). d n^2 multiply-adds each.

        Operators are applied to the identity, which costs n products with each of them; use `at` or `apply` for large ones.
        """
        beta = self.coefficients(mus)
        values = self.values
        if not isinstance(values, np.ndarray):
            values = np.array([F @ np.eye(self.shape[0]) for F in values])
        result = np.tensordot(beta.T.astype(common(self.dtype, beta)), values, 1)
        return result[0] if is_one(mus, self.weights.parameters) else result

    def at(self, mu: Any, *, probe: bool = True) -> Interpolated:
        """f(A(mu)) as an operator. Matrices are combined once, d n^2; operators stay apart, d products for one.

        A negative weight may cost definiteness, so `spd` is looked at: a combined matrix by a Cholesky factorisation, n^3/3
        (left out, and None, with probe=False); operators are positive definite if all are and no weight is negative, else None.
        """
        self.refuse_scalar("at")
        beta = self.coefficients(mu)
        if beta.shape[1] != 1:
            raise ValueError(f"at takes one parameter point; got {beta.shape[1]}")
        dtype, name = common(self.dtype, beta), f"interpolated {self.name}"
        w = beta[:, 0].astype(dtype)
        if isinstance(self.values, np.ndarray):
            X = np.tensordot(w, self.values, 1)
            return Interpolated((X,), np.ones(1, dtype), self.shape, dtype, name, definite(X) if probe else None)
        positive = not np.iscomplexobj(w) and bool((w >= 0).all()) and all(getattr(F, "spd", None) for F in self.values)
        return Interpolated(self.values, w, self.shape, dtype, name, positive or None)

    def apply(self, mu: Any, b: Any) -> np.ndarray:
        """f(A(mu)) b for b (n,) or (n, k)."""
        return self.at(mu, probe=False) @ b

    def preconditioner(self, mu: Any) -> InterpolatedRecipe:
        """The recipe that gives `at(mu)` for the matrix A(mu)."""
        self.refuse_scalar("preconditioner")
        return InterpolatedRecipe(self, mu)

    def bound(self, mus: Any) -> np.ndarray:
        """An upper bound (m,) of the error: |f - interpolation|, of matrices in the spectral norm.

        In exact arithmetic; (n + d) eps sum_l |beta_l| |f_l| is added for rounding, which an ill-conditioned A may exceed.
        sum_k |s^k - sum_l beta_l s_l^k| |T_k| with f(A(mu)) = sum_k s^k T_k, and the remainder of the series. For dense matrices
        and 'inverse', 'logdet', 'sqrt', 'exp' or a Polynomial; ValueError that says why elsewhere: there take `estimate`.
        """
        if isinstance(self.series, str):
            raise ValueError(f"no bound for this interpolation: {self.series}; use estimate")
        factor, series = self.series
        points = self.weights.parameters.points(mus)
        lengths = np.linalg.norm(self.values.reshape(self.size, -1), axis=1)
        unit = (self.shape[0] + self.size) * float(np.finfo(self.dtype).eps)
        return factor * self.weights.series_error(points, series) + unit * (lengths @ abs(self.weights.coefficients(points)))

    def estimate(self, mus: Any) -> np.ndarray:
        """An estimate (m,) of the error in the Frobenius norm: how far the interpolation through the first d' nodes is.

        d' is what a lower degree would have. Pessimistic as a rule, and no bound. Operators are seen by four random columns.
        """
        points = self.weights.parameters.points(mus)
        fewer = self.weights.lower_size
        difference = self.weights.coefficients(points)
        difference[:fewer] -= self.weights.coefficients(points, fewer)
        n, values, columns = self.shape[0], self.values, 1
        if not isinstance(values, np.ndarray):
            Z, columns = np.random.default_rng(SEED).standard_normal((n, PROBES)), PROBES
            values = np.array([F @ Z for F in values])
        parts = np.tensordot(difference.T, values, 1).reshape(len(points), -1)
        return np.linalg.norm(parts, axis=1) / np.sqrt(columns)

    def refuse_scalar(self, what: str) -> None:
        """TypeError if f gives numbers, which cannot be applied to a vector."""
        if self.scalar:
            raise TypeError(f"{what} needs matrices, and {self.name} gives numbers; use evaluate")

    def __repr__(self) -> str:
        kind = "numbers" if self.scalar else "matrices" if isinstance(self.values, np.ndarray) else "operators"
        n = self.shape[0]
        return f"MatrixFunction: {self.name} of {n} x {n} matrices from {self.size} {kind}, {self.dtype}"


@dataclass(frozen=True, slots=True, eq=False)
class Interpolated:
    """The operator sum_l weights_l parts_l."""

    parts: tuple[Any, ...]
    weights: np.ndarray
    shape: tuple[int, int]
    dtype: np.dtype
    name: str
    spd: bool | None

    linear = True

    @property
    def H(self) -> Interpolated:
        parts = tuple(part.H if hasattr(part, "H") else part.conj().T for part in self.parts)
        return Interpolated(parts, self.weights.conj(), self.shape, self.dtype, self.name, self.spd)

    def __matmul__(self, b: Any) -> np.ndarray:
        b = np.asarray(b)
        if b.ndim not in (1, 2) or b.shape[0] != self.shape[0]:
            raise ValueError(f"expected ({self.shape[0]},) or ({self.shape[0]}, k); got shape {b.shape}")
        result = sum(weight * (part @ b) for weight, part in zip(self.weights, self.parts, strict=True))
        return np.asarray(result).astype(np.result_type(self.dtype, b.dtype), copy=False)

    def __repr__(self) -> str:
        return f"{self.name}: {self.shape[0]} x {self.shape[1]}, {len(self.parts)} parts, {self.dtype}"


@dataclass(frozen=True, slots=True, eq=False)
class InterpolatedRecipe:
    """The recipe for the interpolated function at mu, as the preconditioner of a matrix A of the family."""

    function: MatrixFunction
    mu: Any

    name = "interpolated"

    def __call__(self, A: Any) -> Interpolated:
        if tuple(A.shape) != self.function.shape:
            raise ValueError(f"A must have the shape {self.function.shape} of the family; got {tuple(A.shape)}")
        return self.function.at(self.mu)


def is_one(mus: Any, parameters: Parameters) -> bool:
    """Whether mus is one parameter point, not an array of them."""
    if isinstance(mus, Mapping):
        return all(np.ndim(value) == 0 for value in mus.values())
    return np.ndim(mus) == 0 or (np.ndim(mus) == 1 and len(parameters) > 1 and not isinstance(mus[0], Mapping))


def common(dtype: np.dtype, beta: np.ndarray) -> np.dtype:
    """The type of a combination: that of the values, complex where the weights are."""
    return np.dtype(np.result_type(dtype, np.complex64) if np.iscomplexobj(beta) else dtype)


def definite(X: np.ndarray) -> bool:
    """Whether X is Hermitian to rounding and its Hermitian part has a Cholesky factorisation."""
    if deviation(X) > max(SYMMETRIC, 100 * float(np.finfo(X.dtype).eps)) * abs(X).max(initial=0.0):
        return False
    try:
        np.linalg.cholesky((X + X.conj().T) / 2)
    except np.linalg.LinAlgError:
        return False
    return True
