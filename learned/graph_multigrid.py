"""Algebraic multigrid whose strength of coupling, prolongation and relaxation are learned, for any sparse SPD matrix."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..solvers.preconditioners import Jacobi, SmoothedAggregation
from .families import family
from .multigrid.ladder import MOST, RUNGS, SCALARS, SPREAD, packed, shapes, untrained
from .multigrid.setup import NotGathered, defect_of, hierarchy
from .networks.checks import check_weights


@dataclass(frozen=True, slots=True, eq=False)
class GraphMultigrid:
    """The recipe for a V-cycle of smoothed aggregation in which a small network decides, entry by entry, at set-up.

    On every level, from features of the matrix that have no units, the same weights give
    - which couplings are strong: aggregates are gathered along those (Vanek, Mandel and Brezina 1996, Algorithm 5.1);
    - a gate g_ij in [0, 2] for every coupling and a damping w_i for every row: P = (I - W A_F) T, A_F with the entries g_ij a_ij,
      what is left of a row added to its diagonal, so that P keeps the constant wherever A annihilates it;
    - a relaxation 0 < omega_i < 2 for every row of the Gauss-Seidel sweeps, and the size gamma > 0 of the coarse correction.
    The network runs once; what is applied is the compiled cycle of `SmoothedAggregation`, at its cost.

    M is symmetric positive definite whatever the weights. A forward sweep has S = D + L, D = diag(A) / omega, and S + S^T - A =
    (2 / omega - 1) diag(A) is positive definite. From I - M A = (I - S^-T A)(I - gamma P M_c P^T A)(I - S^-1 A) follows

        M = S^-T (S + S^T - A) S^-1 + gamma (I - S^-T A) P M_c P^T (I - A S^-1),

    definite plus semidefinite for every gamma > 0, every P and, by induction over levels, a definite M_c. (Entries between chunks
    of rows, which the sweep leaves out, are bounded by half their row sum in D.)

    Parameters
    ----------
    rung : 'scalars', 'mlp' or 'gnn'
        Seven trained numbers; these and a network of every entry; one that also hears the mean of a message from the neighbours.
    width, channels : int
        Hidden units of the networks, and numbers of a message.
    weights : mapping of str to float64 arrays
        Named and shaped as `multigrid.ladder.shapes(rung, width, channels)`.
    coarsest : int
        Unknowns up to which a level is solved by its dense (pseudo-)inverse.
    near_nullspace : array, optional
        What `bind` was given. The weights know the constant alone: for others `SmoothedAggregation` is used, with a warning.

    Notes
    -----
    A: stored, NumPy or SciPy (any format), real, symmetric, positive diagonal. Set-up in double precision, the cycle in single;
    O(nnz width) for the networks, about 20 ns an entry at width 12; memory as `SmoothedAggregation`. M.update(A2) keeps order,
    aggregates and patterns. M is probed at set-up, at half the cost of an application. Where that fails `SmoothedAggregation` is
    used, and where thousands of unknowns do not couple `Jacobi`, each with a RuntimeWarning that says why. Raises ValueError for
    a matrix that is not symmetric or whose diagonal is not positive, TypeError if it is complex or its entries are not stored.

    Luz, Galun, Maron, Basri and Yavneh, Learning algebraic multigrid using graph neural networks (ICML 2020), learn the
    prolongation of classical multigrid from two-grid spectra; here strength, aggregates and smoother are learned too, through the
    whole cycle, and the networks are small enough to pay on the first solve.

    Examples
    --------
    >>> from petrov.learned import GraphMultigrid
    >>> from petrov.solvers import cg, problems
    >>> A, b = problems.poisson(64, rhs="random")[:2]
    >>> cg(A, b, M=GraphMultigrid.untrained()).iterations < 20
    True
    """

    rung: str
    width: int
    channels: int
    weights: Mapping[str, np.ndarray]
    coarsest: int = 100
    near_nullspace: Any = None

    name = "graph multigrid"
    kind = "graph-multigrid"

    def __post_init__(self) -> None:
        if self.rung not in RUNGS:
            raise ValueError(f"rung must be one of {', '.join(RUNGS)}; got {self.rung!r}")
        for what in ("width", "channels", "coarsest"):
            value = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096:
                raise ValueError(f"{what} must be an integer from 1 to 4096; got {value!r}")
        check_weights(self.weights, shapes(self.rung, self.width, self.channels), f"rung {self.rung!r}")

    @classmethod
    def untrained(
        cls, *, rung: str = "mlp", width: int = 12, channels: int = 4, seed: int = 28_657, coarsest: int = 100
    ) -> GraphMultigrid:  # fmt: skip
        """The recipe before training: its scalars at values that work, its networks silent, so that all rungs are the same."""
        if rung not in RUNGS:
            raise ValueError(f"rung must be one of {', '.join(RUNGS)}; got {rung!r}")
        return cls(rung, width, channels, untrained(rung, width, channels, seed), coarsest)

    @property
    def module(self) -> Any:
        """The weights as a torch module, copied; needs torch."""
        from .multigrid.module import module_of

        return module_of(self.rung, self.width, self.channels, self.weights)

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> GraphMultigrid:
        return replace(self, weights=weights)

    def description(self) -> dict[str, Any]:
        bounds = {name: [scalar.low, scalar.high] for name, scalar in SCALARS.items()}
        bounds |= {"gate": [0.0, MOST], "spread": [-SPREAD, SPREAD]}
        return {"rung": self.rung, "width": self.width, "channels": self.channels, "coarsest": self.coarsest, "bounds": bounds}

    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> GraphMultigrid:
        made = cls(description["rung"], description["width"], description["channels"], weights, description["coarsest"])
        if made.description()["bounds"] != description["bounds"]:
            raise ValueError("its weights were trained within other bounds than those of this petrov")
        return made

    def bind(self, *, near_nullspace: Any = None, **_: Any) -> GraphMultigrid:
        """The recipe told of a near null space; other facts it does not need."""
        return self if near_nullspace is None else replace(self, near_nullspace=near_nullspace)

    def small(self) -> Any:
        """The cycle for a system of 400 unknowns, three levels, in single precision."""
        return replace(self, coarsest=min(self.coarsest, 20))(family("fv2d").system(400, 11).A.astype(np.float32))

    def __call__(self, A: Any) -> Any:
        if self.near_nullspace is not None and not constant(self.near_nullspace):
            self.warn("its weights know the constant near null space alone, and another was given", "SmoothedAggregation")
            return SmoothedAggregation(near_nullspace=self.near_nullspace)(A)
        try:
            M = hierarchy(A, packed(self.weights), self.coarsest, self.name)
        except NotGathered as error:
            self.warn(str(error), "Jacobi")
            return Jacobi()(A)
        if found := defect_of(M):
            self.warn(f"it failed its probe: {found}", "SmoothedAggregation")
            return SmoothedAggregation()(A)
        return M

    def warn(self, found: str, instead: str) -> None:
        warnings.warn(f"{self.name} cannot take this matrix: {found}; {instead} is used instead", RuntimeWarning, stacklevel=3)


def constant(B: Any) -> bool:
    """Whether a near null space is one vector of equal entries."""
    B = np.asarray(B, float)
    return bool(B.size == len(B) and len(B) and B.flat[0] != 0 and (B.flat[0] == B).all())
