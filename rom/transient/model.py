"""Reduced models of time-dependent and nonlinear problems: POD-Galerkin with (Q-)DEIM, many parameters at once."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers.direct.cholesky import cholesky
from ..parameters import Parameters
from ..reduced_model.training import shown
from ..snapshots import output_rows
from . import file, parabolic_bound
from .inputs import inner_product, problem_of, size_of, stable
from .prediction import TransientPrediction, TransientVerification
from .problem import FullSystem, Problem
from .reduced import RULES, Reduced, check_stencil, projected
from .time_stepping import scheme_named, time_grid
from .training import Spectrum, gathered

RICHER = 1.25  # the size of the model behind the estimate, in that of the model


class TransientModel:
    """M du/dt + A(mu) u + f(u, mu) = b(mu, t), u(t0) = u0(mu), reduced to a few unknowns.

    Parameters
    ----------
    mass : SciPy sparse matrix or array M (n, n), or None for the identity
        Singular is allowed (algebraic equations, fixed unknowns) with another `product`.
    affine : matrix, [(theta, matrix), ...] or (assemble, [theta, ...])
        A(mu) = sum_q theta_q(mu) A_q; theta is a function of a mapping name -> values (m,), a text such as "1 + a", or a number.
        From assemble(mu) -> A(mu) the A_q are found by as many calls, and checked by one more.
    nonlinear : nonlinear(u, mu, indices) -> (d,), optional
        The entries f_i(u, mu) for i in `indices`, an array (d,) of integers. In full solutions u is the state (n,) and indices
        are all; in the reduced model u is NaN except at the unknowns that those entries depend on: a result that is not finite
        is an error, not a wrong answer. mu maps names to numbers. Write u[..., indices], not u[indices], and many parameters go
        in one call: u is then (m, n), the values of mu are (m, 1), the result is (m, d). Which of the two a function can do is
        found by trial. u must not be written to.
    parameters : Parameters
    jacobian : jacobian(u, mu) -> sparse (n, n), optional
        f', for full solutions; its pattern at a generic state says what f depends on. Without it, and in the reduced model,
        derivatives are differences.
    stencil : sparse matrix (n, n), or stencil(indices) -> unknowns, optional
        What f depends on: f_i on u_j where entry (i, j) is stored. Default: the pattern of the jacobian, or found by trials with
        NaN at states around u0. `fit` checks it at the training states and says if it is too small.
    rhs : None, array (n,), [(theta, vector), ...] or rhs(mu, t, indices) -> (d,)
        b: theta(mu, t), or a text that may use t. Entries of a function are interpolated as f is (a source that moves).
    u0 : number, array (n,), or u0(mu) -> (n,)
    t, dt : (t0, t1), the step
        dt must divide the interval.
    method : "implicit Euler", "Crank-Nicolson", "BDF2" or "IMEX Euler"
        The last takes f at the old time: no Newton steps, but dt is limited by f.
    basis, deim : float, int, or an object with tol and size, such as POD
        A float is a relative error of the training states (of f and b), an int a number of modes. deim=None: f is not
        interpolated but evaluated everywhere, which costs n operations a step.
    interpolation : "qdeim" or "deim"
    product : "mass", None (Euclidean) or matrix X (n, n)
        The inner product of basis and errors; must be positive definite.
    stability : alpha(mu), a function, text or number, optional;  energy : matrix X (n, n), positive definite
        Re v^H A(mu) v >= alpha(mu) v^H X v for all v. Linear problems with implicit Euler and a b that is a sum of vectors then
        have a rigorous bound, see `petrov.rom.transient.parabolic_bound`.
    output : rows (l, n), optional
    tol : float
        Of the residual of each time step, relative to its terms.

    Notes
    -----
    `fit` solves the full problem at the training parameters; memory is that of a few hundred states, however many time steps.
    A reduced step costs, for each parameter, N^2 + N d operations and d entries of f, and N^3 + N^2 d where the derivative is
    renewed. Numbers are real or complex double; complex problems must be linear. Raises TypeError or ValueError for what does
    not fit together, NewtonError (an ArithmeticError) that names step, time and parameters where a step cannot be solved.

    Chaturantabut and Sorensen, SIAM J. Sci. Comput. 32 (2010) 2737; Drmac and Gugercin, SIAM J. Sci. Comput. 38 (2016) A631.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.rom import Parameters
    >>> from petrov.rom.transient.model import TransientModel
    >>> n = 60
    >>> A = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) * (n + 1) ** 2
    >>> model = TransientModel(
    ...     None, [("k", A)], lambda u, mu, i: mu["a"] * u[..., i] ** 3, parameters=Parameters(k=(0.1, 1.0), a=(0.0, 5.0)),
    ...     rhs=np.ones(n), t=(0.0, 0.2), dt=0.02, basis=6, deim=6)
    >>> found = model.fit(6).predict([[0.3, 1.0], [0.7, 2.0]])
    >>> found.coefficients.shape, model.verify([0.3, 1.0]).relative < 1e-3
    ((2, 11, 6), True)
    """

    def __init__(
        self, mass: Any, affine: Any, nonlinear: Any = None, *, parameters: Parameters, jacobian: Any = None, stencil: Any = None,
        rhs: Any = None, u0: Any = 0.0, t: Any, dt: float, method: Any = "implicit Euler", basis: Any = 1e-5, deim: Any = 1e-6,
        interpolation: str = "qdeim", product: Any = "mass", stability: Any = None, energy: Any = None, output: Any = None,
        tol: float = 1e-9,
    ) -> None:  # fmt: skip
        if not isinstance(parameters, Parameters):
            raise TypeError(f"parameters must be Parameters(name=(low, high), ...); got {type(parameters).__name__}")
        if "t" in parameters.names:
            raise ValueError("a parameter cannot be called t, which is the time")
        if interpolation not in RULES:
            raise ValueError(f"interpolation must be one of {', '.join(RULES)}; got {interpolation!r}")
        if not 0 < tol < 1e-2:
            raise ValueError(f"tol, of the residual of a time step, must lie between 0 and 1e-2; got {tol}")
        self.parameters, self.rule, self.sizes = parameters, interpolation, (size_of(basis, "basis"), size_of(deim, "deim"))
        if self.sizes[0] is None:
            raise ValueError("basis must be a tolerance, a size, or have both; got None")
        self.problem: Problem | None = problem_of(
            mass, affine, nonlinear, parameters, jacobian, stencil, rhs, u0, time_grid(t, dt), scheme_named(method), tol
        )  # fmt: skip
        self.X, self.factor = inner_product(product, self.problem)
        self.output = None if output is None else output_rows(output, self.problem.n)
        self.stability, self.energy = stable(stability, energy, self.problem)
        self.factor_of_mass = isinstance(product, str)
        self.reduced: Reduced | None = None
        self.richer: Reduced | None = None
        self.bounded: parabolic_bound.ParabolicBound | None = None
        self.spectra: dict[str, Spectrum] = {}
        self.samples: list[tuple[np.ndarray, np.ndarray]] = []

    # Offline

    def fit(
        self, train: Any = 20, *, progress: bool = False, checkpoint: str | Path | None = None, seed: int = 44_617
    ) -> TransientModel:  # fmt: skip
        """Solve in full at the training parameters, an array (m, p) or how many to draw, and make the model. Returns self.

        progress: a line on stderr. checkpoint: a folder in which each trajectory is kept; a fit that was interrupted goes on.
        """
        problem, (states, entries) = self.full("fit"), self.sizes
        assert states is not None
        count = isinstance(train, int | np.integer)
        mus = self.parameters.random(int(train), seed=seed) if count else self.parameters.points(train)
        tols = {"states": states[0]}
        if entries is not None:
            tols |= {"nonlinear": entries[0]} if problem.stated.f is not None else {}
            tols |= {"rhs": entries[0]} if problem.stated.b is not None else {}
        with shown(progress) as say:
            self.spectra, self.samples = gathered(problem, mus, self.factor, tols, checkpoint, say)
            say("projection")
            self.project()
        return self

    def resize(self, basis: Any, deim: Any = 1e-6) -> TransientModel:
        """The model with other sizes, from the trajectories that are known: nothing is solved again. Returns self.

        Sizes are limited by the tolerances that `fit` was given, to a hundredth of which trajectories were compressed.
        """
        if not self.spectra:
            raise ValueError("resize needs a model that was fitted here: call fit() first")
        sizes = size_of(basis, "basis"), size_of(deim, "deim")
        if sizes[0] is None or (sizes[1] is None) != (self.sizes[1] is None):
            raise ValueError("resize keeps deim=None, or not None, as it was, and needs a basis")
        self.sizes = sizes
        self.project()
        return self

    def project(self) -> None:
        """The model, the richer one behind its estimates, and the bound, from the spectra."""
        problem, (states, entries) = self.full("fit"), self.sizes
        chosen = {name: part.size(*(states if name == "states" else entries)) for name, part in self.spectra.items()}  # type: ignore[misc]
        if not chosen["states"]:
            raise ValueError("all training trajectories are zero: nothing can be learned from them. Give u0 or rhs")
        self.reduced = self.of_size(problem, chosen)
        check_stencil(problem, self.reduced, self.samples)
        self.richer = self.of_size(problem, {
            name: min(math.ceil(RICHER * N) + 1, self.spectra[name].size(None, None)) for name, N in chosen.items()
        })  # fmt: skip
        if self.stability is not None:
            mass = self.factor if self.factor_of_mass else None if problem.mass is None else cholesky(problem.mass)
            self.bounded = parabolic_bound.prepared(problem, self.reduced, self.energy, mass)

    def of_size(self, problem: Problem, sizes: dict[str, int]) -> Reduced:
        V = np.ascontiguousarray(self.spectra["states"].vectors[:, : sizes["states"]])
        U, B = (self.spectra[name].vectors[:, : sizes[name]] if name in sizes else None for name in ("nonlinear", "rhs"))
        dual = V if self.X is None else self.X @ V
        return projected(problem, V, U, B, rule=self.rule, dual=dual, output=self.output)

    # Online

    def predict(self, mus: Any, *, estimate: bool = False, extrapolate: bool = False) -> TransientPrediction:
        """Trajectories at parameters (m, p), all at once.

        estimate: also by a richer model, and its distance as an estimate of the error; about twice the time. A rigorous bound,
        where there is one, costs little and is always given.
        """
        reduced = self.fitted("predict")
        points = self.parameters.points(mus, extrapolate=extrapolate)
        a = reduced.solve(points)
        outputs = None if reduced.L is None else a @ reduced.L.T
        distance = bound = None
        if estimate:
            assert self.richer is not None
            fine = self.richer.solve(points)
            fine[:, :, : reduced.size] -= a
            distance = np.linalg.norm(fine, axis=2)
        if self.bounded is not None:
            assert self.stability is not None
            bound = self.bounded.values(reduced, points, a, self.stability(points)[:, 0])
        kind = "rigorous" if bound is not None else "estimate" if estimate else "none"
        return TransientPrediction(points, reduced.stated.times, a, outputs, kind, bound, distance, reduced.V)

    def verify(self, mu: Any, *, extrapolate: bool = False) -> TransientVerification:
        """Solve in full at one parameter and compare."""
        problem, reduced = self.full("verify"), self.fitted("verify")
        points = self.parameters.points(mu, extrapolate=extrapolate)
        if len(points) != 1:
            raise ValueError(f"verify takes one parameter; got {len(points)}")
        begin = time.perf_counter()
        a = reduced.solve(points)[0]
        middle = time.perf_counter()
        found = np.zeros((3, len(a)))

        def compare(k: int, u: np.ndarray, system: FullSystem) -> None:
            best = reduced.V @ (reduced.dual.conj().T @ u)
            found[:, k] = self.norms(np.stack([u - reduced.V @ a[k], u, u - best], axis=1))

        problem.solve(points[0], compare)
        times = (time.perf_counter() - middle, middle - begin)
        return TransientVerification(self.parameters.mapping(points[0]), found[0], found[1], found[2], *times)

    def solve(self, mu: Any, *, extrapolate: bool = False) -> np.ndarray:
        """The full trajectory (n, K + 1) at one parameter."""
        problem, points = self.full("solve"), self.parameters.points(mu, extrapolate=extrapolate)
        found: list[np.ndarray] = []
        problem.solve(points[0], lambda k, u, system: found.append(u))
        return np.stack(found, axis=1)

    def norms(self, columns: np.ndarray) -> np.ndarray:
        return np.linalg.norm(columns if self.factor is None else self.factor.lower(columns), axis=0)

    # One file

    def save(self, path: str | Path) -> None:
        """The reduced model as one file, without code: functions are given again to `load`. See `petrov.rom.transient.file`."""
        self.fitted("save")
        file.save(self, path)

    @classmethod
    def load(cls, path: str | Path, functions: dict[str, Any] | None = None) -> TransientModel:
        """A saved model, to predict with. functions: name -> callable for "nonlinear", "rhs", "u0", "theta 0", "rhs theta 0",
        "stability", as far as the model has them and they were no texts; each is compared with values in the file.
        """
        return file.load(cls, path, functions or {})

    def full(self, what: str) -> Problem:
        if self.problem is None:
            raise ValueError(f"{what} needs the full problem, and a loaded model has only the reduced one: make it anew")
        return self.problem

    def fitted(self, what: str) -> Reduced:
        if self.reduced is None:
            raise ValueError(f"{what} needs a fitted model: call fit() first")
        return self.reduced

    @property
    def basis(self) -> np.ndarray:
        """V (n, N), orthonormal in the product."""
        return self.fitted("basis").V

    @property
    def points(self) -> np.ndarray:
        """The entries (d,) of f that are evaluated."""
        by = self.fitted("points").f_by
        return np.zeros(0, np.intp) if by is None else by.points

    @property
    def singular_values(self) -> dict[str, np.ndarray]:
        """Of the training states, of f ("nonlinear") and of b ("rhs")."""
        return {name: part.values for name, part in self.spectra.items()}

    def __repr__(self) -> str:
        if self.reduced is None:
            return f"TransientModel: {self.full('repr').n} unknowns, not fitted"
        stated, by = self.reduced.stated, self.reduced.f_by
        points = "" if by is None else f", {len(by.points)} entries of nonlinear"
        once = "" if stated.f is None or stated.f.many else ", one parameter at a time (write u[..., indices] for all at once)"
        size = f"{self.reduced.size} of {len(self.reduced.V)} unknowns{points}"
        return f"TransientModel: {size}, {len(stated.times) - 1} steps of {stated.scheme.name}{once}"
