"""ReducedModel: a black box assemble(mu) in, answers for thousands of parameters with their error out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..local_bases.bases import Partition
from ..parameters import Parameters
from ..ranks import Ranks
from ..snapshots import BlackBox
from . import certificate, storage
from .greedy import Greedy, History
from .offline import Offline
from .on_device import HOST, OnDevice, predicted, some_on_device
from .part import Part, padded
from .prediction import Prediction, Verification
from .report import called, plotted, told
from .training import Fit, fit

FALLBACKS = ("none", "full", "enrich")
GREEDY = Greedy()


class ReducedModel:
    """A reduced basis for A(mu) u = b(mu), s = L(mu) u, from a black box that assembles them.

    Parameters
    ----------
    assemble : callable
        assemble(mu) -> (A, b) or (A, b, L) for a mapping name -> float. A (n, n): SciPy sparse, dense, or anything with shape,
        dtype and @; b (n,) or (n, k); L (l, n) or (n,), rows of outputs. The same unknowns for every mu.
    parameters : Parameters
    operator : Affine, EIM, MDEIM, Training, a list of thetas, or "auto"
        What is known of the dependence on mu; "auto": nothing, it is learned from training assemblies, and errors are estimates.
    basis : Greedy, POD or LocalBases
    product : matrix (n, n), None or "auto"
        The inner product X in which errors are measured; None is the Euclidean one, "auto" the Hermitian part of A in the
        middle of the box.
    stability : MinTheta, Pointwise, SCM, Eigenvalue, InfSup, a number, a function of mu, None or "auto"
        The lower bound of the coercivity (inf-sup) constant in X; a function is called with name -> values (m,).
    output : array (l, n), optional
        Rows of outputs that do not depend on mu, instead of a third value of assemble.
    dual : bool
        Solve the adjoint problem for the outputs too: their error is then the product of two errors.
    rtol : float
        Of the full solves.
    seed : int
        Of training points that are drawn, and of the parameters at which sums are compared with assemblies.

    Attributes
    ----------
    basis : (n, N), orthonormal in X;  greedy_bounds : (N + 1,), the largest bound before each step
    reduced_operators : the arrays that answer;  selected : (steps, p), parameters that were solved

    Notes
    -----
    Memory: Q matrices, and (2 + Q) N + P vectors of n numbers while the model can still grow. Cost offline: a solve and Q
    products a basis vector, and 4 n (Q N)^2 multiply-adds in all; online N^3/6 + (Q N)^2/2 a parameter. Rozza, Huynh and
    Patera, Arch. Comput. Methods Eng. 15 (2008) 229; Casenave, Ern and Lelievre, arXiv 1401.3684.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.rom import Affine, Parameters, ReducedModel
    >>> n = 200
    >>> K = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)) * n
    >>> def assemble(mu):
    ...     return K + mu["k"] / n * sp.eye_array(n), np.full(n, 1 / n)
    >>> P = Parameters(k=(1.0, 1000.0))
    >>> model = ReducedModel(assemble, P, operator=Affine(["1", "k"]), product=K, stability=lambda mu: 1.0).fit(100)
    >>> r = model.predict(P.random(1000))
    >>> r.kind, r.bound.shape, bool(r.bound.max() < 1e-5), r.fields(0).shape
    ('rigorous', (1000,), True, (200,))
    """

    def __init__(
        self, assemble: Callable[[dict[str, float]], Any], parameters: Parameters, *, operator: Any = "auto",
        basis: Any = GREEDY, product: Any = "auto", stability: Any = "auto", output: Any = None, dual: bool = False,
        rtol: float = 1e-12, seed: int = 51_407,
    ):  # fmt: skip
        if not callable(assemble):
            raise TypeError(f"assemble must be a function mu -> (A, b); got {type(assemble).__name__}")
        if not isinstance(parameters, Parameters):
            raise TypeError(f"parameters must be Parameters(name=(low, high), ...); got {type(parameters).__name__}")
        self.parameters, self.operator, self.recipe = parameters, operator, basis
        self.product, self.stability, self.dual, self.seed = product, stability, dual, seed
        self.box = BlackBox(assemble, parameters, output=output, rtol=rtol)
        self.offline: Offline | None = None
        self.parts: list[Part] = []
        self.partition: Partition | None = None
        self.history = History()
        self.there: OnDevice | None = None
        self.seconds: dict[str, float] = {}

    def fit(
        self, train: Any = 1000, *, progress: bool = False, checkpoint: str | Path | None = None, workers: int = 1,
        comm: Any = None,
    ) -> ReducedModel:  # fmt: skip
        """Take the operator apart and build the basis; returns self.

        train: training parameters (m, p), or how many to draw. progress: show a bar. checkpoint: a folder in which every full
        solution is kept; a fit that was stopped, by Ctrl-C or by kill -9, goes on from there, to the same model. workers:
        processes that assemble and solve where that can be done apart (POD, LocalBases). comm: ranks of MPI that fit the model
        together, such as mpi4py's MPI.COMM_WORLD: every one calls this with the same model and has the whole of it afterwards;
        assemblies, full solutions and the search of the training set are dealt, checkpoints and progress are the first's. What
        is chosen does not depend on their number.

        Raises ValueError, TypeError for input that cannot be right; SolveError if a full solve does not converge. After Ctrl-C
        the model is what it was made so far. With ranks an assembly or a solve that fails on one is a RankError (a ValueError)
        on all, and anything else ends the job.
        """
        points = self.parameters.random(int(train), seed=self.seed) if isinstance(train, int | np.integer) else train
        fit(self, Fit(self.parameters.points(points), progress, checkpoint, workers, Ranks.of(comm)))
        return self

    # -- What was made -----------------------------------------------------------------------------------------------------

    @property
    def fitted(self) -> Offline:
        if self.offline is None or not self.parts:
            raise RuntimeError("the model knows nothing yet: call fit(train=...) first")
        return self.offline

    @property
    def basis(self) -> np.ndarray:
        """V (n, N), orthonormal in X; with local bases, a list of them is in `parts`."""
        self.fitted  # noqa: B018  (refuses)
        if len(self.parts) > 1:
            raise ValueError("there are local bases: see model.parts[i].V")
        if self.parts[0].V is None:
            raise ValueError("the file was saved without the basis: save(path, basis=True) keeps it")
        return self.parts[0].V

    @property
    def greedy_bounds(self) -> np.ndarray:
        """The largest bound over the training set before each step, (steps + 1,)."""
        return np.array(self.history.bounds)

    @property
    def selected(self) -> np.ndarray:
        """The parameters of the full solutions, in their order (steps, p)."""
        return np.array(self.history.selected).reshape(-1, len(self.parameters))

    @property
    def reduced_operators(self) -> Any:
        """The record `online.Reduced` of A (Q, N, N), b (P, N, k), L and R; a list of them with local bases."""
        self.fitted  # noqa: B018  (refuses)
        return self.parts[0].reduced if self.partition is None else [part.reduced for part in self.parts]

    @property
    def size(self) -> int:
        return max((part.reduced.size for part in self.parts), default=0)

    # -- Answers -----------------------------------------------------------------------------------------------------------

    def predict(
        self, mus: Any, tol: float | None = None, fallback: str = "none", *, relative: bool = False, extrapolate: bool = False
    ) -> Prediction:  # fmt: skip
        """The reduced solutions at parameters (m, p), all at once, with bounds of their errors and the outputs.

        tol: the error that is wanted, in the norm of X (relative: to the solution). fallback: what happens where the bound is
        above tol: "none", it stays; "full", the full system is solved there; "enrich", that solution also joins the basis, so
        that the next parameters need none. Online cost as in the class notes; fields are made when asked for.

        Parameters of CuPy, an array or a mapping to arrays, are answered on their device with CuPy arrays, fields included: the
        reduced arrays are moved there at the first call and kept, in double precision, batched L U in place of compiled Cholesky.
        Coefficient functions are then called with CuPy arrays. The host reads one flag a condition, at the end of the call.
        TypeError, with the remedy, for what only the host does: fallback, local bases, MDEIM, assemblies a parameter, SCM and
        Eigenvalue.

        Raises ValueError for parameters outside the box unless `extrapolate`, where a bound is what the recipes say it is
        there; what MinTheta and SolveError raise.
        """
        if fallback not in FALLBACKS:
            raise ValueError(f"fallback must be one of {', '.join(FALLBACKS)}; got {fallback!r}")
        if fallback != "none" and tol is None:
            raise ValueError(f'fallback="{fallback}" needs tol=, the error above which the reduced answer is not taken')
        if tol is not None and not float(tol) >= 0:
            raise ValueError(f"tol must be a number, at least 0; got {tol!r}")
        self.fitted  # noqa: B018  (refuses)
        if some_on_device(mus):
            if fallback != "none":
                raise TypeError(f'fallback="{fallback}" solves on the host, and the parameters are CuPy\'s: {HOST}')
            return predicted(self, mus, extrapolate)
        points = self.parameters.points(mus, extrapolate=extrapolate)
        found = self.answers(points)
        if fallback == "none":
            return found
        return certificate.fall_back(self, found, float(tol or 0.0), fallback, relative)

    def answers(self, mus: np.ndarray) -> Prediction:
        """What the parts say, put together."""
        offline = self.fitted
        labels = np.zeros(len(mus), int) if self.partition is None else self.partition.assign(mus)
        order = [np.flatnonzero(labels == i) for i in range(len(self.parts))]
        given = [part.answer(offline.batch(mus[rows])) for part, rows in zip(self.parts, order, strict=True)]
        back = np.argsort(np.concatenate(order), kind="stable")
        size = self.size

        def together(values: list[Any]) -> np.ndarray | None:
            return None if values[0] is None else np.moveaxis(np.concatenate(values, axis=-1)[..., back], -1, 0)

        def squeezed(values: list[Any]) -> Any:
            joined = together(values)
            return joined[..., 0] if joined is not None and self.box.vector else joined

        bases = [part.V for part in self.parts]  # as they are now: the model may be enriched

        def field(i: int) -> np.ndarray:
            V = bases[labels[i]]
            if V is None:
                raise ValueError("the file was saved without the basis: save(path, basis=True) keeps it")
            return V @ coefficients[i, : V.shape[1]]

        coefficients = squeezed(padded([answer.a for answer in given], size))
        bound, norms = (squeezed([getattr(answer, name) for answer in given]) for name in ("bound", "norms"))
        kind = offline.kind
        none = kind == "none"
        outputs, output_bound = (squeezed([getattr(answer, name) for answer in given]) for name in ("outputs", "output_bound"))
        return Prediction(
            mus, coefficients, np.full(bound.shape, np.nan) if none else bound, kind, outputs,
            np.full_like(output_bound, np.nan) if none and output_bound is not None else output_bound,
            np.zeros(len(mus), bool), norms, field,
        )  # fmt: skip

    def weights(self, mus: Any) -> np.ndarray:
        """The factors (m, Q) of the terms of A(mu): A(mu) ~ sum_q weights_q A_q. Those of an interpolation may be negative."""
        return self.fitted.split.A.by.weights(self.parameters.points(mus))

    def verify(self, mu: Any) -> Verification:
        """The error of the reduced solution at one mu by one assembly and no solve: ||b - A u_N||_{X'} / alpha.

        Rigorous for every operator if alpha is one for the assembled A (stated, pointwise, or found here: an eigenvalue that a
        Cholesky factorisation of A_s - alpha X confirms); an estimate for an A that is not coercive. Raises ValueError if the
        model was loaded without what this needs.
        """
        return certificate.verify(self, self.parameters.points(mu)[:1])

    # -- For people and files ----------------------------------------------------------------------------------------------

    def report(self) -> str:
        """What was made, from what, with what errors, in words and a table."""
        self.fitted  # noqa: B018  (refuses)
        return told(self)

    def plot(self, path: str | Path | None = None) -> Any:
        """A matplotlib Figure: bounds against N, the parameters chosen, the interpolation; written to `path` if given."""
        self.fitted  # noqa: B018  (refuses)
        return plotted(self, path)

    def save(self, path: str | Path, *, basis: bool = True, single: bool = False) -> None:
        """Write the model to one file without code: see `petrov.rom.load`. basis=False leaves out V (no fields, no verify)."""
        storage.save(self, path, basis=basis, single=single)

    def __repr__(self) -> str:
        if not self.parts or self.offline is None:
            return f"ReducedModel of {self.parameters!r}, not fitted"
        sizes = "" if self.partition is None else f" in {len(self.parts)} local bases"
        last = f", {called(self)} in training {self.history.bounds[-1]:.3g}" if self.history.bounds else ""
        return f"ReducedModel of {self.parameters!r}: {self.size} basis vectors{sizes}{last}"
