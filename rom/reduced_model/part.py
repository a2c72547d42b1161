"""One reduced basis with all that answers for it: a model has one part, or one for each cluster of local bases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from . import online
from .evaluation import ROUNDING, Batch, lengths, solved
from .online import Reduced
from .projection import Projection


@dataclass(frozen=True, slots=True, eq=False)
class Dual:
    """The adjoint problem A^H z = L^H on a basis Z (n, M) of its own, for outputs whose error is quadratic.

    reduced: its Galerkin model, a right-hand side for each output. b (P, M, k) and A (Q, M, N): the terms of the primal residual
    along Z.
    """

    reduced: Reduced
    b: Any
    A: Any

    def corrections(self, given: Batch, a: Any, dual: Any) -> Any:
        """z_l^H (b - A u_N), (l, k, m), from primal and dual coefficients a (N, k, m), dual (M, l, m)."""
        xp: Any = arrays.namespace(a)
        along = xp.einsum("PMk,Pm->Mkm", self.b, given.rhs)
        for q in range(given.thetas.shape[0]):
            along = along - xp.einsum("MN,Nkm->Mkm", self.A[q, ...], a * given.thetas[q, ...], optimize=True)
        return xp.einsum("Mlm,Mkm->lkm", xp.conj(dual), along)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A basis V (n, N) or None, its Galerkin model, and a dual one or None. `projection`: what can still grow, unless loaded.

    rounded: ||V - V'||, from coefficients to X, where V was stored as V' in single precision; the bound of fields counts it.
    """

    V: Any
    reduced: Reduced
    dual: Dual | None = None
    projection: Projection | None = None
    dual_projection: Projection | None = None
    rounded: float = 0.0

    def answer(self, given: Batch) -> Answer:
        """All there is to say about a batch of parameters."""
        a, bound = solved(self.reduced, given)
        xp: Any = arrays.namespace(a)
        norms = lengths(a)
        of_field = bound + self.rounded * norms if self.rounded else bound
        if given.outputs is None:
            return Answer(a, of_field, norms, None, None)
        outputs = online.outputs(self.reduced, given.outputs, a)
        sizes = online.output_norms(self.reduced, given.outputs)[:, None, :]
        if self.dual is None:
            if xp is np:
                output_bound = np.multiply(sizes, bound, out=np.zeros(outputs.shape), where=sizes > 0)
            else:
                output_bound = xp.where(sizes > 0, sizes * bound, 0.0)
            return Answer(a, of_field, norms, outputs, output_bound)
        z, dual_bound = solved(self.dual.reduced, conjugate(given))
        outputs = outputs + self.dual.corrections(given, a, z)
        length = lengths(z)[:, None, :]
        output_bound = dual_bound[:, None, :] * bound * xp.where(given.alpha > 0, given.alpha, xp.inf)
        if given.errors is not None:  # of the interpolated operator: the correction does not know of it
            output_bound = output_bound + length * (given.errors[1] + given.errors[0] * norms)
        terms = sizes * norms + length * online.rounding(self.reduced, given.thetas, given.rhs, a)
        return Answer(a, of_field, norms, outputs, output_bound + ROUNDING * given.unit * terms)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """a (N, k, m), bound and norms (k, m), outputs and output_bound (l, k, m) or None."""

    a: Any
    bound: Any
    norms: Any
    outputs: Any
    output_bound: Any


def conjugate(given: Batch) -> Batch:
    """The weights of the adjoint problem: those of A^H and L^H."""
    assert given.outputs is not None
    xp: Any = arrays.namespace(given.outputs)
    errors = None if given.errors is None else xp.stack([given.errors[0, :], xp.zeros_like(given.errors[1, :])])
    return Batch(given.mus, xp.conj(given.thetas), xp.conj(given.outputs), None, given.alpha, errors, given.unit)


def part_of(projection: Projection, dual: Projection | None = None) -> Part:
    """A part that answers for bases as they are now."""
    V, reduced = projection.V.columns, projection.reduced()
    if dual is None:
        return Part(V, reduced, None, projection)
    along = dual.W.columns.conj().T @ projection.half_terms()  # Z^H [b_p, A_q v_j]
    P, k, M, N, Q = reduced.b.shape[0], reduced.columns, dual.size, reduced.size, reduced.A.shape[0]
    b = along[:, : P * k].reshape(M, P, k).transpose(1, 0, 2)
    A = along[:, P * k :].reshape(M, N, Q).transpose(2, 0, 1)
    return Part(V, reduced, Dual(dual.reduced(), np.ascontiguousarray(b), np.ascontiguousarray(A)), projection, dual)


def dual_projection(projection: Projection) -> Projection:
    """The empty basis of the adjoint problem."""
    assert projection.L is not None
    columns = np.ascontiguousarray(projection.L.conj().transpose(0, 2, 1))  # (S, n, l)
    return Projection(projection.terms.adjoint(), columns, projection.factor)


def padded(values: list[Any], size: int) -> list[np.ndarray]:
    """Coefficients (N, ...) filled up with zeros to one size."""
    return [np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)]) for x in values]
