"""Reduced models of time-dependent and nonlinear problems: POD-Galerkin with (Q-)DEIM, many parameters at once."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers.direct.cholesky import cholesky
from ..parameters import Parameters
from ..reduced_model.training import shown
from ..snapshots import output_rows
from . import file, parabolic_bound
from .inputs import inner_product, problem_of, sizes_of, stable
from .online import Online
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
        problem = problem_of(
            mass, affine, nonlinear, parameters, jacobian, stencil, rhs, u0, time_grid(t, dt), scheme_named(method), tol
        )  # fmt: skip
        self.parameters, self.rule = parameters, interpolation
        self.problem: Problem | None = problem
        self.sizes = sizes_of(basis, deim, problem.stated)
        self.X, self.factor = inner_product(product, problem)
        self.output = None if output is None else output_rows(output, problem.n)
        self.stability = stable(stability, energy, problem)
        self.spectra: dict[str, Spectrum] = {}
        self.samples: list[tuple[np.ndarray, np.ndarray]] = []
        self.online: Online | None = None

    # Offline

    def fit(
        self, train: Any = 20, *, progress: bool = False, checkpoint: str | Path | None = None, seed: int = 44_617
    ) -> TransientModel:  # fmt: skip
        """Solve in full at the training parameters, an array (m, p) or how many to draw with `seed`, and make the model.

        progress: a line on stderr. checkpoint: a folder in which each trajectory is kept; a fit that was interrupted goes on.
        Returns self. Raises NewtonError where a step cannot be solved, ValueError if all trajectories are zero or the stencil is
        too small, FileExistsError for a folder of other work.
        """
        problem, count = self.full("fit"), isinstance(train, int | np.integer)
        mus = self.parameters.random(int(train), seed=seed) if count else self.parameters.points(train)
        tolerances = {name: tol for name, (tol, _) in self.sizes.items()}
        with shown(progress) as say:
            self.spectra, self.samples = gathered(problem, mus, self.factor, tolerances, checkpoint, say)
            say("projection")
            self.project()
        return self

    def resize(self, basis: Any, deim: Any = 1e-6) -> TransientModel:
        """The model with other sizes, from the trajectories that are known: nothing is solved again. Returns self.

        Sizes are limited by the tolerances that `fit` was given, to a hundredth of which trajectories were compressed.
        """
        if not self.spectra:
            raise ValueError("resize needs a model that was fitted here: call fit() first")
        sizes = sizes_of(basis, deim, self.full("resize").stated)
        if sizes.keys() != self.spectra.keys():
            raise ValueError("resize keeps deim=None, or not None, as it was: make the model anew for the other")
        self.sizes = sizes
        self.project()
        return self

    def project(self) -> None:
        """The model, the richer one behind its estimates, and the bound, from the spectra."""
        problem = self.full("fit")
        chosen = {name: part.size(*self.sizes[name]) for name, part in self.spectra.items()}
        if not chosen["states"]:
            raise ValueError("all training trajectories are zero: nothing can be learned from them. Give u0 or rhs")
        more = {name: min(math.ceil(RICHER * N) + 1, self.spectra[name].size(None, None)) for name, N in chosen.items()}
        reduced, bound = self.of_size(problem, chosen), None
        check_stencil(problem, reduced, self.samples)
        if self.stability is not None:
            # with product="mass" the factors of M are there
            mass = self.factor if self.X is problem.mass else None if problem.mass is None else cholesky(problem.mass)
            bound = parabolic_bound.prepared(problem, reduced, *self.stability, mass)
        self.online = Online(reduced, self.of_size(problem, more), bound, self.samples)

    def of_size(self, problem: Problem, sizes: dict[str, int]) -> Reduced:
        """The reduced problem with so many vectors of each spectrum."""
        V = np.ascontiguousarray(self.spectra["states"].vectors[:, : sizes["states"]])
        U, B = (self.spectra[name].vectors[:, : sizes[name]] if name in sizes else None for name in ("nonlinear", "rhs"))
        dual = V if self.X is None else self.X @ V
        return projected(problem, V, U, B, rule=self.rule, dual=dual, output=self.output)

    # Online

    def predict(self, mus: Any, *, estimate: bool = False, extrapolate: bool = False) -> TransientPrediction:
        """Trajectories at parameters (m, p), in any form that `Parameters.points` takes, all at once.

        estimate: also by a richer model, and its distance as an estimate of the error; about twice the time. A rigorous bound,
        where there is one, costs little and is always given. extrapolate: also outside the box. Memory: m (K + 1) N numbers.
        Raises ValueError outside the box, NewtonError where a reduced step cannot be solved.
        """
        online = self.fitted("predict")
        return online.predict(self.parameters.points(mus, extrapolate=extrapolate), estimate)

    def verify(self, mu: Any, *, extrapolate: bool = False) -> TransientVerification:
        """Solve in full at one parameter and compare, at each time."""
        problem, reduced = self.full("verify"), self.fitted("verify").reduced
        point = self.one_point(mu, "verify", extrapolate)
        begin = time.perf_counter()
        a = reduced.solve(point[None])[0]
        middle = time.perf_counter()
        found = np.zeros((3, len(a)))

        def compare(k: int, u: np.ndarray, system: FullSystem) -> None:
            best = reduced.V @ (reduced.dual.conj().T @ u)
            found[:, k] = self.norms(np.stack([u - reduced.V @ a[k], u, u - best], axis=1))

        problem.solve(point, compare)
        times = (time.perf_counter() - middle, middle - begin)
        return TransientVerification(self.parameters.mapping(point), found[0], found[1], found[2], *times)

    def solve(self, mu: Any, *, extrapolate: bool = False) -> np.ndarray:
        """The full trajectory (n, K + 1) at one parameter."""
        problem, point = self.full("solve"), self.one_point(mu, "solve", extrapolate)
        found: list[np.ndarray] = []
        problem.solve(point, lambda k, u, system: found.append(u))
        return np.stack(found, axis=1)

    def one_point(self, mu: Any, what: str, extrapolate: bool) -> np.ndarray:
        """mu as a point (p,)."""
        points = self.parameters.points(mu, extrapolate=extrapolate)
        if len(points) != 1:
            raise ValueError(f"{what} takes one parameter; got {len(points)}")
        return points[0]

    def norms(self, columns: np.ndarray) -> np.ndarray:
        """Of each column, in the product."""
        return np.linalg.norm(columns if self.factor is None else self.factor.lower(columns), axis=0)

    # One file

    def save(self, path: str | Path) -> None:
        """The reduced model as one file, without code: functions are given again to `load`.

        Raises ValueError before `fit`, and for a model with a bound whose u0 depends on mu and whose mass is not the identity.
        """
        file.save(self.fitted("save"), path)

    @classmethod
    def load(cls, path: str | Path, functions: Mapping[str, Any] | None = None) -> TransientModel:
        """A saved model, to predict with; it has no full problem to fit, verify or solve.

        functions: name -> callable for "nonlinear", "rhs", "u0", "theta 0", "rhs theta 0", "stability", as far as the model has
        them and they were no texts; each is compared with values in the file. Raises ValueError for one that is missing, unknown
        or gives other values, ModelFileError for a file that is damaged or not a transient model.
        """
        model = cls.__new__(cls)
        model.online, model.problem, model.spectra = file.load(path, functions or {}), None, {}
        model.parameters = model.online.reduced.stated.parameters
        return model

    def full(self, what: str) -> Problem:
        """The full problem, which `what` needs."""
        if self.problem is None:
            raise ValueError(f"{what} needs the full problem, and a loaded model has only the reduced one: make it anew")
        return self.problem

    def fitted(self, what: str) -> Online:
        """What `fit` made, which `what` needs."""
        if self.online is None:
            raise ValueError(f"{what} needs a fitted model: call fit() first")
        return self.online

    @property
    def basis(self) -> np.ndarray:
        """V (n, N), orthonormal in the product."""
        return self.fitted("basis").reduced.V

    @property
    def points(self) -> np.ndarray:
        """The entries (d,) of f that are evaluated."""
        by = self.fitted("points").reduced.f_by
        return np.zeros(0, np.intp) if by is None else by.points

    @property
    def singular_values(self) -> dict[str, np.ndarray]:
        """Of the training states ("states"), of f ("nonlinear") and of b ("rhs"); empty for a loaded model."""
        return {name: part.values for name, part in self.spectra.items()}

    def __repr__(self) -> str:
        if self.online is None:
            return f"TransientModel: {self.full('repr').n} unknowns, not fitted"
        reduced = self.online.reduced
        stated, by = reduced.stated, reduced.f_by
        points = "" if by is None else f", {len(by.points)} entries of nonlinear"
        once = "" if stated.f is None or stated.f.many else ", one parameter at a time (write u[..., indices] for all at once)"
        size = f"{reduced.size} of {len(reduced.V)} unknowns{points}"
        return f"TransientModel: {size}, {len(stated.times) - 1} steps of {stated.scheme.name}{once}"
